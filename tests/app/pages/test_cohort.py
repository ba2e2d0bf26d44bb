"""Cohort: what an evaluation shows, where there is none, and the way into Review."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import plotly.graph_objects as go
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from app import masked
from app.agreement.figures import INK
from app.cases import address
from app.feedback.store import SavedReader, open_store, reader_for
from core.config import ROOT, settings
from core.evaluation import report
from core.evaluation.report import write_evaluation
from core.evaluation.wording import COHORTS_DIFFER
from tests.app.feedback.readings import assign, first
from tests.app.pages.test_worklist import MAIN
from tests.casefactory import write_case
from tests.core.evaluation.fakes import evaluation

MODELS = ("std_8x8", "vae_8x8_512")
PAGE = str(ROOT / "app" / "pages" / "cohort.py")


def run(page: str = PAGE) -> AppTest:
    at = AppTest.from_file(page, default_timeout=30).run()
    assert not at.exception, at.exception
    return at


def figures(at: AppTest) -> list[str]:
    return [element.proto.spec for element in at.get("plotly_chart")]


@pytest.fixture
def evaluated(data_dir: Path) -> Path:
    folder = data_dir / "evaluation" / "demo"
    write_evaluation(evaluation(), folder)
    return folder


def test_without_an_evaluation_it_says_what_to_do(data_dir: Path) -> None:
    at = run()
    assert "`make evaluate`" in at.info[0].value
    assert not at.get("plotly_chart")


def test_it_shows_figures_words_and_what_was_left_out(evaluated: Path) -> None:
    at = run()
    assert "no newborn was scanned" in at.warning[0].value
    assert COHORTS_DIFFER in [element.value for element in at.markdown]
    assert "4 train, 3 validation, 3 test normal, 3 test abnormal" in at.caption[0].value
    assert any(element.label == "1 left out" for element in at.expander)
    drawn = figures(at)
    assert len(drawn) == 2
    assert "Figure 3" in drawn[0]
    assert "Figure 4" in drawn[1]


@pytest.mark.parametrize(("section", "count"), [("Bands", 4), ("ROC", 4), ("Localisation", 4), ("Cases", 1)])
def test_sections(evaluated: Path, section: str, count: int) -> None:
    at = run()
    at.segmented_control(key="cohort_section").set_value(section).run()
    assert not at.exception, at.exception
    assert len(figures(at)) == count


def test_tables_are_shown_with_the_figures_of_the_intervals(evaluated: Path) -> None:
    at = run()
    at.segmented_control(key="cohort_section").set_value("Tables").run()
    assert not at.exception, at.exception
    paper = next(table.value for table in at.dataframe if "paper" in table.value.columns)
    assert list(paper.columns) == ["measure", "model", "paper", "ours", "data set"]
    found = next(table.value for table in at.dataframe if "threshold from" in table.value.columns)
    assert found["ap"].tolist() == ["0.5 (0.5 to 0.5)"] * 3
    assert {button.proto.label for button in at.get("download_button")} == {"CSV"}
    assert len(at.get("download_button")) == len(at.dataframe)
    assert not at.get("plotly_chart")


def test_goals_have_a_section_where_they_were_measured(evaluated: Path) -> None:
    at = run()
    assert "Goals" not in at.segmented_control(key="cohort_section").options
    goals = pd.DataFrame(
        {"goal": ["lesions found"], "needed": [0.8], "reached": [0.41], "met": [False], "evidence": ["0.2"]}
    )
    made = evaluation()
    write_evaluation(replace(made, tables={**made.tables, "goals": goals}), evaluated)
    at = run()
    at.segmented_control(key="cohort_section").set_value("Goals").run()
    assert not at.exception, at.exception
    assert at.table[0].value.loc["lesions found"].tolist() == ["0.8", "0.41", "no", "0.2"]


def test_a_damaged_folder_is_named(evaluated: Path) -> None:
    (evaluated / "subjects.csv").write_text("")
    at = run()
    assert at.error[0].value.startswith("demo:")


def test_of_several_data_sets_one_is_chosen(evaluated: Path) -> None:
    write_evaluation(evaluation(), evaluated.with_name("other"))
    at = run()
    assert at.selectbox(key="cohort_data").options == ["demo", "other"]


def click(monkeypatch: pytest.MonkeyPatch, customdata: Any) -> None:
    """What ``st.plotly_chart`` returns once a point was clicked."""
    monkeypatch.setattr(
        st, "plotly_chart", lambda *_, **__: {"selection": {"points": [{"y": 1.0, "customdata": customdata}]}}
    )


@pytest.mark.parametrize("customdata", [["sub-10_ses-01", "std_8x8"], {"0": "sub-10_ses-01", "1": "std_8x8"}])
def test_a_clicked_point_opens_that_scan_and_model(
    evaluated: Path, monkeypatch: pytest.MonkeyPatch, customdata: Any
) -> None:
    root = settings().derivatives_dir
    write_case(root, "sub-10", model="vae_8x8_512")
    wanted = write_case(root, "sub-10", model="std_8x8")
    click(monkeypatch, customdata)
    at = AppTest.from_file(MAIN, default_timeout=30).run()
    at.switch_page("pages/cohort.py").run()
    assert not at.exception, at.exception
    assert at.session_state["case"] == address(wanted)[:16]
    assert not any(title.value == "Cohort" for title in at.title), "Review is open"


def test_a_scan_analysed_by_another_model_opens_with_that(
    evaluated: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = write_case(settings().derivatives_dir, "sub-10", model="vae_8x8_512")
    click(monkeypatch, ["sub-10_ses-01", "std_8x8"])
    at = AppTest.from_file(MAIN, default_timeout=30).run()
    at.switch_page("pages/cohort.py").run()
    assert at.session_state["case"] == address(other)[:16]


def test_a_point_without_an_analysis_says_so(evaluated: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    click(monkeypatch, ["sub-10_ses-01", "std_8x8"])
    assert "sub-10_ses-01 is not analysed" in run().info[0].value


def test_a_point_that_is_no_subject_does_nothing(evaluated: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    click(monkeypatch, [3.5])
    assert not run().info


def test_page_with_an_evaluation_does_not_import_torch(evaluated: Path) -> None:
    code = (
        "import sys; from streamlit.testing.v1 import AppTest\n"
        f"at = AppTest.from_file({PAGE!r}, default_timeout=30).run()\n"
        "assert not at.exception, at.exception\n"
        "assert at.get('plotly_chart')\n"
        "print(sorted(name for name in ('torch', 'ants', 'nilearn', 'sklearn') if name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip().splitlines()[-1] == "[]"


def words(at: AppTest) -> str:
    """All that the page sent to the browser, figures too."""
    told = [one.value for one in [*at.markdown, *at.caption, *at.info, *at.text]]
    return "\n".join([*told, *(one.value.to_string() for one in at.dataframe), *figures(at)])


def test_scans_that_the_reader_has_still_to_read_are_not_named(
    evaluated: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = settings().derivatives_dir
    made = evaluation()
    sheet = go.Figure(layout={"title": {"text": "Figure 7: test abnormal scan: sub-11_ses-01, std_8x8"}})
    write_evaluation(replace(made, sheets={"figure_7": sheet}), evaluated)
    records = [write_case(root, name, model=model) for name in ("sub-10", "sub-11") for model in MODELS]
    store = open_store(settings().store_url)
    ada, ben = (reader_for(store, name, "typed") for name in ("Ada", "Ben"))
    first(store, ada.id, record=records[0])

    def seen(who: SavedReader | None, everywhere: bool = False) -> str:
        at = AppTest.from_file(PAGE, default_timeout=30)
        at.session_state["reader"] = who
        at.run()
        pages = [words(at)]
        for section in at.segmented_control(key="cohort_section").options if everywhere else ():
            at.segmented_control(key="cohort_section").set_value(section).run()
            assert not at.exception, at.exception
            pages.append(words(at))
        return "".join(pages)

    for who, everywhere in ((ben, True), (None, False)):
        shown = seen(who, everywhere)
        assert "sub-10_ses-01" not in shown
        assert "sub-11_ses-01" not in shown
        assert "sub-12_ses-01" in shown, "not on disk: nobody has it to read"
        assert "2 scans that you have still to read stand here without names" in shown
        assert masked.UNREAD in figures(run())[0]
    shown = seen(ada)
    assert "sub-10_ses-01" in shown
    assert "sub-11_ses-01" not in shown
    assert "1 scan that you have still to read stands here without a name" in shown
    # A coordinator who was appointed need not read: but what they have begun is theirs to read.
    monkeypatch.setenv("FONTANELLE_COORDINATORS", "Ben")
    settings.cache_clear()
    assert "sub-11_ses-01" in seen(ben)
    assign(store, [ben.id], "sub-11_ses-01", input_hash=records[-1].input_hash)
    shown = seen(ben)
    assert "sub-11_ses-01" not in shown
    assert "sub-10_ses-01" in shown
    monkeypatch.setenv("FONTANELLE_UNAIDED_READ", "false")
    settings.cache_clear()
    assert "sub-11_ses-01" in seen(ben)


def test_a_click_on_a_nameless_point_says_why(evaluated: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    click(monkeypatch, [f"{masked.UNREAD} (1)", "std_8x8"])
    assert "named once your first read is locked" in run().info[-1].value


def test_readers_who_read_unaided_first_do_not_see_it(
    evaluated: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FONTANELLE_COORDINATORS", "Chief")
    settings.cache_clear()
    at = run()
    assert "it is for coordinators" in at.info[0].value
    assert figures(at) == []
    monkeypatch.setenv("FONTANELLE_UNAIDED_READ", "false")
    settings.cache_clear()
    assert figures(run()) != []


def test_letters_on_black_stay_light(evaluated: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dark = go.Figure(layout={"paper_bgcolor": "black", "font": {"color": "#d9e1e4"}})
    monkeypatch.setattr(report, "figures_of", lambda _: {"Overlays": [dark, go.Figure()]})
    letters = [json.loads(spec)["layout"]["font"]["color"] for spec in figures(run())]
    assert letters == ["#d9e1e4", INK]
