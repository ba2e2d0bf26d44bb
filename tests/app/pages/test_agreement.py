"""Agreement: what it says with nobody, one, two and three readers, and what can be downloaded."""

from __future__ import annotations

import io
import json
import zipfile

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from app.agreement.figures import confusion_figure, forest
from app.agreement.known import known_classes
from app.agreement.load import archive, counted, csv_text, shown_names
from app.agreement.sections import SECTIONS
from app.feedback.export_rows import pseudonym
from app.feedback.store import SavedReader, Store, open_store, reader_for
from core.config import ROOT, settings
from tests.app.feedback.conftest import region
from tests.app.feedback.readings import SCAN, first, hash_of, judge, second
from tests.casefactory import write_case


@pytest.fixture
def store(data_dir: object) -> Store:
    return open_store(settings().store_url)


def open_page(reader: SavedReader) -> AppTest:
    at = AppTest.from_file(str(ROOT / "app" / "main.py"), default_timeout=60)
    at.session_state["reader"] = reader
    at.switch_page("pages/agreement.py").run()
    assert not at.exception, at.exception
    return at


def read(store: Store, readers: list[SavedReader], scans: int = 6) -> None:
    for number in range(scans):
        for at, one in enumerate(readers):
            case = f"sub-{number}_ses-01"
            first(store, one.id, case)
            judge(store, one.id, "agree" if (number + at) % 3 else "disagree", case)
            second(store, one.id, case, "2A" if number % 2 else "normal", unaided=True)


def readers(store: Store, count: int) -> list[SavedReader]:
    return [reader_for(store, name, "typed") for name in ("Ada", "Ben", "Cleo")[:count]]


def figures(at: AppTest) -> str:
    return "".join(element.proto.spec for element in at.get("plotly_chart"))


def test_nobody_has_read_anything(store: Store) -> None:
    at = open_page(readers(store, 1)[0])
    assert "Nothing to count yet" in at.info[0].value
    assert figures(at) == ""


def test_one_reader_sees_their_own_and_what_is_needed_next(store: Store) -> None:
    (ada,) = readers(store, 1)
    read(store, [ada])
    at = open_page(ada)
    assert "6 finished readings of 6 scans by 1 reader; 0 scans are closed" in at.caption[0].value
    assert "All (n = 6, 6 scans)" in figures(at)
    at.segmented_control(key="agree_section").set_value("Readers").run()
    assert "Agreement needs a second reader" in at.info[0].value


@pytest.mark.parametrize("section", list(SECTIONS))
def test_three_readers_in_every_section(store: Store, section: str) -> None:
    everybody = readers(store, 3)
    read(store, everybody)
    at = open_page(everybody[0])
    at.segmented_control(key="agree_section").set_value(section).run()
    assert not at.exception
    drawn = figures(at)
    if section in ("Repeats", "Planted scans"):
        assert "assign" in at.info[0].value.lower()
        assert drawn == ""
    else:
        assert "n = " in drawn
        assert len(at.dataframe) >= 1
        assert any(one.key is not None and "agree_csv" in one.key for one in at.get("download_button"))


def test_agreement_on_classes_and_every_way(store: Store) -> None:
    everybody = readers(store, 2)
    read(store, everybody)
    at = open_page(everybody[0])
    for way in ("Sign", "Architecture", "Map", "Finding type"):
        at.segmented_control(key="agree_way").set_value(way).run()
        assert f"by {way.lower()}" in figures(at)
    at.segmented_control(key="agree_section").set_value("Readers").run()
    at.segmented_control(key="agree_what").set_value("classes").run()
    assert "Krippendorff's alpha, ordinal" in figures(at)
    assert not at.exception


def test_an_unfinished_reader_is_told_and_sees_nothing(store: Store) -> None:
    everybody = readers(store, 3)
    read(store, everybody[:2])
    first(store, everybody[2].id, "sub-0_ses-01")
    at = open_page(everybody[2])
    # A coordinator (demo mode) sees the five others.
    assert "10 finished readings of 5 scans by 2 readers" in at.caption[0].value
    assert "You have 1 scan to finish" in at.caption[1].value


