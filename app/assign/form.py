"""Making a batch: cases, planted ones, readers, order, repeats; a preview of the loads; and it is made."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from app import identity, state
from app.agreement.known import known_classes
from app.assign.candidates import SCORES, STATES, Load, Wanted, candidates, loads, plan_case, states
from app.cases import FIRST_MODEL, PAPER_MODEL, Case
from app.facts import Facts, facts
from app.feedback.assignments import KNOWN, BatchInput, make_batch
from app.feedback.blinding import Course, course
from app.feedback.planning import GAP, Ordering, PlanError, Planned, plan
from app.feedback.store import SavedReader, Store, StoreError, list_readers, new_id, reader_for

FORM = "assign_form"  # id of the batch being composed: the same form gives one batch
MADE = "assign_made"  # names of the batches made in this session
ORDERS: dict[Ordering, str] = {
    "random": "Random, each reader's own",
    "score": "By score, highest first",
    "given": "As listed",
}


def composer(store: Store, coordinator: SavedReader) -> bool:
    """Draw the form; whether a batch was made.

    Raises
    ------
    StoreError
        Where the store can't be read.
    """
    everything = state.cases()
    if not everything:
        st.info(
            "There is no analysed scan to assign yet. Make the synthetic demo cohort with `make demo`, "
            "import a folder from the Worklist, or upload a scan.",
            icon=":material/info:",
        )
        st.page_link("pages/upload.py", label="Upload a scan", icon=":material/upload_file:")
        return False
    now = course(store)
    name = st.text_input(
        "Name of the batch", key=_fresh("name"), max_chars=200, placeholder="e.g. Pilot", width=420
    )
    st.subheader("Cases", anchor=False)
    wanted, left = _filtered(everything, now)
    place = st.container()  # drawn after the planted ones, which are none of the cases
    planted = _planted([case for case in everything if case.record.model == wanted.model])
    with place:
        chosen = _chosen([case for case in left if case not in planted])
    known = _known(planted)
    st.subheader("Readers", anchor=False)
    readers, k = _readers(store)
    st.subheader("Order and repeats", anchor=False)
    ordering, score, seed, fraction, gap = _ordering(wanted, left)
    cases = tuple(plan_case(case, score) for case in chosen)
    extra = tuple(plan_case(case, "") for case in planted)
    st.subheader("Preview", anchor=False)
    if not chosen or not readers:
        st.caption("Choose cases and readers to see what each reader gets.")
        return False
    ids = {one.name: one.id for one in list_readers(store, identity.source())}
    try:
        rows = plan(cases, len(readers), k, ordering, fraction, extra, seed, gap)
    except PlanError as error:
        st.warning(str(error), icon=":material/warning:")
        return False
    _preview(loads(rows, readers, ids, now))
    if coordinator.name in readers:
        st.caption("You are among the readers, and you know what you chose: best leave yourself out.")
    go, count = st.columns([0.2, 0.8], vertical_alignment="center")
    count.markdown(f"#### {_total(rows, len(chosen), len(readers), k, len(planted))}")
    if not go.button("Make the batch", key="assign_make", type="primary"):
        return False
    try:
        who = tuple(reader_for(store, reader, identity.source()).id for reader in readers)
        make_batch(
            store,
            BatchInput(
                id=st.session_state.setdefault(FORM, new_id()),
                name=name,
                created_by=coordinator.id,
                cases=cases,
                readers=who,
                readers_per_case=k,
                ordering=ordering,
                seed=seed,
                repeat_fraction=fraction,
                gap=gap,
                planted=extra,
                known=known,
                model=wanted.model,
                score=score,
                chosen=wanted.words(),
            ),
        )
    except StoreError as error:
        st.error(str(error), icon=":material/error:")
        return False
    del st.session_state[FORM]
    st.session_state[MADE] = (*st.session_state.get(MADE, ()), name)
    return True


def _fresh(name: str) -> str:
    """Key of a widget that is empty again after each batch: a second click makes no second one."""
    return f"assign_{name}_{len(st.session_state.get(MADE, ()))}"


def _filtered(everything: list[Case], now: Course) -> tuple[Wanted, list[Case]]:
    """Filters, and the cases that they leave."""
    names = {case.record.model for case in everything}
    models = sorted(names, key=lambda one: (one != FIRST_MODEL, one != PAPER_MODEL, one))
    known = facts()
    box, part, how, by = st.columns(4)
    model = box.selectbox(
        "Model", models, key="assign_model", help="Whose flags readers are shown at their second read"
    )
    mine = [case for case in everything if case.record.model == model]
    found = states(mine, now)
    splits = sorted({known.get(case.record.subject, Facts()).split for case in mine} - {""})
    split = part.multiselect(
        "Split", splits, key="assign_split", placeholder="Any" if splits else "Not known", disabled=not splits
    )
    status = how.multiselect(
        "Status",
        [one for one in STATES if one in found.values()],
        key="assign_state",
        format_func=lambda one: STATES[one],
        placeholder="Any",
    )
    scored = [one for one in SCORES if any(one in case.record.scores for case in mine)]
    score = by.selectbox(
        "Score",
        scored,
        None,
        key="assign_score",
        format_func=lambda one: SCORES[one],
        placeholder="Any",
        help="Choosing by score tells you about the scans: leave it to somebody who does not read them.",
    )
    span = None
    if score is not None:
        values = [case.record.scores[score] for case in mine if score in case.record.scores]
        low, high = float(min(values)), float(max(values))
        if low < high:
            span = st.slider(
                f"{SCORES[score]} between",
                low,
                high,
                (low, high),
                (high - low) / 100,
                key=f"assign_span_{model}_{score}",
                format="%.4g",
            )
    wanted = Wanted(model, tuple(split), tuple(status), score or "", span)
    return wanted, candidates(everything, wanted, known, found)


def _chosen(left: list[Case]) -> list[Case]:
    """Cases as the coordinator names them; none until then.

    No box offers "Select all matches": it stands first, so Enter would take whatever resembles the name.
    """
    names = {case.address: case for case in left}
    key = _fresh("cases")
    which, every = st.columns([0.75, 0.25], vertical_alignment="bottom")
    every.button(
        f"Take all {len(left)} that pass" if len(left) != 1 else "Take the 1 that passes",
        key="assign_all",
        on_click=_take,
        args=(key, list(names)),
        disabled=not left,
        width="stretch",
        help="All that the filters above leave, without the planted ones",
    )
    taken = which.multiselect(
        "Cases",
        list(names),
        key=key,
        format_func=lambda at: names[at].record.case_id,
        placeholder="Choose cases…",
        filter_mode="contains",
        select_all=False,
    )
    return [case for at, case in names.items() if at in set(taken)]


def _take(key: str, addresses: list[str]) -> None:
    st.session_state[key] = addresses


def _planted(mine: list[Case]) -> list[Case]:
    """Scans with a known answer."""
    names = {case.address: case for case in sorted(mine, key=lambda one: one.record.case_id)}
    taken = st.multiselect(
        "Planted cases",
        list(names),
        key="assign_planted",
        format_func=lambda at: names[at].record.case_id,
        placeholder="None",
        filter_mode="contains",
        select_all=False,
        help="Scans with a known answer, given to every reader at random places. Nothing sets them apart.",
    )
    return [names[at] for at in taken if at in names]


def _known(planted: list[Case]) -> dict[str, str]:
    """What is known of each planted scan: as the demo cohort has it, or as the coordinator says."""
    if not planted:
        return {}
    told = known_classes()
    found: dict[str, str] = {}
    st.caption("What is known of each: a class, or only that something is there.")
    columns = st.columns(4)
    for at, case in enumerate(planted):
        name = case.record.case_id
        answer = columns[at % 4].selectbox(
            name,
            KNOWN,
            KNOWN.index(told[name]) if name in told else None,
            key=f"assign_known_{name}",
            placeholder="Known answer…",
        )
        if answer is not None:
            found[name] = answer
    return found


def _readers(store: Store) -> tuple[list[str], int]:
    """Names, and how many read each case."""
    who, many = st.columns([0.7, 0.3])
    names = who.multiselect(
        "Readers",
        [one.name for one in list_readers(store, identity.source())],
        key="assign_readers",
        accept_new_options=True,
        filter_mode="contains",
        select_all=False,
        placeholder="Choose, or type the name of somebody who is to come…",
        help="Names as readers give them at the start; with a login, as the login gives them.",
    )
    names = list(dict.fromkeys(" ".join(one.split()) for one in names if one.strip() != ""))
    most = max(1, len(names))
    k = many.number_input(
        "Readers for each case", 1, most, min(2, most), key=f"assign_k_{most}", help="Loads are balanced"
    )
    return names, int(k)


def _ordering(wanted: Wanted, left: list[Case]) -> tuple[Ordering, str, int, float, int]:
    """Order, name of the score, seed, fraction served again, gap."""
    how, number, again, apart = st.columns([0.4, 0.16, 0.24, 0.2])
    offered = [one for one in ORDERS if one != "score" or wanted.score != ""]
    ordering = how.selectbox(
        "Order",
        offered,
        key=f"assign_order_{len(offered)}",
        format_func=lambda one: ORDERS[one],
        help="By score once a score is chosen above. Readers are not told the order.",
    )
    seed = number.number_input(
        "Seed", 0, 2**31 - 1, 1, key="assign_seed", help="The same seed and choice, the same lists"
    )
    percent = again.number_input(
        "Served again, % of the cases",
        0,
        100,
        0,
        5,
        key="assign_repeat",
        help="For repeatability: each reader gets this share of their cases a second time, as if new",
    )
    gap = apart.number_input(
        "Others between",
        1,
        1000,
        GAP,
        key="assign_gap",
        disabled=percent == 0,
        help="At least so many other scans lie between a case and its repeat",
    )
    score = wanted.score if ordering == "score" else ""
    return ordering, score, int(seed), percent / 100, int(gap)


def _total(rows: Sequence[Planned], cases: int, readers: int, k: int, planted: int) -> str:
    """What the button makes, in one line."""
    again = sum(one.kind == "repeat" for one in rows)
    parts = [_many(cases, "case"), _many(readers, "reader"), f"{k} for each case"]
    parts += [f"{planted} planted"] if planted else []
    parts += [f"{again} read again"] if again else []
    return f"{_many(len(rows), 'reading')}: {', '.join(parts)}"


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _preview(found: list[Load]) -> None:
    frame = pd.DataFrame(
        {
            "Reader": [one.name for one in found],
            "Cases": [one.cases for one in found],
            "Again": [one.repeats for one in found],
            "Planted": [one.planted for one in found],
            "In all": [one.total for one in found],
            "Read already": [one.read for one in found],
            "Hours": [one.hours for one in found],
        }
    )
    st.dataframe(
        frame,
        hide_index=True,
        key="assign_preview",
        placeholder="–",
        column_config={
            "Hours": st.column_config.NumberColumn(
                format="%.1f",
                help="For what is not read yet, at the median of active seconds of finished readings: the "
                "reader's own from five on, else everybody's",
            ),
            "Read already": st.column_config.NumberColumn(help="Read before: counts as done"),
        },
    )
    if all(one.hours is None for one in found):
        st.caption("No reading has been finished yet, so how long this takes is not known.")
    if any(one.read for one in found):
        st.caption("What a reader has read before counts as done; nobody is asked to read it anew.")
