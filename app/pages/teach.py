"""Teaching: join a lesson, or compose and lead one."""

from __future__ import annotations

from functools import partial

import streamlit as st

from app import identity, state
from app.feedback.learners import find_learner, join, learners
from app.feedback.lesson_rows import SavedLesson
from app.feedback.lesson_upkeep import delete_lesson, rename_lesson
from app.feedback.lessons import close_lesson, find_lesson, lesson_by_code, lessons_of, open_lesson
from app.feedback.store import SavedReader, Store, StoreError
from app.routes import AssetMissing, served
from app.teach import hub
from app.teach.component import lesson_view
from app.teach.compose import composer
from app.teach.downloads import dictionary, marks_csv, results_csv
from app.teach.results import overview, results, told
from app.teach.snapshot import DAMAGED, Follower
from app.words import scan_count

# Names in the page's own address. A learner's and a lesson's id are random, and known to their browser only.
LEARNER, LESSON, PROJECTOR, CODE, TAB = "learner", "lesson", "projector", "code", "tab"
JOIN, TEACH = "Join", "Teach"
STYLE = """<style>
.stMainBlockContainer {padding: 2.6rem 1.25rem 1rem; max-width: none;}
</style>"""
SCORES = 1300  # pixels: a wider table can't be followed from a learner to the scores
# A learner gets the lesson and nothing else; on the wall there is no room for more.
ALONE = "<style>.stSidebar, [data-testid='stExpandSidebarButton'] {display: none;}</style>"
WALL = (
    "<style>.stAppHeader, .fontanelle-notice {display: none;} "
    ".stMainBlockContainer {padding: 0 !important;} .stMain {overflow: hidden;} "
    "[data-testid='stVerticalBlock'] {gap: 0;}</style>"
)


def mount(who: Follower) -> None:
    """The lesson itself."""
    if not served():
        st.error("A lesson needs the routes of `python -m streamlit run app/server.py`; start the app so.")
        return
    try:
        lesson_view(who)
    except AssetMissing as error:
        st.error(str(error))


def go(**names: str) -> None:
    """Turn to another view of this page; a reload finds it by the address."""
    st.query_params.from_dict(names)
    st.rerun()


def joining(store: Store) -> None:
    """Code and name, and in."""
    st.subheader("Join a lesson", anchor=False)
    st.caption("Your teacher shows the code. No account is needed; nobody checks the name.")
    with st.form("join", border=False, width=420):
        code = st.text_input("Code", st.query_params.get(CODE, ""), key="join_code", max_chars=20)
        name = st.text_input("Your name", key="join_name", max_chars=80, placeholder="e.g. R. Resident")
        asked = st.form_submit_button("Join", type="primary", key="join_go")
    if not asked:
        return
    lesson = lesson_by_code(store, code)
    if lesson is None:
        st.error("No lesson has this code. Look at the letters again.")
        return
    learner = join(store, lesson.id, name, hub.present(lesson.id))
    hub.touch(lesson.id)
    go(**{LEARNER: learner.id})


def learning(store: Store, learner_id: str) -> None:
    """A learner's lesson."""
    st.html(STYLE + ALONE)
    learner = find_learner(store, learner_id)
    if learner is None:
        st.warning("This lesson is not known here. Join again with its code.")
        joining(store)
        return
    mount(Follower("learner", learner.lesson_id, learner.id))


def on_the_wall(store: Store, lesson_id: str) -> None:
    """Projector mode."""
    st.html(STYLE + ALONE + WALL)
    if find_lesson(store, lesson_id) is None:
        st.error("There is no such lesson. Open projector mode from the lesson again.")
        return
    mount(Follower("projector", lesson_id))


def leading(store: Store, lesson: SavedLesson) -> None:
    """The teacher's lesson, with its results below."""
    back, name, wall = st.columns([0.14, 0.62, 0.24], vertical_alignment="center")
    if back.button("All lessons", icon=":material/arrow_back:", key="lesson_back", type="tertiary"):
        go(**{TAB: TEACH})
    name.caption(
        "This screen shows of each scan what the class sees."
        + (f" Random order, seed {lesson.seed}." if lesson.seed is not None else "")
    )
    wall.link_button(
        "Projector mode",
        f"?{PROJECTOR}={lesson.id}",
        icon=":material/present_to_all:",
        help="A page for the wall: large text, your pointer, no names",
    )
    mount(Follower("teacher", lesson.id))
    with st.container(width=SCORES):
        scores(store, lesson.id)


