"""Worklist: which cases it shows, in which order, with which status."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest
from streamlit.testing.v1.element_tree import Selectbox

from app import import_panel, imports
from app.cases import address
from app.feedback.reads import ReadInput, add_event, events_of, lock_first, save_second
from app.feedback.store import add_verdict, new_id, open_store, reader_for, verdict_input
from core.config import ROOT, settings
from core.io.derivatives import CasePaths, CaseRecord, read_regions
from tests.casefactory import write_case

PAGE = str(ROOT / "app" / "pages" / "worklist.py")
MAIN = str(ROOT / "app" / "main.py")


def root() -> Path:
    return settings().derivatives_dir


def run(page: str = PAGE) -> AppTest:
    at = AppTest.from_file(page, default_timeout=20).run()
    assert not at.exception, at.exception
    return at


def table(at: AppTest) -> pd.DataFrame:
    return at.dataframe[0].value.set_index("Case")


def become(at: AppTest, name: str) -> None:
    at.text_input(key="who_typed").set_value(name)
    next(button for button in at.button if button.label == "Continue").click()
    at.run()
    assert not at.exception, at.exception


def judge(record: CaseRecord, count: int, name: str = "Ada", of: str = "volume") -> None:
    store = open_store(settings().store_url)
    reader = reader_for(store, name, "typed")
    regions = read_regions(CasePaths(root(), record.subject, record.session).regions(record.model))
    for region in [region for region in regions if region.map == of][:count]:
        add_verdict(store, verdict_input(record, region, id=new_id(), reader_id=reader.id, verdict="agree"))


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """The unaided read off: model's figures are shown at once."""
    monkeypatch.setenv("FONTANELLE_UNAIDED_READ", "false")
    settings.cache_clear()


def finish(record: CaseRecord, name: str = "Ada", classification: str = "1A", second: bool = True) -> None:
    """Lock a first read and, where asked, save a second."""
    store = open_store(settings().store_url)
    given = ReadInput(
        id=new_id(),
        reader_id=reader_for(store, name, "typed").id,
        case_id=record.case_id,
        input_hash=record.input_hash,
        classification=classification,  # type: ignore[arg-type]
        model=record.model,
        model_hash=record.model_hash,
        case_key=record.key,
        map="volume",
        unaided=True,
    )
    lock_first(store, given)
    if second:
        save_second(store, replace(given, id=new_id()))


def skip(record: CaseRecord, reason: str, name: str = "Ada") -> None:
    store = open_store(settings().store_url)
    who = reader_for(store, name, "typed").id
    scan: dict[str, Any] = {"case_id": record.case_id, "input_hash": record.input_hash}
    add_event(store, id=new_id(), reader_id=who, **scan, kind="skipped", detail=reason)


def known(at: AppTest, name: str = "Ada") -> AppTest:
    at.session_state["reader"] = reader_for(open_store(settings().store_url), name, "typed")
    at.run()
    assert not at.exception, at.exception
    return at


def test_empty_says_what_to_do(data_dir: Path) -> None:
    at = run(MAIN)
    assert "`make demo`" in at.info[0].value
    assert not at.dataframe


def test_rows_hold_the_record_and_no_radiology_score(data_dir: Path, shown: None) -> None:
    write_case(root(), "sub-b", age_weeks=None, synthetic=False, percentile=12.0)
    write_case(root(), "sub-a", age_weeks=38.4)
    rows = table(run())
    assert list(rows.index) == ["sub-a_ses-01", "sub-b_ses-01"]
    assert rows.loc["sub-a_ses-01", "PMA, weeks"] == 38.4
    assert pd.isna(rows.loc["sub-b_ses-01", "PMA, weeks"])
    assert list(rows["Data"]) == ["synthetic", ""]
    assert list(rows["MSE pct."]) == [97.0, 12.0]
    assert list(rows["Read"]) == ["0 of 2", "0 of 2"]
    assert not [column for column in rows if "radiology" in column.lower()]


