"""The Review page by AppTest: gates, verdicts, undo, missing pieces, the fallback without volume routes."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest
from streamlit.testing.v1.element_tree import Selectbox, Toggle

from app import routes
from app.cases import address
from app.feedback.store import (
    add_missed,
    history,
    missed_input,
    new_id,
    reader_for,
)
from app.jobs import JobError
from app.review import reading
from core.config import ROOT, settings
from core.io.derivatives import (
    MAP_NAMES,
    CasePaths,
    CaseRecord,
    MapName,
    read_regions,
    write_record,
    write_regions,
)
from tests.app.review.helpers import (
    MAIN,
    PAGE,
    call,
    components,
    flags_at_once,
    loaded,
    mark_at,
    marked,
    page,
    ran,
    store,
    text,
    typed,
)
from tests.casefactory import BRIGHT_LEFT, DARK_RIGHT, Block, seal, write_case

WEAK = Block("r03", (10, 10, 10), (12, 12, 12), 2.5)
BLOCKS = (BRIGHT_LEFT, DARK_RIGHT, WEAK)


@pytest.fixture
def case(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> CaseRecord:
    """One case, in a process that serves the volume routes; its flags are shown at once."""
    monkeypatch.setattr(routes._served, "on", True)
    flags_at_once(monkeypatch)
    return write_case(settings().derivatives_dir, blocks=BLOCKS)


def drawn(at: AppTest) -> list[Any]:
    """The viewer, or the slider of the slices."""
    return [*at.get("bidi_component"), *at.slider]


def box(at: AppTest, label: str) -> Selectbox:
    return next(one for one in at.selectbox if one.label == label)


def weak(at: AppTest) -> Toggle:
    return next(one for one in at.toggle if one.label == "Band 2–3 too")


def enabled(at: AppTest) -> bool:
    return not at.button(key="verdict_agree").disabled


def rows(case: CaseRecord) -> list[tuple[str, str, str, bool]]:
    reader = reader_for(store(), "Ada", "typed")
    found = history(store(), case_id=case.case_id, model=case.model, reader_id=reader.id)
    return [(row.region_id, row.verdict, row.note, row.retracted) for row in found]


def test_no_cases(data_dir: Path) -> None:
    at = AppTest.from_file(str(ROOT / "app" / "main.py"), default_timeout=30)
    at.switch_page("pages/review.py")
    ran(at)
    assert at.info[0].value.startswith("No analysed scan yet")


def test_opens_the_case_of_the_address(case: CaseRecord) -> None:
    other = write_case(settings().derivatives_dir, "sub-zzz", blocks=(DARK_RIGHT,))
    at = AppTest.from_file(PAGE, default_timeout=30)
    at.session_state["reader"] = reader_for(store(), "Ada", "typed")
    at.query_params["case"] = address(other)[:16]
    ran(at)
    assert box(at, "Case").value == "sub-zzz_ses-01"
    assert "0 of 1 regions read" in text(at)


@pytest.mark.parametrize("redone", [False, True])
def test_a_dead_link_opens_nothing_until_a_case_is_picked(case: CaseRecord, redone: bool) -> None:
    other = write_case(settings().derivatives_dir, "sub-zzz", blocks=(DARK_RIGHT,))
    at = AppTest.from_file(MAIN, default_timeout=30)
    at.switch_page("pages/review.py")
    at.query_params["case"] = address(other)[:16] if redone else "0" * 16
    if redone:  # the scan is there, by an analysis of another content
        paths = CasePaths(settings().derivatives_dir, other.subject, other.session)
        write_record(replace(other, key="f" * 64), paths.case_json(other.model))
    for _ in range(2):  # it stays, whoever reads
        ran(at)
        assert "it was removed or done anew" in at.warning[0].value
        assert "case" not in at.session_state
        assert "reading" not in at.session_state
        at.session_state["reader"] = reader_for(store(), "Ada", "typed")
    at.selectbox(key="review_pick").select("sub-zzz_ses-01")
    ran(at)
    assert not at.warning
    assert at.session_state["reading"].record.case_id == "sub-zzz_ses-01"


def test_a_dead_link_leads_to_the_worklist(case: CaseRecord) -> None:
    at = AppTest.from_file(MAIN, default_timeout=30)
    at.switch_page("pages/review.py")
    at.query_params["case"] = "0" * 16
    ran(at)
    at.button(key="review_worklist").click()
    ran(at)
    assert at.title[0].value == "Worklist"


def test_an_analysis_done_anew_while_open_is_not_followed_by_another(case: CaseRecord) -> None:
    write_case(settings().derivatives_dir, "sub-aaa", blocks=(DARK_RIGHT,))
    at = page(case=address(case)[:16])
    paths = CasePaths(settings().derivatives_dir, case.subject, case.session)
    write_record(replace(case, key="f" * 64), paths.case_json(case.model))
    ran(at)
    assert "it was removed or done anew" in at.warning[0].value
    assert not drawn(at)


def test_asks_who_reads(case: CaseRecord) -> None:
    at = ran(AppTest.from_file(PAGE, default_timeout=30))
    assert at.text_input(key="who_typed").label == "Your name"
    assert "regions read" not in text(at)


def test_case_and_region_stay_while_the_reader_changes(case: CaseRecord) -> None:
    other = write_case(settings().derivatives_dir, "sub-zzz", blocks=BLOCKS)
    at = AppTest.from_file(MAIN, default_timeout=30)
    at.switch_page("pages/review.py")
    at.session_state["reader"] = reader_for(store(), "Ada", "typed")
    at.session_state["case"] = address(other)[:16]
    ran(at)
    weak(at).set_value(True)
    ran(at)
    at.session_state["reading_region"] = "vr03"  # of the weak band
    ran(at)
    at.button(key="change_reader").click()
    ran(at)
    at.text_input(key="who_typed").set_value("Bob")
    next(button for button in at.button if button.label == "Continue").click()
    ran(at)
    assert at.session_state["reading"].reader.name == "Bob"
    assert at.session_state["reading"].record.case_id == "sub-zzz_ses-01"
    assert weak(at).value is True
    assert components(at)["note"]["place"] == f"2.{address(other)}.vr03"
    assert components(at)["note"]["value"] == ""


def test_verdicts_wait_for_the_viewer(case: CaseRecord) -> None:
    at = page(reading_region="vr01")
    assert not enabled(at)
    assert "Verdicts wait until the viewer shows this case" in text(at)
    at.session_state["reading_loaded"] = loaded(case)
    assert enabled(ran(at))


@pytest.mark.parametrize("change", ["case", "hash", "map"])
def test_verdicts_refused_for_another_brain(case: CaseRecord, change: str) -> None:
    said = loaded(case)
    if change == "case":
        said["case"] = "sub-other_ses-01"
    elif change == "map":
        said["map"] = "normative"
    else:
        said["hashes"]["base"] = "0" * 64
    assert not enabled(page(reading_region="vr01", reading_loaded=said))


def test_a_verdict_is_saved_with_its_note_once(case: CaseRecord) -> None:
    at = page(reading_region="vr01", reading_loaded=loaded(case))
    typed(at, "region", "cyst")
    at.button(key="verdict_disagree").click()
    ran(at)
    assert rows(case) == [("vr01", "disagree", "cyst", False)]
    assert "saved" in text(at)
    assert "1 of 2 regions read" in text(at)
    at.button(key="verdict_disagree").click()  # a doubled click
    ran(at)
    assert len(rows(case)) == 1
    at.button(key="verdict_agree").click()  # a change of mind
    ran(at)
    assert rows(case)[1] == ("vr01", "agree", "cyst", False)
    assert "1 of 2 regions read" in text(at)


def test_undo_is_a_row_and_brings_the_earlier_answer_back(case: CaseRecord) -> None:
    at = page(reading_region="vr02", reading_loaded=loaded(case))
    at.button(key="verdict_unsure").click()
    ran(at)
    at.button(key="verdict_undo").click()
    ran(at)
    assert rows(case) == [("vr02", "unsure", "", False), ("vr02", "unsure", "", True)]
    assert "0 of 2 regions read" in text(at)
    at.button(key="verdict_undo").click()
    ran(at)
    assert "nothing to undo" in text(at)
    assert len(rows(case)) == 2


def test_a_fresh_session_finds_what_was_said(case: CaseRecord) -> None:
    at = page(reading_region="vr01", reading_loaded=loaded(case))
    at.button(key="verdict_agree").click()
    ran(at)
    assert "1 of 2 regions read" in text(page())


def test_weak_band_is_shown_when_asked(case: CaseRecord) -> None:
    at = page()
    assert "0 of 2 regions read" in text(at)
    assert "Validation normals have 0.7 regions" in text(at)
    weak(at).set_value(True)
    ran(at)
    assert "0 of 3 regions read" in text(at)
    assert "Validation normals have 2.8 regions" in text(at)


def test_nothing_flagged(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes._served, "on", True)
    flags_at_once(monkeypatch)
    write_case(settings().derivatives_dir, blocks=())
    assert page().info[0].value == "This map flags no region at 3 SD and more."


@pytest.mark.parametrize("lost", ["volume", "normative"])
def test_a_lost_map_is_off_and_the_other_read(case: CaseRecord, lost: MapName) -> None:
    paths = CasePaths(settings().derivatives_dir, case.subject, case.session)
    paths.z(case.model, lost).unlink()
    at = page(reading_map=lost)
    words = f"The {lost} map is off. {paths.z(case.model, lost).name}: missing; analyse the scan again"
    assert [one.value for one in at.warning] == [words]
    assert not at.error
    other = "normative" if lost == "volume" else "volume"
    assert at.session_state["reading"].name == other
    assert {one.map for one in at.session_state["reading"].regions} == {other}
    assert f"z-{lost}" not in at.session_state["reading"].hashes
    assert "press m" not in text(at)


def test_without_any_map_nothing_is_read(case: CaseRecord) -> None:
    paths = CasePaths(settings().derivatives_dir, case.subject, case.session)
    for name in MAP_NAMES:
        paths.z(case.model, name).unlink(missing_ok=True)
    at = page()
    assert "desc-volumeZ_zmap.nii.gz: missing" in at.error[0].value
    assert not drawn(at)


@pytest.mark.parametrize(
    ("volume", "normative", "words"),
    [
        ([], ["nr01", "nr02"], "The normative map flags 2 regions: press m."),
        (["vr01"], ["nr01", "nr02"], "The normative map flags 2 regions: press m."),
        (["vr03"], ["nr01"], "The normative map flags 1 region: press m."),
        (["vr01"], ["nr01"], ""),
        ([], ["nr03"], ""),  # below 3 SD
    ],
)
def test_more_flags_in_the_other_map_are_told(
    case: CaseRecord, volume: list[str], normative: list[str], words: str
) -> None:
    paths = CasePaths(settings().derivatives_dir, case.subject, case.session)
    kept = [one for one in read_regions(paths.regions(case.model)) if one.id in [*volume, *normative]]
    write_regions(kept, paths.regions(case.model))
    seal(settings().derivatives_dir, case)
    told = [one.value for one in page().caption if "map flags" in one.value]
    assert len(told) == (words != "")
    assert not told or told[0].endswith(f" {words}")


def test_a_finished_scan_says_when_it_was_saved_and_what_saving_again_does(case: CaseRecord) -> None:
    at = page(reading_loaded=loaded(case))
    assert at.button(key="review_finish").label == "Save second read (F)"
    at.button(key="class_1A").click()
    ran(at)
    for _ in range(2):  # two regions have no answer: asked once
        at.button(key="review_finish").click()
        ran(at)
    again = page(reading_loaded=loaded(case))
    assert again.button(key="review_finish").label == "Save again (F)"
    (saved,) = [one.value for one in again.caption if one.value.startswith("Saved at ")]
    assert re.fullmatch(r"Saved at \d\d:\d\d:\d\d; nothing has changed since\.", saved)
    again.button(key="class_2A").click()
    ran(again)
    assert [one.value for one in again.caption if one.value.endswith("this one is kept.")]


def test_missed_finding_is_kept_with_its_note(case: CaseRecord) -> None:
    def points() -> list[tuple[float, float, float, str]]:
        return [(one.x_mm, one.y_mm, one.z_mm, one.note) for one in marked(case)]

    at = page(reading_loaded=loaded(case))
    id = new_id()
    mark_at(at, case, 1.0, -2.0, 3.5, id=id)
    assert components(at)["viewer"]["marked"] == [id]
    # Told again by a viewer that has not heard: kept once.
    again = page(reading_loaded=loaded(case))
    mark_at(again, case, 1.0, -2.0, 3.5, id=id)
    assert components(again)["viewer"]["marked"] == [id]
    # Of a case that is no longer open, or of the step before: told, and not asked for again.
    for more in ({"case": "sub-other_ses-01"}, {"blind": True}):
        mark_at(at, case, 1.0, -2.0, 3.5, **more)
        assert "Not saved: the mark belongs to another scan or step" in text(at)
        assert len(components(at)["viewer"]["marked"]) == (2 if "case" in more else 3)
    assert points() == [(1.0, -2.0, 3.5, "")]
    root = components(at)["desk"]["mark"]
    typed(at, root, "punctate lesion")
    assert components(at)[root]["value"] == "punctate lesion"
    assert points() == [(1.0, -2.0, 3.5, "")], "a draft until the read is saved"
    at.button(key="class_1A").click()
    ran(at)
    for _ in range(2):  # two regions have no answer: asked once
        at.button(key="review_finish").click()
        ran(at)
    assert points() == [(1.0, -2.0, 3.5, "punctate lesion")]
    next(button for button in at.button if str(button.key).startswith("missed_remove_")).click()
    ran(at)
    assert points() == []


def test_without_routes_slices_are_drawn_and_verdicts_possible(
    case: CaseRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routes._served, "on", False)
    at = page(reading_region="vr01")
    assert "streamlit run app/server.py" in at.info[0].value
    assert at.slider(key="drawn_axial_vr01").value == 13  # the region's slice, counted from 1
    assert enabled(at)
    assert "image right is patient left" in text(at)


def test_browser_without_webgl_gets_slices_too(case: CaseRecord) -> None:
    at = page(reading_unsupported=True, reading_region="vr01")
    assert at.slider(key="drawn_axial_vr01").max == 22
    assert enabled(at)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda paths, model: paths.acquired.unlink(), "desc-acquired_T2w.nii.gz: missing"),
        (
            lambda paths, model: paths.z(model, "volume").write_bytes(b"junk"),
            "desc-volumeZ_zmap.nii.gz: changed since this analysis",
        ),
    ],
)
def test_a_missing_or_broken_file_is_named_and_the_page_stays(
    case: CaseRecord, spoil: Any, words: str
) -> None:
    spoil(CasePaths(settings().derivatives_dir, case.subject, case.session), case.model)
    at = page()
    assert words in at.error[0].value
    assert box(at, "Case").value == case.case_id


@pytest.mark.parametrize("served", [True, False])
@pytest.mark.parametrize("what", ["acquired", "mask", "reconstruction", "z-volume", "z-normative", "regions"])
def test_files_of_another_analysis_are_never_shown(
    case: CaseRecord, what: str, served: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whole and readable, the right grid, but not what this analysis wrote: nothing is drawn of it."""
    monkeypatch.setattr(routes._served, "on", served)
    other = write_case(settings().derivatives_dir, "sub-zzz", blocks=(DARK_RIGHT,))
    mine, foreign = (CasePaths(settings().derivatives_dir, one.subject, one.session) for one in (case, other))
    model = case.model
    files = {
        "acquired": (mine.acquired, foreign.acquired),
        "reconstruction": (mine.reconstruction(model), foreign.acquired),
        "z-volume": (mine.z(model, "volume"), foreign.z(model, "volume")),
        "z-normative": (mine.z(model, "normative"), foreign.z(model, "normative")),
        "regions": (mine.regions(model), foreign.regions(model)),
        "mask": (mine.mask, foreign.z(model, "volume")),
    }
    assert drawn(page())  # seen and cached before it changes
    target, source = files[what]
    target.write_bytes(source.read_bytes())
    at = page(reading_region="vr01", reading_loaded=loaded(other))
    assert f"{target.name}: changed since this analysis; analyse the scan again" in at.error[0].value
    assert "reading" not in at.session_state
    assert not [button for button in at.button if button.key == "verdict_agree"]
    assert not drawn(at)
    assert box(at, "Case").value == case.case_id
    at.button(key="review_next").click()
    ran(at)
    assert at.session_state["reading"].record.case_id == "sub-zzz_ses-01"


