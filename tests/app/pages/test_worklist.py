"""Worklist: which cases it shows, in which order, with which status."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from app.cases import address
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


def judge(record: CaseRecord, count: int, name: str = "Ada") -> None:
    store = open_store(settings().store_url)
    reader = reader_for(store, name, "typed")
    regions = read_regions(CasePaths(root(), record.subject, record.session).regions(record.model))
    for region in [region for region in regions if region.map == "volume"][:count]:
        add_verdict(store, verdict_input(record, region, id=new_id(), reader_id=reader.id, verdict="agree"))


def test_empty_says_what_to_do(data_dir: Path) -> None:
    at = run(MAIN)
    assert "`make demo`" in at.info[0].value
    assert not at.dataframe


def test_rows_hold_the_record_and_no_radiology_score(data_dir: Path) -> None:
    write_case(root(), "sub-b", age_weeks=None, synthetic=False, percentile=12.0)
    write_case(root(), "sub-a", age_weeks=38.4)
    rows = table(run())
    assert list(rows.index) == ["sub-a_ses-01", "sub-b_ses-01"]
    assert rows.loc["sub-a_ses-01", "Age"] == 38.4
    assert pd.isna(rows.loc["sub-b_ses-01", "Age"])
    assert list(rows["Data"]) == ["synthetic", ""]
    assert list(rows["MSE pct."]) == [97.0, 12.0]
    assert list(rows["Read"]) == ["0 of 2", "0 of 2"]
    assert not [column for column in rows if "radiology" in column.lower()]


def test_status_is_the_readers_own(data_dir: Path) -> None:
    records = [write_case(root(), f"sub-{letter}") for letter in "abc"]
    write_case(root(), "sub-d", blocks=())
    judge(records[0], 2)
    judge(records[1], 1)
    judge(records[2], 2, name="Bob")
    at = run()
    assert list(table(at)["Status"]) == ["new", "new", "new", "nothing flagged"], "nobody named yet"
    at.selectbox(key="who_known").set_value("Ada")
    next(button for button in at.button if button.label == "Continue").click()
    at.run()
    rows = table(at)
    assert list(rows["Status"]) == ["done", "in progress", "new", "nothing flagged"]
    assert list(rows["Read"]) == ["2 of 2", "1 of 2", "0 of 2", "0 of 0"]
    assert not any(button.label == "Continue" for button in at.button), "asked once a session"


def test_search_filters_and_order(data_dir: Path) -> None:
    records = [write_case(root(), f"sub-{letter}", percentile=float(n)) for n, letter in enumerate("abc")]
    write_case(root(), "sub-d", model="std_8x8")
    judge(records[2], 2)
    at = run()
    become(at, "Ada")
    assert list(table(at).index) == ["sub-a_ses-01", "sub-b_ses-01", "sub-c_ses-01"], "one model at a time"
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
    assert list(table(at).index) == ["sub-d_ses-01"]


def test_order_by_score_puts_missing_ones_last(data_dir: Path) -> None:
    from tests.casefactory import BLOCKS

    write_case(root(), "sub-a", blocks=BLOCKS[:1])
    write_case(root(), "sub-b", blocks=BLOCKS)
    at = run()
    at.selectbox(key="work_order").set_value("MSE, highest first").run()
    assert list(table(at).index) == ["sub-b_ses-01", "sub-a_ses-01"]


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
    assert table(at).loc["sub-a_ses-01", "Age"] == 41.5


def test_unusable_store_leaves_the_list(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_case(root(), "sub-a")
    monkeypatch.setenv("FONTANELLE_DATABASE_URL", "sqlite://")
    settings.cache_clear()
    at = run()
    assert "in-memory one forgets" in at.error[0].value
    assert len(table(at)) == 1


def test_next_unread_opens_review_with_that_case(data_dir: Path) -> None:
    records = [write_case(root(), f"sub-{letter}") for letter in "abc"]
    judge(records[0], 2)
    at = run(MAIN)
    at.selectbox(key="who_known").set_value("Ada")
    next(button for button in at.button if button.label == "Continue").click()
    at.run()
    assert "not verified" in at.sidebar.markdown[0].value
    at.button(key="work_next").click().run()
    assert not at.exception, at.exception
    assert at.session_state["case"] == address(records[1])[:16]
    assert not any(title.value == "Worklist" for title in at.title), "Review is open"


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
