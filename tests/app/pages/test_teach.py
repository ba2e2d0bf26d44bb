"""Teaching page: joining, composing, who may teach, what it says where nothing is there."""

from __future__ import annotations

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from app import state
from app.feedback.drafts import change_read, scan_key
from app.feedback.learners import join, learners
from app.feedback.lessons import advance, close_lesson, lessons_of, open_lesson
from app.feedback.store import Store, reader_for
from app.teach.downloads import results_csv
from core.config import ROOT, settings
from tests.app.feedback.readings import assign, first, second
from tests.app.teach.cohort import NORMAL, OTHER, SICK, write_cohort

PAGE = str(ROOT / "app" / "pages" / "teach.py")


def run(**query: str) -> AppTest:
    at = AppTest.from_file(PAGE, default_timeout=20)
    for name, value in query.items():
        at.query_params[name] = value
    return checked(at.run())


def checked(at: AppTest) -> AppTest:
    assert not at.exception, at.exception
    return at


def press(at: AppTest, label: str) -> AppTest:
    next(button for button in at.button if button.label == label).click()
    return checked(at.run())


def teacher(name: str = "Tea") -> AppTest:
    at = run()
    at.text_input(key="who_typed").set_value(name)
    return press(at, "Continue")


def compose(at: AppTest, *subjects: str, title: str = "Cysts") -> AppTest:
    at.text_input(key="lesson_title").set_value(title)
    checked(at.run())
    by_label = {option.split(" ")[0]: option for option in at.multiselect(key="lesson_cases").options}
    at.multiselect(key="lesson_cases").set_value([by_label[f"{one}_ses-01"] for one in subjects])
    checked(at.run())
    return press(at, "Make the lesson")


def test_without_scans_it_says_what_to_do(data_dir: Path) -> None:
    at = AppTest.from_file(str(ROOT / "app" / "main.py"), default_timeout=20).run()
    at.switch_page("pages/teach.py").run()
    at.text_input(key="who_typed").set_value("Tea")
    press(at, "Continue")
    assert "`make demo`" in at.info[0].value


def test_a_lesson_is_composed(data_dir: Path) -> None:
    cases = write_cohort(data_dir)
    at = teacher()
    assert "no longer an unaided read" in at.info[0].value
    options = at.multiselect(key="lesson_cases").options
    assert sorted(options) == ["sub-normal_ses-01", "sub-other_ses-01", "sub-sick_ses-01"]
    at.selectbox(key="lesson_limit").set_value("1 min")
    compose(at, SICK, NORMAL)
    (lesson,) = lessons_of(state.feedback(), reader_for(state.feedback(), "Tea", "typed").id)
    assert [case.input_hash for case in lesson.cases] == [cases[SICK].input_hash, cases[NORMAL].input_hash]
    assert (lesson.title, lesson.seconds_per_case, lesson.state) == ("Cysts", 60, "draft")
    assert lesson.reveal == ("truth", "readers", "model")


def test_a_random_order_keeps_its_seed(data_dir: Path) -> None:
    write_cohort(data_dir)
    at = teacher()
    at.segmented_control(key="lesson_order").set_value("Random")
    checked(at.run())
    at.number_input(key="lesson_seed").set_value(11)
    compose(at, SICK, NORMAL, OTHER)
    (lesson,) = lessons_of(state.feedback(), reader_for(state.feedback(), "Tea", "typed").id)
    assert lesson.seed == 11


def test_what_is_lacking_is_said(data_dir: Path) -> None:
    write_cohort(data_dir)
    at = compose(teacher(), title=" ")
    assert at.error[0].value == "The lesson needs a title."
    at = compose(at, title="Cysts")
    assert at.error[0].value == "The lesson needs at least one scan."


def test_scans_that_readers_owe_are_left_out(data_dir: Path) -> None:
    record = write_cohort(data_dir)[SICK]
    ada = reader_for(state.feedback(), "Ada", "typed")
    assign(state.feedback(), [ada.id], record.case_id, input_hash=record.input_hash)
    at = teacher()
    assert not [one for one in at.multiselect(key="lesson_cases").options if SICK in one]
    at.checkbox(key="lesson_owed").check()
    checked(at.run())
    assert [one for one in at.multiselect(key="lesson_cases").options if SICK in one]


def test_answers_stand_beside_scans_that_the_teacher_has_read_or_by_choice(data_dir: Path) -> None:
    cases = write_cohort(data_dir)
    store = state.feedback()
    tea, ada = (reader_for(store, name, "typed").id for name in ("Tea", "Ada"))
    second(store, tea, record=cases[SICK])
    second(store, ada, record=cases[NORMAL])
    at = teacher()
    assert sorted(at.multiselect(key="lesson_cases").options) == [
        "sub-normal_ses-01",
        "sub-other_ses-01",
        "sub-sick_ses-01 · cyst, punctate dark",
    ]
    at.checkbox(key="lesson_known").check()
    checked(at.run())
    assert sorted(at.multiselect(key="lesson_cases").options) == [
        "sub-normal_ses-01 · normal",
        "sub-other_ses-01 · answer not known",
        "sub-sick_ses-01 · cyst, punctate dark",
    ]