def test_map_that_the_analysis_lacks_is_not_taken_from_an_older_one(case: CaseRecord) -> None:
    only = replace(case, bands={"volume": case.bands["volume"]})
    paths = CasePaths(settings().derivatives_dir, case.subject, case.session)
    files = {name: digest for name, digest in case.files.items() if "normative" not in name}
    write_record(replace(only, files=files), paths.case_json(case.model))
    at = page()
    assert not at.error
    assert sorted(at.session_state["reading"].hashes) == ["base", "mask", "reconstruction", "z-volume"]


def test_lacking_reconstruction_is_said_and_the_rest_shown(case: CaseRecord) -> None:
    paths = CasePaths(settings().derivatives_dir, case.subject, case.session)
    paths.reconstruction(case.model).unlink()
    at = page()
    assert "desc-reconstruction_T2w.nii.gz: missing" in at.warning[0].value
    assert "0 of 2 regions read" in text(at)


def test_broken_records_beside_a_whole_one_are_left_to_the_worklist(case: CaseRecord) -> None:
    for number, words in ((1, "1 analysis can't be read; see"), (2, "2 analyses can't be read; see")):
        bad = CasePaths(settings().derivatives_dir, f"sub-bad{number}", "ses-01").case_json(case.model)
        bad.parent.mkdir(parents=True)
        bad.write_text("{")
        at = page()
        assert not at.warning
        assert at.caption[0].value == f"{words} the Worklist."
        assert "0 of 2 regions read" in text(at)