def test_regions_read_are_those_of_the_map_that_review_opens(
    data_dir: Path, shown: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge(write_case(root(), "sub-b"), 2, of="volume")
    monkeypatch.setattr("tests.casefactory.MAP_NAMES", ("volume", "normative", "fused"))
    fused = write_case(root(), "sub-a")
    judge(fused, 2, of="volume")
    judge(fused, 1, of="fused")
    assert list(table(known(run()))["Read"]) == ["1 of 2", "2 of 2"]


def test_status_is_the_readers_own(data_dir: Path) -> None:
    records = [write_case(root(), f"sub-{letter}") for letter in "abcdef"]
    finish(records[0])
    finish(records[1], second=False)
    judge(records[2], 1)
    skip(records[3], "motion")
    finish(records[4], classification="inadequate", second=False)
    finish(records[5], name="Bob")
    at = run()
    assert set(table(at)["Status"]) == {"new"}, "nobody named yet"
    rows = table(known(at))
    assert list(rows["Status"]) == ["done", "first read done", "in progress", "skipped", "done", "new"]
    assert list(rows["My class"]) == ["1A", "1A", "", "", "Inadequate", ""]
    assert list(rows["Skipped because"]) == ["", "", "", "motion", "", ""]
    bar = at.get("progress")[0].proto
    assert (bar.value, bar.text) == (33, "2 of 6 read, 1 skipped")


def test_a_skipped_case_that_is_opened_again_is_new_again(data_dir: Path) -> None:
    record = write_case(root(), "sub-a")
    skip(record, "motion")
    store = open_store(settings().store_url)
    who = reader_for(store, "Ada", "typed").id
    scan: dict[str, Any] = {"case_id": record.case_id, "input_hash": record.input_hash}
    add_event(store, id=new_id(), reader_id=who, **scan, kind="resumed")
    assert list(table(known(run()))["Status"]) == ["new"]


def test_nothing_of_a_model_is_told_before_the_scan_was_read(data_dir: Path) -> None:
    from tests.casefactory import BLOCKS

    records = [
        write_case(root(), "sub-a", blocks=BLOCKS[:1]),
        write_case(root(), "sub-b", blocks=BLOCKS),
        write_case(root(), "sub-c", blocks=()),
    ]
    own = ["Read", "MSE", "MSE pct.", "Normative z", "Norm. pct."]
    at = run()
    assert not [column for column in table(at) if column in own], "nobody named yet"
    assert not [column for column in table(known(at)) if column in own]
    assert order_box(at).options == ["As listed", "Random, my own"]
    finish(records[1], second=False)
    finish(records[0], name="Bob")
    rows = table(known(run()))
    for column in own:
        assert [pd.isna(value) for value in rows[column]] == [True, False, True], column
    assert order_box(at).options == ["As listed", "Random, my own"], "no order by score while one is unread"
    for record in (records[0], records[2]):
        finish(record, second=False)
    at = known(run())
    assert list(table(at)["Read"]) == ["0 of 1", "0 of 2", "0 of 0"]
    order_box(at).select("mse").run()
    assert table(at).index[0] == "sub-b_ses-01"


def order_box(at: AppTest) -> Selectbox:
    return next(box for box in at.selectbox if box.label == "Order")


def test_random_order_is_each_readers_own_and_stays(data_dir: Path) -> None:
    for number in range(12):
        write_case(root(), f"sub-{number:02d}")
    orders = []
    for name in ("Ada", "Bob"):
        at = known(run(), name)
        order_box(at).select("random").run()
        orders.append(list(table(at).index))
        again = known(run(), name)
        assert list(table(again).index) == orders[-1], "kept for the next visit"
        assert again.button(key="work_next")
    assert sorted(orders[0]) == sorted(orders[1])
    assert orders[0] != orders[1] != sorted(orders[1])
    write_case(root(), "sub-new")
    later = [case for case in table(known(run())).index if case != "sub-new_ses-01"]
    assert later == orders[0], "a scan that comes in moves no other"


def test_search_filters_and_order(data_dir: Path) -> None:
    records = [write_case(root(), f"sub-{letter}", percentile=float(n)) for n, letter in enumerate("abc")]
    write_case(root(), "sub-d", model="std_8x8")
    finish(records[2])
    at = run()
    become(at, "Ada")
    assert list(table(at).index) == [f"sub-{letter}_ses-01" for letter in "abcd"]
    at.text_input(key="work_search").set_value("SUB-B").run()
    assert list(table(at).index) == ["sub-b_ses-01"]
    at.text_input(key="work_search").set_value("").run()
    at.multiselect(key="work_status").set_value(["done"]).run()
    assert list(table(at).index) == ["sub-c_ses-01"]
    at.multiselect(key="work_status").set_value(["in progress"]).run()
    assert not at.dataframe
    assert at.info[-1].value == "No case matches the search and filters."
    at.multiselect(key="work_status").set_value([]).run()
    at.selectbox(key="work_model").set_value("std_8x8").run()
    assert list(table(at)["Model"]) == ["vae_8x8_512"] * 3 + ["std_8x8"]


def test_order_by_score_puts_missing_ones_last(data_dir: Path, shown: None) -> None:
    from tests.casefactory import BLOCKS

    write_case(root(), "sub-a", blocks=BLOCKS[:1])
    write_case(root(), "sub-b", blocks=BLOCKS)
    at = run()
    order_box(at).select("mse").run()
    assert list(table(at).index) == ["sub-b_ses-01", "sub-a_ses-01"]


def write_facts() -> list[CaseRecord]:
    """Three scans; of two the data set tells split or site, and a label of one."""
    lines = ["participant_id\tsplit\tsite\tlabel", "sub-a\ttest\tnorth\tcase one", "sub-b\ttrain\tn/a\t"]
    settings().demo_dir.mkdir(parents=True)
    (settings().demo_dir / "participants.tsv").write_text("\n".join(lines) + "\n")
    return [write_case(root(), f"sub-{letter}") for letter in "abc"]


def test_split_and_site_stay_untold_before_the_scan_was_read(data_dir: Path) -> None:
    records = write_facts()
    for at in (run(), known(run())):
        assert not {"Split", "Site"} & set(table(at))
        assert list(table(at)["Label"]) == ["case one", "", ""]
        assert not [box for box in at.multiselect if box.key in ("work_split", "work_site")]
        assert any("once you have locked your first read" in one.value for one in at.caption)
    finish(records[1], second=False)
    finish(records[0], name="Bob")
    at = known(run())
    assert list(table(at)["Split"]) == ["", "train", ""]
    assert at.multiselect(key="work_split").options == ["train"]


def test_split_site_and_label_filter_where_they_are_known(data_dir: Path, shown: None) -> None:
    write_facts()
    at = run()
    rows = table(at)
    assert list(rows["Split"]) == ["test", "train", ""]
    assert list(rows["Site"]) == ["north", "", ""]
    at.multiselect(key="work_split").set_value(["train"]).run()
    assert list(table(at).index) == ["sub-b_ses-01"]
    at.multiselect(key="work_split").set_value([]).run()
    at.text_input(key="work_search").set_value("Case One").run()
    assert list(table(at).index) == ["sub-a_ses-01"]


@pytest.mark.parametrize("content", ["{", '{"schema": 99}', "[1]"])
def test_broken_record_is_a_row_and_the_page_goes_on(data_dir: Path, content: str) -> None:
    write_case(root(), "sub-a")
    bad = write_case(root(), "sub-bad")
    path = CasePaths(root(), bad.subject, bad.session).case_json(bad.model)
    path.write_text(content)
    at = run()
    rows = table(at)
    assert list(rows["Status"]) == ["new", "can't be read"]
    assert path.name in rows.index
    assert path.name in rows["Note"].iloc[1]
    assert "1 analysis on disk can't be read" in at.warning[0].value


def test_missing_region_table_is_a_row_too(data_dir: Path) -> None:
    bad = write_case(root(), "sub-bad")
    path = CasePaths(root(), bad.subject, bad.session).regions(bad.model)
    path.unlink()
    rows = table(run())
    assert list(rows["Status"]) == ["can't be read"]
    # No folder of the server, no errno.
    assert rows["Note"].iloc[0] == f"{path.name}: No such file or directory: '{path.name}'"


def test_what_is_not_known_is_a_dash(data_dir: Path) -> None:
    write_case(root(), "sub-a", age_weeks=None)
    assert run().dataframe[0].proto.placeholder == "–"


def test_the_models_box_has_room_for_its_longest_name(data_dir: Path) -> None:
    write_case(root(), "sub-a")
    boxes = [one for one in run().columns if any(box.key == "work_model" for box in one.selectbox)]
    # At 1280 pixels, 0.16 of the row cut "vae_8x8_512" off by 7 of 118 pixels.
    assert [one.weight >= 0.2 for one in boxes] == [True]


def test_changed_files_are_read_again(data_dir: Path) -> None:
    write_case(root(), "sub-a", age_weeks=38.0)
    at = run()
    write_case(root(), "sub-a", age_weeks=41.5)
    at.run()
    assert table(at).loc["sub-a_ses-01", "PMA, weeks"] == 41.5


def test_unusable_store_leaves_the_list(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_case(root(), "sub-a")
    monkeypatch.setenv("FONTANELLE_DATABASE_URL", "sqlite://")
    settings.cache_clear()
    at = run()
    assert "in-memory one forgets" in at.error[0].value
    assert len(table(at)) == 1


def test_next_case_opens_review_and_comes_back_to_it(data_dir: Path) -> None:
    records = [write_case(root(), f"sub-{letter}") for letter in "abc"]
    finish(records[0])
    at = run(MAIN)
    at.selectbox(key="who_known").set_value("Ada")
    next(button for button in at.button if button.label == "Continue").click()
    at.run()
    assert "not verified" in at.sidebar.markdown[0].value
    at.button(key="work_next").click().run()
    assert not at.exception, at.exception
    assert at.session_state["case"] == address(records[1])[:16]
    assert not any(title.value == "Worklist" for title in at.title), "Review is open"
    events = events_of(open_store(settings().store_url), at.session_state["reader"].id)
    assert [(one.case_id, one.kind, one.detail) for one in events] == [
        ("sub-b_ses-01", "opened", "order: listed")
    ]


def test_next_case_is_where_the_reader_left_off(data_dir: Path) -> None:
    records = [write_case(root(), f"sub-{letter}") for letter in "abc"]
    store = open_store(settings().store_url)
    who = reader_for(store, "Ada", "typed").id
    scan: dict[str, Any] = {"case_id": records[1].case_id, "input_hash": records[1].input_hash}
    add_event(store, id=new_id(), reader_id=who, **scan, kind="opened")
    at = known(run(MAIN))
    at.button(key="work_next").click().run()
    assert at.session_state["case"] == address(records[1])[:16]


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ("../outside", "lies outside the import folder"),
        ("/etc", "lies outside the import folder"),
        ("link", "lies outside the import folder"),
        ("nowhere", "not found below the import folder"),
        ("empty", "no T2w scan found"),
    ],
)
def test_imports_stay_below_their_root(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: str, words: str
) -> None:
    (tmp_path / "in" / "empty").mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    (tmp_path / "in" / "link").symlink_to(tmp_path / "outside")
    monkeypatch.setenv("FONTANELLE_IMPORT_ROOT", str(tmp_path / "in"))
    settings.cache_clear()
    with pytest.raises(imports.ImportRefused, match=words) as refused:
        imports.found(asked)
    assert str(tmp_path) not in str(refused.value)


