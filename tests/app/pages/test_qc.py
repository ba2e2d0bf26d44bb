"""QC: the lowest overlap first, failures with their reason, filters, and few pictures at a time."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from app.cases import FIRST_MODEL, address
from app.feedback.store import Store, open_store, reader_for
from core.config import ROOT, settings
from core.io.ledger import NAME, Line, record
from core.preprocess.qc import TILE, WEAK_OVERLAP, last_row
from tests.app.feedback.readings import assign, first
from tests.app.pages.test_worklist import MAIN
from tests.casefactory import write_case
from tests.qcfactory import write_preparation

PAGE = str(ROOT / "app" / "pages" / "qc.py")


def run() -> AppTest:
    at = AppTest.from_file(PAGE, default_timeout=30).run()
    assert not at.exception, at.exception
    return at


def cases(at: AppTest) -> list[str]:
    return [button.label for button in at.button]


def told(at: AppTest) -> str:
    return " ".join(caption.value for caption in at.caption)


@pytest.fixture
def root(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three subjects, one of them badly registered, and one that failed; flags are shown from the start."""
    monkeypatch.setenv("FONTANELLE_UNAIDED_READ", "false")
    settings.cache_clear()
    root = settings().derivatives_dir
    write_preparation(root, "sub-a", 0.95)
    write_preparation(root, "sub-b", 0.62, mask_source="bet", shift=6)
    write_preparation(root, "sub-c", WEAK_OVERLAP)
    step = ("ses-01", "prepare", "cube64")
    record(
        root,
        [
            Line("sub-a", *step, "train"),
            Line("sub-b", *step, "test"),
            Line("sub-d", *step, "test", "scan.nii.gz: all voxels are 0; expected an image"),
        ],
    )
    return root


def test_without_preparations_it_says_what_to_do(data_dir: Path) -> None:
    assert "`make demo`" in run().info[0].value


def test_the_lowest_overlap_stands_first_and_is_marked(root: Path) -> None:
    at = run()
    assert cases(at) == ["sub-b_ses-01", "sub-c_ses-01", "sub-a_ses-01"]
    marked = [caption.value for caption in at.caption if "red-badge" in caption.value]
    assert marked == [
        ":red-badge[:material/warning: below 0.9] overlap 0.620 · brain mask by BET · test · synthetic"
    ]  # the threshold itself is not below it
    assert "3 of 3 scans shown; 1 below 0.9." in told(at)
    assert "overlap 0.900 · brain mask given · split not shown · synthetic" in told(at)
    at.selectbox(key="qc_order").set_value("Overlap, highest first").run()
    assert cases(at) == ["sub-a_ses-01", "sub-c_ses-01", "sub-b_ses-01"]
    at.selectbox(key="qc_order").set_value("Case").run()
    assert cases(at) == ["sub-a_ses-01", "sub-b_ses-01", "sub-c_ses-01"]


def test_failures_are_listed_with_their_reason(root: Path) -> None:
    at = run()
    assert at.expander[0].label == "1 scan failed"
    (line,) = at.dataframe[0].value.to_dict("records")
    assert line == {
        "Case": "sub-d_ses-01",
        "Step": "prepare",
        "For": "cube64",
        "Split": "test",
        "Reason": "scan.nii.gz: all voxels are 0; expected an image",
    }
    record(root, [Line("sub-d", "ses-01", "prepare", "cube64", "test")])
    assert not run().dataframe, "it went well since"


def test_search_and_filters(root: Path) -> None:
    at = run()
    at.multiselect(key="qc_source").set_value(["given"]).run()
    assert cases(at) == ["sub-c_ses-01", "sub-a_ses-01"]
    at.multiselect(key="qc_split").set_value([""]).run()
    assert cases(at) == ["sub-c_ses-01"]
    at.text_input(key="qc_search").set_value("SUB-A").run()
    assert at.info[0].value == "No scan matches the search and filters."
    at.multiselect(key="qc_split").set_value(["train"]).run()
    assert cases(at) == ["sub-a_ses-01"]
    at.text_input(key="qc_search").set_value("").run()
    at.multiselect(key="qc_source").set_value([]).run()
    at.multiselect(key="qc_split").set_value([]).run()
    at.toggle(key="qc_weak").set_value(True).run()
    assert cases(at) == ["sub-b_ses-01"]


