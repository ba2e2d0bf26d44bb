"""Top of Review: what turns to another scan or model, and what does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from app import routes
from app.cases import address, read_cases
from app.feedback.blinding import answers_visible
from app.feedback.store import reader_for
from app.review import header
from app.review.progress import keep_order
from core.config import settings
from core.io.derivatives import CasePaths, CaseRecord
from tests.app.feedback.readings import first, second
from tests.app.review.helpers import call, flags_at_once, page, store
from tests.casefactory import BLOCKS, write_case


@pytest.fixture
def cases(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> list[CaseRecord]:
    monkeypatch.setattr(routes._served, "on", True)
    flags_at_once(monkeypatch)
    root = settings().derivatives_dir
    return [
        write_case(root, "sub-a"),
        write_case(root, "sub-b"),
        write_case(root, "sub-a", model="std_8x8"),
        write_case(root, "sub-b", model="std_8x8"),
    ]


def test_boxes_of_the_case_before_choose_nothing(cases: list[CaseRecord]) -> None:
    """After a save went on to the next case, the browser's next message opened the case before again."""
    before, now = (address(one)[:16] for one in cases[:2])
    scan, model = f"review_scan_{before}", f"review_model_{before}_vae_8x8_512"
    at = call(page(case=now), lambda: header._choose_scan(scan), **{scan: "sub-a_ses-01"})
    assert at.session_state["case"] == now
    at = call(page(case=now), lambda: header._choose_model(model), **{model: "std_8x8"})
    assert at.session_state["case"] == now


def test_boxes_of_the_open_case_choose(cases: list[CaseRecord]) -> None:
    a, b, a_std = (address(one)[:16] for one in cases[:3])
    at = page(case=a)
    at.selectbox(key=f"review_scan_{a}").select("sub-b_ses-01").run()
    assert at.session_state["case"] == b
    at = page(case=a)
    at.selectbox(key=f"review_model_{a}_vae_8x8_512").select("std_8x8").run()
    assert at.session_state["case"] == a_std


def test_an_order_by_score_ends_while_a_scan_is_unread(data_dir: Path) -> None:
    """Previous and next would tell what a model made of a scan that came in since."""
    root = settings().derivatives_dir
    ada = reader_for(store(), "Ada", "typed")
    keep_order(store(), ada, "mse")
    old = [write_case(root, "sub-a", blocks=BLOCKS[:1]), write_case(root, "sub-b", blocks=BLOCKS)]
    for record in old:
        first(store(), ada.id, record=record)
    cases = read_cases(root)[0]
    assert header.scan_ids(cases, ada, cases[0]) == ["sub-b_ses-01", "sub-a_ses-01"]
    write_case(root, "sub-c", blocks=BLOCKS)
    cases = read_cases(root)[0]
    assert header.scan_ids(cases, ada, cases[0]) == ["sub-a_ses-01", "sub-b_ses-01", "sub-c_ses-01"]


def test_who_has_seen_others_answers_is_told_so_until_the_scan_is_read(data_dir: Path) -> None:
    """A coordinator who adjudicated a scan, and reads it after that."""
    record, other = (write_case(settings().derivatives_dir, name) for name in ("sub-a", "sub-b"))
    ada, ben, cleo = (reader_for(store(), name, "typed").id for name in ("Ada", "Ben", "Cleo"))
    for who, said in ((ada, "2A"), (ben, "normal")):
        second(store(), who, record=record, classification=said)  # type: ignore[arg-type]

    def told(case: CaseRecord) -> bool:
        at = page("Cleo", case=address(case)[:16])
        return any("this read is not independent" in one.value for one in at.caption)

    assert not told(record)
    answers_visible(store(), cleo, coordinator=True)
    assert told(record)
    assert not told(other)
    first(store(), cleo, record=record)
    assert told(record)
    second(store(), cleo, record=record)
    assert not told(record)
    # Ada had read it before she saw what Ben said.
    answers_visible(store(), ada)
    at = page("Ada", case=address(record)[:16])
    assert not any("not independent" in one.value for one in at.caption)


def test_a_judged_analysis_is_not_run_anew(
    cases: list[CaseRecord], data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A judged analysis whose files can't be read looks like one that is missing."""
    a = cases[2]
    raw = data_dir / "demo" / "sub-a" / "ses-01" / "anat" / "sub-a_ses-01_T2w.nii.gz"
    raw.parent.mkdir(parents=True)
    raw.write_bytes(b"scan")
    model = settings().models_dir / "std_8x8"
    model.mkdir(parents=True)
    (model / "config.json").write_text("{}")
    asked: list[list[str]] = []

    def submit(_folder: Path, _inputs: list[Path], models: list[str]) -> str:
        asked.append(models)
        return "job"

    monkeypatch.setattr(header.jobs, "submit", submit)
    paths = CasePaths(settings().derivatives_dir, "sub-a", "ses-01")
    paths.case_json("std_8x8").write_text("{}")
    open_now = {"case": address(cases[0])[:16], header.ASKED: "std_8x8"}
    at = page(**open_now)
    assert at.button(key="review_run").label == "Run this model"
    first(store(), reader_for(store(), "Ben", "typed").id, record=a)
    at.button(key="review_run").click().run()
    assert asked == []
    at = page(**open_now)
    assert not [button for button in at.button if button.key == "review_run"]
    assert any("std_8x8 is kept: readers have judged it." in info.value for info in at.info)