def test_errors_tell_no_folder_of_the_server(case: CaseRecord) -> None:
    paths = CasePaths(settings().derivatives_dir, case.subject, case.session)
    paths.z(case.model, "normative").write_bytes(b"junk")
    seal(settings().derivatives_dir, case)
    at = page()
    said = [one.value for one in [*at.warning, *at.error]]
    assert said
    assert not [one for one in said if str(paths.folder) in one or "Errno" in one], said


def test_next_and_previous_case_and_other_model(case: CaseRecord) -> None:
    second = write_case(settings().derivatives_dir, "sub-zzz", blocks=(DARK_RIGHT,))
    write_case(settings().derivatives_dir, "sub-zzz", model="std_8x8", blocks=())
    at = page(reading_region="vr01")
    assert at.button(key="review_previous").disabled
    at.button(key="review_next").click()
    ran(at)
    assert box(at, "Case").value == second.case_id
    assert box(at, "Model").value == case.model  # the same model on the next scan
    assert "reading_region" not in at.session_state
    box(at, "Model").select("std_8x8")
    ran(at)
    assert at.session_state["reading"].record.model == "std_8x8"


def test_scans_of_equal_content_open_as_themselves(case: CaseRecord) -> None:
    """The same voxels under two subjects: one content key, two cases."""
    twin = write_case(settings().derivatives_dir, "sub-twin", blocks=BLOCKS)
    assert twin.key == case.key
    at = page(reading_region="vr01", reading_loaded=loaded(case))
    typed(at, "region", "cyst")
    at.button(key="review_next").click()
    ran(at)
    assert at.session_state["reading"].record.case_id == "sub-twin_ses-01"
    assert at.query_params["case"] == address(twin)[:16]
    at.session_state["reading_region"] = "vr01"
    ran(at)
    assert components(at)["note"]["place"].split(".")[1] == address(twin)
    assert components(at)["note"]["value"] == ""
    assert at.button(key="review_next").disabled
    at.button(key="review_previous").click()
    ran(at)
    assert at.session_state["reading"].record.case_id == case.case_id


