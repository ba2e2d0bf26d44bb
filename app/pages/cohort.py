"""Cohort: the evaluation of a whole data set, every subject a point that opens in Review."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import streamlit as st

from app import masked, state
from app.agreement.figures import FONT, INK
from app.cases import Case, stamp
from app.feedback.store import SavedReader, StoreError
from app.identity import current_reader, is_coordinator, source
from core.config import settings
from core.evaluation.readable import readable
from core.evaluation.report import FACTS, SMALL, Evaluation, csv_text, figures_of, read_evaluation
from core.evaluation.statistics import EvaluationError
from core.evaluation.wording import COHORTS_DIFFER, GOALS, NOTES, TITLES

REVIEW = "pages/review.py"
TABLES = "Tables"
GOALS_SECTION = "Goals"
BOXES = ("Reconstruction", "Bands")  # their points are subjects


def evaluations(root: Path) -> list[Path]:
    """Whole evaluation folders, by name."""
    return sorted(path.parent for path in root.glob(f"*/{FACTS}"))


@st.cache_data(show_spinner=False, max_entries=8)
def read(folder: Path, changed: tuple[int, int]) -> Evaluation:
    """The evaluation; ``changed`` only keys the cache."""
    return read_evaluation(folder)


def appointed() -> bool:
    """True where somebody says who coordinates; else everybody does, and reads too."""
    return settings().coordinators.strip() != "" or source() != "typed"


def withheld(reader: SavedReader | None) -> bool:
    """True for whoever may still have to read these scans without the models' opinion."""
    return settings().unaided_read and appointed() and not is_coordinator(reader)


def told(evaluation: Evaluation) -> Evaluation:
    """The evaluation as the reader may see it, and a word on what is hidden of it."""
    try:
        unread = masked.unread_by(state.cases(), state.feedback(), current_reader(), appointed())
    except StoreError as error:
        st.error(str(error), icon=":material/error:")
        unread = masked.unread_by(state.cases(), None, None, appointed())
    shown, count = masked.masked(evaluation, unread)
    if count:
        many = "1 scan that you have" if count == 1 else f"{count} scans that you have"
        gone = " Pictures of theirs are left out." if len(shown.sheets) < len(evaluation.sheets) else ""
        st.info(
            f"{many} still to read stands here without a name, since its group tells what it is."
            if count == 1
            else f"{many} still to read stand here without names, since their groups tell what they are.",
            icon=":material/visibility_off:",
        )
        st.caption(f"Lock your first read of a scan in Review, and its point is named and opens it.{gone}")
    return shown


def picked(event: Mapping[str, Any]) -> tuple[str, str] | None:
    """Case and model of the point that was clicked; None where it is no subject."""
    for point in event.get("selection", {}).get("points", []):
        # Streamlit hands an array on as a list or, where the figure's was typed, by index.
        data = point.get("customdata") or []
        values = list(data.values()) if isinstance(data, Mapping) else list(data)
        if len(values) == 2 and all(isinstance(value, str) for value in values):
            return values[0], values[1]
    return None


def analysed(case: str, model: str) -> Case | None:
    """The analysis of that scan by that model, else by another."""
    mine = [one for one in state.cases() if one.record.case_id == case]
    return next((one for one in mine if one.record.model == model), mine[0] if mine else None)


def open_subject(case: str, model: str) -> None:
    """Go to Review, or say why not."""
    found = analysed(case, model)
    if found is None:
        st.info(
            f"{case} is not analysed, so Review can't show it. Analyse it with `python -m core analyze`.",
            icon=":material/info:",
        )
        return
    state.select_case(found)
    st.switch_page(REVIEW)


def nothing_yet() -> None:
    """What to do where nothing was evaluated."""
    st.info(
        "Nothing stands here until a data set was evaluated. Run `make evaluate` once for the synthetic "
        "cohort, or `python -m core evaluate FOLDER` for a data set of your own, and reload this page.",
        icon=":material/info:",
    )


def show_goals(evaluation: Evaluation) -> None:
    """Each goal and whether it was reached; the evidence wraps, so that it can be read."""
    st.markdown(GOALS)
    st.table(readable(evaluation.tables["goals"]).set_index("goal"))


def show_tables(evaluation: Evaluation) -> None:
    """The small tables, values with their intervals; each to download with all its digits."""
    place = st.container(key="beside_tables")
    for name in SMALL:
        if name not in evaluation.tables:
            continue
        with place.container():
            st.markdown(f"**{TITLES[name]}**")
            st.dataframe(readable(evaluation.tables[name]), hide_index=True)
            st.download_button(
                "CSV",
                csv_text(name, evaluation),
                f"{name}.csv",
                "text/csv",
                key=f"cohort_csv_{name}",
                help=f"{TITLES[name]}, with all digits",
                icon=":material/download:",
            )


def show(evaluation: Evaluation, name: str) -> None:
    """Words, figures by heading, tables."""
    facts = evaluation.facts
    if facts.synthetic:
        st.warning(
            "Synthetic data: no newborn was scanned, and no figure here is clinical.",
            icon=":material/warning:",
        )
    st.markdown(COHORTS_DIFFER)
    st.caption(
        f"{facts.counts}. Intervals: bootstrap 95 % over subjects, {facts.draws} draws, seed {facts.seed}. "
        f"`{facts.command}`"
    )
    if facts.left_out:
        with st.expander(f"{len(facts.left_out)} left out"):
            for case, why in facts.left_out.items():
                st.text(f"{case}: {why}")
    with st.expander("How to read this"):
        st.markdown("\n".join(f"- {note}" for note in NOTES))
    drawn = figures_of(evaluation)
    sections = [*drawn, *([GOALS_SECTION] if "goals" in evaluation.tables else []), TABLES]
    section = st.segmented_control(
        "Section", sections, default=sections[0], key="cohort_section", label_visibility="collapsed"
    )
    if section == TABLES:
        show_tables(evaluation)
        return
    if section == GOALS_SECTION:
        show_goals(evaluation)
        return
    if section in BOXES:
        st.caption("Hover a point for its scan; click it to open the scan in Review.")
    place = st.container(key="beside_figures")
    for number, figure in enumerate(drawn[section or sections[0]]):
        with place:
            event = st.plotly_chart(
                figure.update_layout(font={"family": FONT, "color": figure.layout.font.color or INK}),
                key=f"cohort_{name}_{section}_{number}",
                on_select="rerun",
                selection_mode="points",
                theme=None,
            )
        subject = picked(event)
        if subject is not None and subject[0].startswith(masked.UNREAD):
            st.info("This scan is still to be read by you: it is named once your first read is locked.")
        elif subject is not None:
            open_subject(*subject)


def draw() -> None:
    """The page."""
    st.title("Cohort", anchor=False)
    if withheld(current_reader()):
        st.info(
            "This page names scans and shows what models make of them. Where scans are read unaided first, "
            "it is for coordinators.",
            icon=":material/visibility_off:",
        )
        return
    folders = evaluations(settings().data_dir / "evaluation")
    if not folders:
        nothing_yet()
        return
    folder = folders[0]
    if len(folders) > 1:
        names = {one.name: one for one in folders}
        folder = names[st.selectbox("Data set", list(names), key="cohort_data")]
    try:
        evaluation = read(folder, stamp(folder / FACTS))
    except EvaluationError as error:
        st.error(str(error), icon=":material/error:")
        return
    show(told(evaluation), folder.name)


draw()
