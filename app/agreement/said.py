"""What the readers of a disagreement said, by number: their answers at a glance, then notes and marks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from html import escape

import streamlit as st

from app.agreement import look
from app.agreement.deciding import Desk, spoken
from app.feedback.adjudications import Dispute, Vote, named
from app.feedback.remarks import Said, said_of_scan

STYLE = """<style>
.adjudicate-votes {width: 100%; border-collapse: collapse; font-size: .9rem; line-height: 1.3;}
.adjudicate-votes :is(th, td) {text-align: left; vertical-align: top; padding: .22rem .6rem .22rem 0;
  border-bottom: 1px solid #dfe6e5;}
.adjudicate-votes thead th {font-weight: 400; color: #4f6161;}
.adjudicate-votes tbody th {font-weight: 400; white-space: nowrap;}
.adjudicate-votes .said {font-weight: 600;}
.adjudicate-note {font-size: .9rem; line-height: 1.35; white-space: pre-wrap; overflow-wrap: anywhere;}
.adjudicate-note .of {color: #4f6161;}
.st-key-adjudicate_said [data-testid="stVerticalBlock"], .st-key-adjudicate_said {gap: .35rem;}
[class*="st-key-adjudicate_mark_"] {margin-bottom: -.35rem;}
[class*="st-key-adjudicate_mark_"] button {min-height: 1.3rem; padding: 0 .4rem 0 0;}
[class*="st-key-adjudicate_mark_"] button p {font-size: .9rem;}
</style>"""


def votes(dispute: Dispute, at: Desk, labels: Mapping[str, str]) -> None:
    """Who said what, in a line each; names once every question of the scan is decided."""
    names = named(dispute, at.answers) if at.settled(dispute) else {}
    finding = any(vote.finding_type for vote in dispute.votes)
    sure = any(vote.confidence is not None for vote in dispute.votes)
    heads = ["Reader", "Said", *(["Finding"] if finding else []), *(["Sure (1–5)"] if sure else [])]
    head = "".join(f"<th scope='col'>{one}</th>" for one in heads)
    rows = []
    for vote in dispute.votes:
        cells = [labels.get(vote.finding_type, vote.finding_type) or "–"] if finding else []
        cells += ["–" if vote.confidence is None else str(vote.confidence)] if sure else []
        rows.append(_row(vote, names.get(vote.label), cells))
    st.html(
        f"{STYLE}<table class='adjudicate-votes'><thead><tr>{head}</tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table>"
    )
    if not names:
        st.caption("Names show once all of this scan is decided.")


def _row(vote: Vote, name: str | None, cells: Sequence[str]) -> str:
    who = vote.label if name is None else f"{vote.label}: {name}"
    rest = "".join(f"<td>{escape(one)}</td>" for one in cells)
    said = f"<td class='said'>{escape(spoken(vote.value))}</td>"
    return f"<tr><th scope='row'>{escape(who)}</th>{said}{rest}</tr>"


def standing(dispute: Dispute, at: Desk, labels: Mapping[str, str]) -> None:
    """The decision that stands, where there is one."""
    decided = at.decided.get(dispute.key)
    if decided is None:
        return
    finding = labels.get(decided.finding_type, decided.finding_type)
    when = datetime.fromisoformat(decided.created_utc).astimezone().strftime("%Y-%m-%d %H:%M")
    what = ", ".join(one for one in (spoken(decided.decision), finding) if one)
    st.html(
        f"<div class='adjudicate-note'><b>Decided {when}: {escape(what)}</b>\n"
        f"<span class='of'>Reason:</span> {escape(decided.reason)}</div>"
    )


def remarks(dispute: Dispute, at: Desk, labels: Mapping[str, str], moves: bool) -> None:
    """Readers' notes: on the flag, or of a class on the whole scan, and their marks.

    ``moves``: whether a viewer is there that a click on a mark moves.
    """
    if dispute.subject == "region":
        noted = [vote for vote in dispute.votes if vote.note.strip()]
        for vote in noted:
            _note(vote.label, "", vote.note)
        if not noted:
            st.caption("No notes on the flag.")
        return
    given = said_of_scan(dispute, at.answers)
    if not given:
        st.caption("No notes on the scan, and no marks.")
        return
    place = 0  # among the marks
    for one in given:
        if one.place is None:
            _note(one.label, f"on the scan, {one.phase} read", one.note)
            continue
        if moves:
            _way(dispute, one, place)
        _note("" if moves else one.label, mark_words(one, labels, moves), one.note)
        place += 1


def _way(dispute: Dispute, one: Said, place: int) -> None:
    st.button(
        f"**{one.label}**: mark at {place_words(one.place or (0.0, 0.0, 0.0))} mm",
        key=f"adjudicate_mark_{place}",
        icon=":material/my_location:",
        type="tertiary",
        help="Move the viewer there. x to the patient's right, y to the front, z up, in the scan's mm.",
        on_click=look.to_mark,
        args=(dispute, place),
    )


def _note(who: str, of: str, note: str) -> None:
    named_ = f"<b>{escape(who)}</b> " if who else ""
    head = f"{named_}<span class='of'>{escape(of)}</span>" if of else named_.strip()
    parts = [one for one in (head, escape(note.strip())) if one]
    joint = " " if who and not of else "\n"
    st.html(f"<div class='adjudicate-note'>{joint.join(parts)}</div>")


def mark_words(one: Said, labels: Mapping[str, str], moves: bool) -> str:
    """What a mark says beside its note."""
    where = "" if moves or one.place is None else f"mark at {place_words(one.place)} mm"
    sure = "" if one.confidence is None else f"sure {one.confidence}"
    size = "" if one.radius_mm is None else f"radius {one.radius_mm:.0f} mm"
    parts = [where, labels.get(one.finding_type, one.finding_type), sure, size, f"{one.phase} read"]
    return ", ".join(part for part in parts if part)


def place_words(place: tuple[float, float, float]) -> str:
    """A position in whole mm."""
    return ", ".join(str(round(value)) for value in place).replace("-", "−")