def test_import_is_for_coordinators_and_off_without_a_root(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_case(root(), "sub-a")
    at = known(run())
    assert any("Importing a folder is off here" in one.value for one in at.caption)
    monkeypatch.setenv("FONTANELLE_COORDINATORS", "Bob")
    settings.cache_clear()
    assert not any("Importing" in one.value for one in known(run()).caption)


def test_an_import_is_queued_as_a_job(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    anat = tmp_path / "in" / "site-b" / "sub-x" / "ses-01" / "anat"
    anat.mkdir(parents=True)
    (anat / "sub-x_ses-01_T2w.nii.gz").touch()
    monkeypatch.setenv("FONTANELLE_IMPORT_ROOT", str(tmp_path / "in"))
    settings.cache_clear()
    asked: list[tuple[list[Path], list[str]]] = []

    def submit(folder: Path, inputs: list[Path], models: list[str]) -> str:
        asked.append((inputs, models))
        return "no-such-job"

    monkeypatch.setattr("app.jobs.submit", submit)
    session = {"work_import": "site-b", "work_import_models": ["vae_8x8_512"]}
    monkeypatch.setattr(st, "session_state", session)
    import_panel.start_import()
    assert asked == [([tmp_path / "in" / "site-b"], ["vae_8x8_512"])]
    assert session["work_import_job"] == ("no-such-job", 1)


def test_name_is_asked_for_when_left_empty(data_dir: Path) -> None:
    write_case(root(), "sub-a")
    at = run()
    become(at, "   ")
    assert at.error[0].value == "Give your name first."


@pytest.mark.parametrize("page", ["worklist", "upload", "about"])
def test_page_does_not_import_torch(data_dir: Path, page: str) -> None:
    write_case(root(), "sub-a")
    code = (
        "import sys; from streamlit.testing.v1 import AppTest\n"
        f"at = AppTest.from_file({str(ROOT / 'app' / 'pages' / f'{page}.py')!r}, default_timeout=30).run()\n"
        "assert not at.exception, at.exception\n"
        "print(sorted(name for name in ('torch', 'ants', 'nilearn') if name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip().splitlines()[-1] == "[]"


def test_scans_of_another_model_stay_in_the_list(data_dir: Path, shown: None) -> None:
    """With results of the first model for some scans, all others vanished, read ones too."""
    finish(write_case(root(), "sub-c"))
    write_case(root(), "sub-b", percentile=99.0)
    write_case(root(), "sub-a")
    write_case(root(), "sub-a", model="restorer")
    at = known(run())
    assert at.selectbox(key="work_model").value == "restorer"
    rows = table(at)
    assert list(rows["Model"]) == ["restorer", "vae_8x8_512", "vae_8x8_512"]
    assert list(rows["Status"]) == ["new", "new", "done"]
    told = [one.value for one in at.caption]
    assert any(
        line.startswith("3 of 3 cases shown. 2 without results of restorer stand with another model's.")
        for line in told
    )
    at.selectbox(key="work_order_1_4").set_value("mse").run()
    assert next(iter(table(at).index)) == "sub-a_ses-01", "scores of other models come after the model's own"
    at.selectbox(key="work_model").set_value("vae_8x8_512").run()
    assert "Model" not in table(at)
