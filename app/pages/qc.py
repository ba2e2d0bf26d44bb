"""QC: every prepared scan in three planes, so that failed registrations are seen; and what failed."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from app import identity, state
from app.cases import FIRST_MODEL, Case, stamp
from app.feedback.store import StoreError
from app.origins import HIDDEN, splits_told
from app.preparations import ORDERS, Preparation, matching, read_preparations, splits
from app.review.progress import NOBODY, standing
from app.words import scan_count
from core.config import settings
from core.io.ledger import Line, read_ledger
from core.io.tables import BidsError
from core.preprocess.qc import WEAK_OVERLAP, last_row

REVIEW = "pages/review.py"
TURN = "qc_turn"  # how often the list began anew
PER_PAGE = 24
CARD = 248  # pixels: three side by side at 1280, seven at 2560
NO_SPLIT = "split not shown"
MASKS = {
    "given": "brain mask given",
    "stripped": "came skull-stripped",
    "bet": "brain mask by BET",
    "command": "brain mask by a command",
}
CARDS = f"""
- **Overlap**: Dice of the scan's brain and the reference's after registration, 1 where they are the same.
  Below {WEAK_OVERLAP:g} it is marked: the registration may have failed.
- **Brain mask**: given beside the scan (`_desc-brain_mask`, or uploaded with it), else made by BET or a
  command of yours; or the scan came without its skull.
- **Split**: train, validation or test, as the column `split` of the data set's `participants.tsv` or manifest
  has it. It is not shown where neither tells one, or while you have still to read the scan unaided: models
  learn from normals only, so a split can tell what a scan is.