@pytest.fixture
def blind(root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same, read unaided first, by Ada; Chief coordinates."""
    monkeypatch.setenv("FONTANELLE_UNAIDED_READ", "true")
    monkeypatch.setenv("FONTANELLE_COORDINATORS", "Chief")
    settings.cache_clear()
    return root


def store() -> Store:
    return open_store(settings().store_url)


def seen_by(name: str) -> AppTest:
    at = AppTest.from_file(PAGE, default_timeout=30)
    at.session_state["reader"] = reader_for(store(), name, "typed")
    at.run()
    assert not at.exception, at.exception
    return at


def split_words(at: AppTest) -> list[str]:
    """Each place in which a split is told: cards, filter, help of names, failures."""
    cards = [caption.value.split(" · ")[2] for caption in at.caption if "overlap 0" in caption.value]
    helps = [
        word for word in ("train", "test") for one in at.button if f"split is {word}" in (one.help or "")
    ]
    return [*cards, *at.multiselect(key="qc_split").options, *helps, *at.dataframe[0].value["Split"]]


def test_splits_stay_untold_until_the_reader_has_read_the_scan(blind: Path) -> None:
    record = write_case(blind, "sub-b")
    assert set(split_words(run())) == {"split not shown"}, "nobody named yet"
    assert set(split_words(seen_by("Ada"))) == {"split not shown"}
    first(store(), reader_for(store(), "Ada", "typed").id, record=record)
    assert split_words(seen_by("Ada")) == [
        "test",
        "split not shown",
        "split not shown",
        "split not shown",
        "test",
        "split not shown",
    ]
    assert set(split_words(seen_by("Ben"))) == {"split not shown"}


def test_coordinators_know_the_splits_of_scans_that_they_need_not_read(blind: Path) -> None:
    record = write_case(blind, "sub-b")
    assert split_words(seen_by("Chief"))[:3] == ["test", "split not shown", "train"]
    chief = reader_for(store(), "Chief", "typed").id
    assign(store(), [chief], record.case_id, input_hash=record.input_hash)
    assert split_words(seen_by("Chief"))[:3] == ["split not shown", "split not shown", "train"]
    first(store(), chief, record=record)
    assert split_words(seen_by("Chief"))[:3] == ["test", "split not shown", "train"]


def test_hundreds_come_a_page_at_a_time(root: Path) -> None:
    for number in range(30):
        paths = write_preparation(root, f"sub-n{number:02d}", 0.9 + number / 1000)
        paths.qc(64).write_bytes(b"no picture") if number == 0 else None
    at = run()
    assert len(cases(at)) == len(at.get("image")) + 1 == 24
    assert "The picture is missing; prepare the scan again." in told(at)
    at.session_state["qc_page_0"] = 2
    at.run()
    assert (len(cases(at)), cases(at)[-1]) == (9, "sub-a_ses-01")
    at.selectbox(key="qc_order").set_value("Case").run()
    assert cases(at)[0] == "sub-a_ses-01", "another order begins at its first page"
    at.text_input(key="qc_search").set_value("n0").run()
    assert len(cases(at)) == 10


def test_a_scan_opens_in_review_where_it_is_analysed(root: Path) -> None:
    write_case(root, "sub-b", model="std_8x8")
    wanted = write_case(root, "sub-b", model=FIRST_MODEL)
    at = AppTest.from_file(MAIN, default_timeout=30).run()
    at.switch_page("pages/qc.py").run()
    assert not at.exception, at.exception
    assert at.button(key="qc_open_sub-a_ses-01_64").disabled
    assert "its split is train" in at.button(key="qc_open_sub-a_ses-01_64").help
    assert "core analyze" in at.button(key="qc_open_sub-c_ses-01_64").help
    at.button(key="qc_open_sub-b_ses-01_64").click().run()
    assert not at.exception, at.exception
    assert at.session_state["case"] == address(wanted)[:16]


def test_what_is_damaged_is_named(root: Path) -> None:
    (root / NAME).write_text("x\n")
    path = next(root.glob("sub-a/ses-01/anat/*_T2w.json"))
    path.write_text("{")
    at = run()
    assert cases(at) == ["sub-b_ses-01", "sub-c_ses-01"]
    assert path.name in at.warning[0].value
    assert at.error[0].value.startswith("ledger.tsv")


def test_several_cube_sizes_are_told_apart(root: Path) -> None:
    write_preparation(root, "sub-a", 0.91, cube=256)
    at = run()
    assert at.get("button_group")
    assert "3 of 3 scans shown" in told(at)
    at.session_state["qc_cube"] = 256
    at.run()
    assert cases(at) == ["sub-a_ses-01"]


def test_last_row_is_the_cubes(tmp_path: Path) -> None:
    sheet = Image.new("RGB", (3 * TILE, 3 * (TILE + 22) + 22), "red")
    sheet.paste((0, 0, 255), (0, 2 * (TILE + 22) + 22, 3 * TILE, 3 * (TILE + 22)))
    stream = io.BytesIO()
    sheet.save(stream, "PNG")
    with Image.open(io.BytesIO(last_row(stream.getvalue()))) as row:
        assert row.size == (495, 165)
        pixels = np.asarray(row.convert("RGB"))
        assert pixels[..., 0].max() < 5
        assert pixels[..., 2].min() > 250
    with pytest.raises(OSError, match="cannot identify image"):
        last_row(b"no picture")


def test_a_filter_by_split_goes_with_the_reader_who_may_know_it(blind: Path) -> None:
    record = write_case(blind, "sub-b")
    first(store(), reader_for(store(), "Ada", "typed").id, record=record)
    at = seen_by("Ada")
    at.multiselect(key="qc_split").set_value(["test"]).run()
    assert cases(at) == ["sub-b_ses-01"]
    at.session_state["reader"] = reader_for(store(), "Ben", "typed")
    at.run()
    assert not at.exception, at.exception
    assert len(cases(at)) == 3