def test_a_scan_that_somebody_is_reading_is_left_out(data_dir: Path) -> None:
    cases = write_cohort(data_dir)
    ada = reader_for(state.feedback(), "Ada", "typed").id
    record = cases[SICK]
    key = scan_key(record.case_id, record.input_hash, 1)
    change_read(state.feedback(), reader_id=ada, scan=key, phase="first", active={"a": 5.0})
    assert len(teacher().multiselect(key="lesson_cases").options) == 3, "only opened"
    change_read(state.feedback(), reader_id=ada, scan=key, phase="first", classification="1A")
    first(state.feedback(), ada, record=cases[OTHER])
    assert teacher().multiselect(key="lesson_cases").options == ["sub-normal_ses-01"]
    second(state.feedback(), ada, record=record)
    second(state.feedback(), ada, record=cases[OTHER])
    assert len(teacher().multiselect(key="lesson_cases").options) == 3


def test_only_coordinators_teach(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_cohort(data_dir)
    monkeypatch.setenv("FONTANELLE_COORDINATORS", "Tea, Cora")
    settings.cache_clear()
    at = teacher("Ada")
    assert "composed by coordinators" in at.info[0].value
    assert not at.multiselect
    assert teacher("Cora").multiselect


def test_another_s_lesson_is_not_entered(data_dir: Path) -> None:
    write_cohort(data_dir)
    compose(teacher(), SICK)
    (lesson,) = lessons_of(state.feedback(), reader_for(state.feedback(), "Tea", "typed").id)
    at = run(lesson=lesson.id)
    at.text_input(key="who_typed").set_value("Ada")
    press(at, "Continue")
    assert at.warning[0].value == "There is no such lesson of yours."
    press(at, "All lessons")
    assert at.query_params["tab"] in ("Teach", ["Teach"])
    assert at.get("tab_container")[0].proto.tab_container.default_tab_index == 1


def test_joining_by_code(data_dir: Path) -> None:
    write_cohort(data_dir)
    at = compose(teacher(), SICK)
    store = state.feedback()
    (lesson,) = lessons_of(store, reader_for(store, "Tea", "typed").id)

    def joined(code: str, name: str) -> AppTest:
        at = run(code=code)
        assert at.text_input(key="join_code").value == code
        at.text_input(key="join_name").set_value(name)
        return press(at, "Join")

    assert "No lesson has this code" in joined("ZZZZZ", "Ann").error[0].value
    assert "not open for joining" in joined(lesson.join_code, "Ann").error[0].value
    open_lesson(store, lesson.id)
    assert "1 to 80 characters" in joined(lesson.join_code, " ").error[0].value
    at = joined(lesson.join_code.lower(), "Ann")
    (ann,) = learners(store, lesson.id)
    assert at.query_params["learner"] in (ann.id, [ann.id])
    # AppTest serves no routes: the page says how to start the app.
    assert "app/server.py" in at.error[0].value


def test_an_unknown_learner_joins_again(data_dir: Path) -> None:
    at = run(learner="nobody")
    assert "Join again" in at.warning[0].value
    assert at.text_input(key="join_code").value == ""


def lesson_list(data_dir: Path) -> tuple[Store, int, AppTest]:
    """Tea's list of lessons, with a draft."""
    write_cohort(data_dir)
    compose(teacher(), SICK)
    store = state.feedback()
    teacher_id = reader_for(store, "Tea", "typed").id
    at = run()
    at.selectbox(key="who_known").set_value("Tea")
    press(at, "Continue")
    return store, teacher_id, at


def test_the_list_opens_and_closes(data_dir: Path) -> None:
    store, teacher_id, at = lesson_list(data_dir)
    press(at, "Open to learners")
    (lesson,) = lessons_of(store, teacher_id)
    assert lesson.state == "open"
    join(store, lesson.id, "Ann")
    press(at, "Close")
    assert lessons_of(store, teacher_id)[0].state == "closed"
    press(at, "Open again")
    assert lessons_of(store, teacher_id)[0].state == "open"


def test_a_lesson_is_renamed_and_deleted_until_somebody_joins(data_dir: Path) -> None:
    store, teacher_id, at = lesson_list(data_dir)
    (lesson,) = lessons_of(store, teacher_id)
    at.text_input(key=f"title_{lesson.id}").set_value(" ")
    press(at, "Rename")
    assert "needs a title" in at.error[0].value
    at.text_input(key=f"title_{lesson.id}").set_value("Cysts,  second try")
    press(at, "Rename")
    (lesson,) = lessons_of(store, teacher_id)
    assert (lesson.title, lesson.state) == ("Cysts, second try", "draft")
    open_lesson(store, lesson.id)
    ann = join(store, lesson.id, "Ann")
    close_lesson(store, lesson.id)
    checked(at.run())
    assert not [one for one in at.button if one.label == "Delete this lesson"]
    compose(at, NORMAL, title="Normals")
    at = run()
    at.selectbox(key="who_known").set_value("Tea")
    press(at, "Continue")
    press(at, "Delete this lesson")
    assert [one.title for one in lessons_of(store, teacher_id)] == ["Cysts, second try"]
    assert learners(store, lesson.id) == [ann]


def test_names_in_the_results_run_in_no_spreadsheet(data_dir: Path) -> None:
    write_cohort(data_dir)
    compose(teacher(), SICK, title="=1+1")
    store = state.feedback()
    (lesson,) = lessons_of(store, reader_for(store, "Tea", "typed").id)
    open_lesson(store, lesson.id)
    join(store, lesson.id, "@Ann")
    advance(store, lesson.id, after=-1)
    close_lesson(store, lesson.id)
    lines = results_csv(store, lesson.id).splitlines()
    assert lines[1].startswith("'=1+1,'@Ann,1,")