def test_answers_changed_after_others_were_seen_are_left_out_and_said(store: Store) -> None:
    ada, ben = readers(store, 2)
    read(store, [ada, ben])
    before = counted(ada, True)
    assert before.late == 0
    second(store, ada.id, "sub-1_ses-01", "3")
    second(store, ben.id, "sub-1_ses-01", "1A")  # who has seen nothing
    after = counted(ada, True)
    assert after.late == 1
    table = after.crossed["classes: Ada / Ben"]
    assert (int(table.loc["2A", "1A"]), "3" in table.index) == (1, False)
    assert any("1 later answer is left out" in one.value for one in open_page(ada).caption)


def test_readers_who_are_no_coordinators_see_no_names(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FONTANELLE_COORDINATORS", "Somebody Else")
    settings.cache_clear()
    everybody = readers(store, 3)
    read(store, everybody)
    at = open_page(everybody[0])
    at.segmented_control(key="agree_section").set_value("Readers").run()
    drawn = figures(at)
    assert "You and Reader 1" in drawn
    assert "Ben" not in drawn
    assert not [one for one in at.button if one.key == "agree_labels"]
    assert shown_names({1: "Ada", 2: "Ben"}, 2, False) == {2: "You", 1: "Reader 1"}


def test_label_maps_say_what_is_refused(store: Store) -> None:
    everybody = readers(store, 2)
    read(store, everybody, 1)
    at = open_page(everybody[0])
    at.button(key="agree_labels").click().run()
    assert any("the analysis is not on disk" in one.value for one in at.warning)
    assert any("No label map" in one.value for one in at.info)


def test_label_maps_that_another_prepared_are_not_handed_on(store: Store) -> None:
    everybody = readers(store, 2)
    read(store, everybody, 1)
    at = open_page(everybody[0])
    at.button(key="agree_labels").click().run()
    at.session_state["reader"] = everybody[1]
    at.run()
    assert not any("No label map" in one.value for one in at.info)
    assert not at.warning


def test_synthetic_scans_are_named(store: Store) -> None:
    write_case(settings().derivatives_dir)
    at = open_page(readers(store, 1)[0])
    assert "Synthetic" in at.warning[0].value
    assert "in the worklist" in at.warning[0].value, "nothing is read yet"


def test_archive_holds_every_table_and_how_it_was_made(store: Store) -> None:
    everybody = readers(store, 2)
    read(store, everybody)
    with zipfile.ZipFile(io.BytesIO(archive(counted(everybody[0], True)))) as bundle:
        about = json.loads(bundle.read("about.json"))
        table = pd.read_csv(io.BytesIO(bundle.read("accepted_by_band.csv")))
    assert about["software"].startswith("fontanelle ")
    assert (about["scans"], about["readings"]) == (6, 12)
    assert table["verdicts"].tolist() == [12, 12]


def test_archive_tells_models_convention_and_headers_of_tables_without_rows(store: Store) -> None:
    everybody = readers(store, 2)
    read(store, everybody)
    with zipfile.ZipFile(io.BytesIO(archive(counted(everybody[0], True)))) as bundle:
        about = json.loads(bundle.read("about.json"))
        heads = {name: bundle.read(name).decode() for name in bundle.namelist()}
    assert heads["repeats.csv"] == "what,reader,items,scans,same answer,kappa,low,high,note\n"
    assert heads["planted.csv"].startswith("reader,readings,right,share,low,high,abnormal,")
    assert all("," in text.split("\n")[0] for name, text in heads.items() if name.endswith(".csv"))
    assert about["models"] == [{"model": "vae_8x8_512", "model_hash": "m" * 64, "maps": ["volume"]}]
    assert about["input_hashes"]["sub-0_ses-01"] == hash_of("sub-0_ses-01")
    assert "RAS+" in about["convention"]


def test_archive_without_names(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FONTANELLE_SECRET", "x" * 20)
    settings.cache_clear()
    everybody = readers(store, 2)
    read(store, everybody)
    with zipfile.ZipFile(io.BytesIO(archive(counted(everybody[0], True, hide=True)))) as bundle:
        text = "".join(name + bundle.read(name).decode() for name in bundle.namelist())
    assert pseudonym("x" * 20, "typed", "Ben") in text
    assert "Ada" not in text
    assert "Ben" not in text


def test_bands_are_written_as_on_every_page_and_kept_as_keys_in_the_data(store: Store) -> None:
    (ada,) = readers(store, 1)
    for number, band in enumerate(("2-3", "3-4", "4+")):
        judge(store, ada.id, "agree", region_=region(f"r{number}", map="volume", band=band))
    second(store, ada.id)
    at = open_page(ada)
    assert at.dataframe[0].value["group"].tolist() == ["All", "2–3", "3–4", "4+"]
    lines = json.loads(at.get("plotly_chart")[0].proto.spec)["layout"]["yaxis"]["ticktext"]
    assert [line.split(" (n")[0] for line in lines] == ["All", "2–3", "3–4", "4+"]
    assert counted(ada, True).tables["accepted by band"]["group"].tolist() == ["All", "2-3", "3-4", "4+"]


def test_shares_stand_with_their_intervals_in_one_column_and_apart_in_the_data(store: Store) -> None:
    everybody = readers(store, 2)
    read(store, everybody)
    at = open_page(everybody[0])
    at.segmented_control(key="agree_section").set_value("First and second read").run()
    shown = at.dataframe[0].value
    assert list(shown) == [
        *("reader", "readings", "known", "changed", "changed share"),
        *("helped", "helped share", "harmed", "harmed share"),
    ]
    assert shown["changed share"].tolist() == ["50% (17% to 83%)"] * 3
    assert shown["helped share"].tolist() == ["not defined"] * 3, "no class is known"
    assert "changed low" in counted(everybody[0], True).tables["change"]
    axis = json.loads(at.get("plotly_chart")[0].proto.spec)["layout"]["xaxis"]["range"]
    assert axis == [-0.02, 1.02], "a marker at 0 % is whole"


def test_a_name_is_no_formula_in_a_spreadsheet() -> None:
    table = pd.DataFrame({"reader": ["=1+1", "Ada", ""], "kappa": [-0.5, 1.0, 0.0]})
    assert csv_text(table) == "reader,kappa\n'=1+1,-0.5\nAda,1.0\n,0.0\n"


def test_finding_types_are_called_as_readers_know_them(store: Store) -> None:
    (ada,) = readers(store, 1)
    judge(store, ada.id, "agree", finding_type="infarct")
    judge(store, ada.id, "agree", "sub-b_ses-01", finding_type="white_matter_injury")
    for case in (SCAN, "sub-b_ses-01"):
        second(store, ada.id, case)
    groups = counted(ada, True).tables["accepted by finding type"]["group"].tolist()
    assert groups == ["All", "Infarct", "White-matter injury"]


def test_the_demo_cohort_s_scores_are_what_is_known(data_dir: object) -> None:
    assert known_classes() == {}
    settings().demo_dir.mkdir(parents=True)
    (settings().demo_dir / "participants.tsv").write_text(
        "participant_id\tsession_id\tradiology_score\nsub-a\tses-01\t1\nsub-b\tses-01\t5\nsub-c\tses-01\tn/a\n"
    )
    assert known_classes() == {"sub-a_ses-01": "normal", "sub-b_ses-01": "abnormal"}


def test_forest_says_what_is_not_defined() -> None:
    figure = forest(
        ["a", "b", "c"], [0.5, float("nan"), 1.0], [0.25, float("nan"), float("nan")], [0.75] * 3, "t", "x"
    )
    assert [one.text for one in figure.layout.annotations] == [
        "0.50 (0.25 to 0.75)",
        "not defined",
        "1.00 (no interval)",
    ]
    assert figure.data[0].error_x.array.tolist() == [0.25, 0.0, 0.0]


def test_confusion_figure_has_n_in_each_label() -> None:
    table = pd.DataFrame([[3, 1], [0, 2]], ["agree", "unsure"], ["agree", "unsure"])
    figure = confusion_figure(table, "Verdicts", "one", "other")
    assert figure.layout.title.text == "Verdicts, n = 6"
    assert list(figure.data[0].y) == ["agree (n = 4)", "unsure (n = 2)"]
    assert list(figure.data[0].x) == ["agree (n = 3)", "unsure (n = 3)"]
    assert [one.text for one in figure.layout.annotations] == ["3", "1", "0", "2"]