- **A name in grey**: the scan is not analysed, as those that models were trained or calibrated on.
"""
# The whole card opens the case: its button's edge is stretched over the picture.
STYLE = """<style>
.stMainBlockContainer {max-width: none;}
[class*="st-key-qc_card"] {position: relative; gap: .2rem;}
[class*="st-key-qc_card"] [data-testid="stElementContainer"], [class*="st-key-qc_card"] .stButton,
[class*="st-key-qc_card"] button {position: static;}
[class*="st-key-qc_card"] button {padding: 0; min-height: 1.8rem;}
[class*="st-key-qc_card"] [data-testid="stCaptionContainer"] p {font-size: .78rem;}
[class*="st-key-qc_card"] button:disabled,
[class*="st-key-qc_card"] button:disabled * {opacity: 1; color: #56635f;}
[class*="st-key-qc_card"] button:not(:disabled)::after
 {content: ""; position: absolute; inset: 0; cursor: pointer; border-radius: .4rem;}
[class*="st-key-qc_card"]:has(button:not(:disabled)):hover img {opacity: .85;}
[class*="st-key-qc_card"] [data-testid="stElementToolbar"] {display: none;}
[class*="st-key-qc_card_weak"] {outline: 2px solid #ff6c6c; outline-offset: 4px; border-radius: .4rem;}
</style>"""


@st.cache_data(show_spinner=False, max_entries=1000)
def thumbnail(path: str, changed: tuple[int, int]) -> bytes | None:
    """The cube's three planes; None where the picture can't be read. ``changed`` only keys the cache."""
    try:
        with open(path, "rb") as stream:
            return last_row(stream.read())
    except (OSError, ValueError):
        return None


def analysed() -> dict[str, Case]:
    """One analysis a scan: that of the first model, else any."""
    found: dict[str, Case] = {}
    for case in state.cases():
        if case.record.case_id not in found or case.record.model == FIRST_MODEL:
            found[case.record.case_id] = case
    return found


def mask_words(source: str) -> str:
    """Where a brain mask comes from."""
    return MASKS.get(source, source)


def why_not(split: str) -> str:
    """Why a scan can't be opened: it has no analysis, and often shall have none."""
    if split in ("train", "validation"):
        return f"Not analysed: its split is {split}, and models are judged on others."
    return "Not analysed: scans that models learn from are not, others by `python -m core analyze`"


def told(split_of: dict[str, str]) -> dict[str, str]:
    """``split_of`` as far as whoever looks may know it."""
    whole = state.cases()
    try:
        store, reader = state.feedback(), identity.current_reader()
        where = standing(store, reader, {(case.record.case_id, case.record.input_hash) for case in whole})
        named = settings().coordinators.strip() != "" and identity.is_coordinator(reader)
        return splits_told(split_of, whole, where, store, reader if named else None)
    except StoreError as error:
        st.error(str(error), icon=":material/error:")
        return splits_told(split_of, whole, NOBODY, None, None)


def card(one: Preparation, split: str, case: Case | None) -> None:
    """One scan: its planes, what was measured, and the way into Review."""
    kind = "weak" if one.weak else "fine"
    with st.container(key=f"qc_card_{kind}_{one.case}_{one.cube}", width=CARD):
        picture = thumbnail(str(one.picture), stamp(one.picture))
        if picture is None:
            st.caption("The picture is missing; prepare the scan again.")
        else:
            st.image(picture, width="stretch", alt=f"{one.case}: axial, coronal and sagittal plane")
        told = [f"overlap {one.overlap:.3f}", mask_words(one.mask_source), split or NO_SPLIT]
        mark = f":red-badge[:material/warning: below {WEAK_OVERLAP:g}] " if one.weak else ""
        st.caption(mark + " · ".join(told) + (" · synthetic" if one.synthetic else ""))
        if st.button(
            one.case,
            key=f"qc_open_{one.case}_{one.cube}",
            type="tertiary",
            disabled=case is None,
            help=None if case is not None else why_not(split),
        ):
            assert case is not None
            state.select_case(case)
            st.switch_page(REVIEW)


def show_failures(failures: list[Line], split_of: dict[str, str]) -> None:
    """Scans without a result, each with its reason."""
    if not failures:
        return
    with st.expander(f"{scan_count(len(failures))} failed", expanded=True, icon=":material/error:"):
        st.dataframe(
            pd.DataFrame(
                {
                    "Case": [f"{line.subject}_{line.session}" for line in failures],
                    "Step": [line.step for line in failures],
                    "For": [line.target for line in failures],
                    "Split": [split_of.get(f"{line.subject}_{line.session}", NO_SPLIT) for line in failures],
                    "Reason": [line.reason for line in failures],
                }
            ),
            hide_index=True,
            height=min(38 + 36 * len(failures), 260),
            column_config={"Reason": st.column_config.TextColumn(width="large")},
        )


def first_page() -> None:
    """Another filter or order starts at the beginning."""
    # By another key: a value set beside the widget's own first one is warned of at each start.
    st.session_state[TURN] = st.session_state.get(TURN, 0) + 1


def nothing_yet() -> None:
    """What to do where nothing is prepared."""
    st.info(
        "No scan is prepared yet. Run `make demo` for the synthetic cohort, or "
        "`python -m core prepare FOLDER` for a data set of your own.",
        icon=":material/info:",
    )


def chosen(preparations: list[Preparation], split_of: dict[str, str]) -> list[Preparation]:
    """Search, filters and order."""
    search, order, source, split, weak = st.columns(
        [0.17, 0.22, 0.19, 0.21, 0.21], vertical_alignment="bottom"
    )
    words = search.text_input("Search", key="qc_search", placeholder="Case id", on_change=first_page)
    sorting = order.selectbox("Order", list(ORDERS), key="qc_order", on_change=first_page)
    sources = source.multiselect(
        "Mask",
        sorted({one.mask_source for one in preparations}),
        format_func=mask_words,
        key="qc_source",
        on_change=first_page,
        placeholder="Any",
    )
    there = sorted({split_of.get(one.case, "") for one in preparations})
    wanted = split.multiselect(
        "Split",
        there,
        format_func=lambda name: name or NO_SPLIT,
        key="qc_split",
        placeholder="Any",
        on_change=first_page,
        help=HIDDEN if settings().unaided_read else None,
    )
    only = weak.toggle(f"Only below {WEAK_OVERLAP:g}", key="qc_weak", on_change=first_page)
    return matching(preparations, split_of, words.strip(), sources, wanted, only, sorting)


def page_of(shown: list[Preparation]) -> list[Preparation]:
    """The part that one page holds: of hundreds of pictures the browser gets a few."""
    pages = max(-(-len(shown) // PER_PAGE), 1)
    if pages == 1:
        return shown
    number = st.pagination(pages, key=f"qc_page_{st.session_state.get(TURN, 0)}")
    return shown[(number - 1) * PER_PAGE : number * PER_PAGE]


def draw() -> None:
    """The page."""
    st.title("QC", anchor=False)
    st.html(STYLE)
    root = settings().derivatives_dir
    preparations, damaged = read_preparations(root)
    try:
        ledger = read_ledger(root)
    except BidsError as error:
        st.error(f"{error}. Run prepare again to write it anew.", icon=":material/error:")
        ledger = []
    failures = [line for line in ledger if line.reason != ""]
    if not preparations and not failures and not damaged:
        nothing_yet()
        return
    st.caption(
        "Each scan in the reference's cube, as the network sees it; the yellow line is the reference's "
        "brain. Click a scan to open it in Review."
    )
    split_of = told(splits(ledger))
    show_failures(failures, split_of)
    if damaged:
        st.warning(
            f"Can't be read, prepare again: {', '.join(damaged[:5])}{', …' if len(damaged) > 5 else ''}",
            icon=":material/warning:",
        )
    if not preparations:
        return
    with st.expander("What a card says"):
        st.markdown(CARDS)
    cubes = sorted({one.cube for one in preparations})
    if len(cubes) > 1:
        cube = st.segmented_control(
            "Voxels a side", cubes, default=cubes[0], key="qc_cube", on_change=first_page
        )
        preparations = [one for one in preparations if one.cube == (cube or cubes[0])]
    shown = chosen(preparations, split_of)
    if not shown:
        st.info("No scan matches the search and filters.")
        return
    weak = sum(one.weak for one in preparations)
    st.caption(f"{len(shown)} of {len(preparations)} scans shown; {weak} below {WEAK_OVERLAP:g}.")
    known = analysed()
    part = page_of(shown)
    with st.container(horizontal=True, gap="medium"):
        for one in part:
            card(one, split_of.get(one.case, ""), known.get(one.case))


draw()