@st.fragment(run_every=4.0)
def scores(store: Store, lesson_id: str) -> None:
    """Results so far; those of a scan once its answer is shown: this screen may hang on the wall."""
    lesson = find_lesson(store, lesson_id)
    if lesson is None or lesson.case_index < 0:
        return
    st.subheader("Results", anchor=False)
    try:
        found = results(store, lesson)
    except DAMAGED as error:
        st.error(f"The known answers can't be read. {error}")
        return
    upto = told(lesson)
    if upto < 0 or not found.learners:
        st.caption("Scores follow once an answer is shown.")
        return
    st.dataframe(overview(found, upto), hide_index=True, key="lesson_scores")
    for index, why in sorted(found.held.items()):
        if index <= upto:
            st.caption(why)
    st.caption(
        f"A mark within {lesson.tolerance_mm:g} mm of a lesion is on it. Each lesion counts once, found or "
        "missed; further marks on it count neither way. The finding type is not scored. No answer: nothing "
        "marked and not committed; it counts in no score. Names are as typed."
    )
    name = f"lesson_{lesson.join_code}"
    with st.container(horizontal=True):
        for label, text, file, kind, key in (
            ("Download results", partial(results_csv, store, lesson_id), f"{name}.csv", "text/csv", "csv"),
            (
                "Download marks",
                partial(marks_csv, store, lesson_id),
                f"{name}_marks.csv",
                "text/csv",
                "marks",
            ),
            ("What the columns hold", dictionary, f"{name}.json", "application/json", "columns"),
        ):
            st.download_button(
                label, text, file, kind, key=f"lesson_{key}", icon=":material/download:", on_click="ignore"
            )


def teaching(store: Store) -> None:
    """A coordinator's lessons, and a new one."""
    reader = identity.current_reader()
    if reader is None:
        identity.ask(store)
        return
    if not identity.is_coordinator(reader):
        st.info("Lessons are composed by coordinators. Whoever runs this server names them.")
        return
    mine = lessons_of(store, reader.id)
    if mine:
        st.subheader("Your lessons", anchor=False)
        st.caption("Enter leads to a lesson's page, where you lead it. Learners can join while it is open.")
    for lesson in mine:
        _line(store, lesson)
    st.subheader("New lesson", anchor=False)
    made = composer(store, reader)
    if made is not None:
        go(**{LESSON: made.id})


def _line(store: Store, lesson: SavedLesson) -> None:
    text, code, enter, gate, more = st.columns([0.38, 0.17, 0.12, 0.2, 0.13], vertical_alignment="center")
    text.text(f"{lesson.title}\n{scan_count(len(lesson.cases))}, {lesson.state}")
    code.markdown(f"Code `{lesson.join_code}`")
    if enter.button("Results" if lesson.state == "closed" else "Enter", key=f"enter_{lesson.id}"):
        go(**{LESSON: lesson.id})
    if lesson.state == "open":
        gate.button("Close", key=f"close_{lesson.id}", on_click=_gate, args=(store, lesson.id, False))
    else:
        word = "Open to learners" if lesson.state == "draft" else "Open again"
        gate.button(word, key=f"open_{lesson.id}", on_click=_gate, args=(store, lesson.id, True))
        with more.popover("More", key=f"more_{lesson.id}"):
            _change(store, lesson)


def _change(store: Store, lesson: SavedLesson) -> None:
    """Another title; and away with a lesson that nobody has joined."""
    title = st.text_input("Title", lesson.title, key=f"title_{lesson.id}", max_chars=200)
    if st.button("Rename", key=f"rename_{lesson.id}"):
        try:
            rename_lesson(store, lesson.id, title)
        except StoreError as error:
            st.error(str(error))
            return
        hub.touch(lesson.id)
        st.rerun()
    if learners(store, lesson.id):
        st.caption("Somebody has joined: the lesson keeps what they answered, and can't be deleted.")
    elif st.button("Delete this lesson", key=f"delete_{lesson.id}", icon=":material/delete:"):
        delete_lesson(store, lesson.id)
        hub.touch(lesson.id)
        st.rerun()


def _gate(store: Store, lesson_id: str, opened: bool) -> None:
    (open_lesson if opened else close_lesson)(store, lesson_id)
    hub.touch(lesson_id)


def own(store: Store, lesson_id: str, reader: SavedReader) -> SavedLesson | None:
    """The lesson of this teacher, None where it is another's or gone."""
    lesson = find_lesson(store, lesson_id)
    return lesson if lesson is not None and lesson.teacher_id == reader.id else None


def page() -> None:
    asked = st.query_params
    alone = LEARNER in asked or PROJECTOR in asked or LESSON in asked
    st.set_page_config(layout="wide", initial_sidebar_state="collapsed" if alone else "auto")
    try:
        store = state.feedback()
        if LEARNER in asked:
            learning(store, asked[LEARNER])
        elif PROJECTOR in asked:
            on_the_wall(store, asked[PROJECTOR])
        elif LESSON in asked:
            st.html(STYLE)
            reader = identity.require_reader()
            lesson = own(store, asked[LESSON], reader) if identity.is_coordinator(reader) else None
            if lesson is None:
                st.warning("There is no such lesson of yours.")
                if st.button("All lessons", key="lesson_back"):
                    go(**{TAB: TEACH})
                return
            leading(store, lesson)
        else:
            st.title("Teaching", anchor=False)
            # From a lesson of one's own the way back leads to the list of them.
            learn, teach = st.tabs([JOIN, TEACH], default=TEACH if asked.get(TAB) == TEACH else JOIN)
            with learn:
                joining(store)
            with teach:
                teaching(store)
    except StoreError as error:
        st.error(str(error), icon=":material/error:")


page()
