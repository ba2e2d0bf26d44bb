"""The boxes of a new batch: which cases, which planted ones, which readers, in which order."""

from __future__ import annotations

import streamlit as st

from app import identity
from app.agreement.known import known_classes
from app.assign.candidates import SCORES, STATES, Wanted, candidates, scan_of, states
from app.cases import DEFAULT_HELP, Case, model_label, models_of
from app.facts import Facts, facts
from app.feedback.assignments import KNOWN
from app.feedback.blinding import Course
from app.feedback.planning import GAP, Ordering
from app.feedback.store import Store, list_readers

MADE = "assign_made"  # names of the batches made in this session
ORDERS: dict[Ordering, str] = {
    "random": "Random, each reader's own",
    "score": "By score, highest first",
    "given": "As listed",
}


def fresh(name: str) -> str:
    """Key of a widget that is empty again after each batch: a second click makes no second one."""
    return f"assign_{name}_{len(st.session_state.get(MADE, ()))}"


def filtered(everything: list[Case], now: Course) -> tuple[Wanted, list[Case]]:
    """Filters, and the cases that they leave."""
    known = facts()
    box, part, how, by = st.columns(4)
    model = box.selectbox(
        "Model",
        models_of(everything),
        key="assign_model",
        format_func=model_label,
        help=f"Whose flags readers are shown at their second read. {DEFAULT_HELP}.",
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
    lacking = len({scan_of(case) for case in everything} - {scan_of(case) for case in mine})
    if lacking:
        many = "1 scan is" if lacking == 1 else f"{lacking} scans are"
        st.caption(f"{many} not offered: {model} has not analysed {'it' if lacking == 1 else 'them'}.")
    wanted = Wanted(model, tuple(split), tuple(status), score or "", span)
    return wanted, candidates(everything, wanted, known, found)


def chosen(left: list[Case]) -> list[Case]:
    """Cases as the coordinator names them; none until then.

    No box offers "Select all matches": it stands first, so Enter would take whatever resembles the name.
    """
    names = {case.address: case for case in left}
    key = fresh("cases")
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


def planted(mine: list[Case]) -> list[Case]:
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


def known(planted: list[Case]) -> dict[str, str]:
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


def readers(store: Store) -> tuple[list[str], int]:
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


def ordering(wanted: Wanted, left: list[Case]) -> tuple[Ordering, str, int, float, int]:
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