def test_a_draft_survives_a_new_session(case: CaseRecord) -> None:
    def noted(at: AppTest) -> str:
        return str(components(at)["note"]["value"])

    typed(page(reading_region="vr01", reading_loaded=loaded(case)), "region", "cyst?")
    second = page(reading_region="vr01", reading_loaded=loaded(case))
    assert noted(second) == "cyst?"
    assert rows(case) == [], "a draft is no answer"
    second.button(key="verdict_agree").click()
    ran(second)
    assert rows(case) == [("vr01", "agree", "cyst?", False)]
    typed(second, "region", "cyst, 3 mm")
    assert noted(page(reading_region="vr01")) == "cyst, 3 mm"
    assert noted(page(reading_region="vr02")) == ""


def test_a_toggle_that_comes_back_unchanged_changes_nothing(case: CaseRecord) -> None:
    at = page(reading_loaded=loaded(case), reading_region="vr01")
    call(at, lambda: reading.on_weak_toggle("review_weak_False"))
    assert weak(at).value is False
    assert at.session_state["reading_region"] == "vr01"


def test_an_echo_of_a_toggle_that_is_gone_turns_no_bands_off(case: CaseRecord) -> None:
    """A message that left before the browser heard of the new bands holds the old toggle, as it was drawn."""
    at = page(reading_loaded=loaded(case), review_weak=True, reading_region="vr01")
    call(at, lambda: reading.on_weak_toggle("review_weak_False"), review_weak_False=False)
    assert weak(at).value is True
    assert at.session_state["reading_region"] == "vr01"
    weak(at).set_value(False)  # the reader's own hand
    ran(at)
    assert weak(at).value is False


def test_the_toggle_follows_the_viewers_weak_bands(case: CaseRecord) -> None:
    at = page()
    with pytest.MonkeyPatch.context() as patch:
        session: dict[str, Any] = {}
        patch.setattr(reading.st, "session_state", session)
        patch.setattr(reading, "viewer_said", lambda event: {"on": True} if event == "weak" else None)
        reading.on_weak()
    for name, value in session.items():
        at.session_state[name] = value
    ran(at)
    assert weak(at).value is True
    assert "0 of 3 regions read" in text(at)


def test_missed_findings_of_another_scan_under_this_name_stay_away(case: CaseRecord) -> None:
    reader = reader_for(store(), "Ada", "typed")
    for record, x in ((case, 1.0), (replace(case, input_hash="0" * 64), 9.0)):
        given = missed_input(
            record, id=new_id(), reader_id=reader.id, map="volume", point_mm=(x, 0.0, 0.0), radius_mm=5.0
        )
        add_missed(store(), given)
    at = page()
    assert [note.value for note in at.caption if " mm" in note.value] == ["1, 0, 0 mm"]


def test_model_without_result_is_offered(case: CaseRecord, monkeypatch: pytest.MonkeyPatch) -> None:
    at = page()
    box(at, "Model").select("std_16x16")
    ran(at)
    assert "std_16x16 has no result for this scan and can't be run" in at.warning[0].value
    assert "`python -m core analyze SCAN --model std_16x16`" in at.warning[0].value
    raw = settings().demo_dir / case.subject / case.session / "anat" / f"{case.case_id}_T2w.nii.gz"
    raw.parent.mkdir(parents=True)
    raw.touch()
    weights = settings().models_dir / "std_16x16"
    weights.mkdir(parents=True)
    (weights / "config.json").touch()
    asked: list[tuple[Any, ...]] = []

    def submit(*args: Any) -> str:
        asked.append(args)
        raise JobError("The queue is closed.")

    monkeypatch.setattr("app.jobs.submit", submit)
    ran(at)
    at.button(key="review_run").click()
    ran(at)
    assert asked == [(settings().jobs_dir, [raw], ["std_16x16"])]
    assert "The queue is closed." in text(at)
    assert at.session_state["reading"].record.model == case.model


def test_torch_is_not_imported(case: CaseRecord) -> None:
    code = (
        "import sys; from streamlit.testing.v1 import AppTest; "
        f"at = AppTest.from_file({PAGE!r}, default_timeout=60).run(); "
        "assert not at.exception, at.exception; assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
