"""The sections of the Agreement page: each a figure or two, the table behind it, and what to do without."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from app.agreement import tables
from app.agreement.columns import folded
from app.agreement.figures import confusion_figure, forest
from app.agreement.load import Counted, csv_text
from app.viewer.component import BAND_LABELS
from app.words import scan_count
from core.evaluation.resampling import LEAST_SCANS

# With room beyond both ends: a marker that stands at one is whole.
KAPPA_SPAN = (-1.05, 1.05)
SHARE_SPAN = (-0.02, 1.02)


def nothing(text: str) -> None:
    """What to do next where a section has nothing to show."""
    st.info(text, icon=":material/info:")


def short(value: float) -> str:
    """A number to three digits with a real minus."""
    return f"{float(f'{value:.3g}'):g}".replace("-", "−")


def table(frame: pd.DataFrame, name: str) -> None:
    """The numbers, to read and to download; the download keeps the data's own keys."""
    if frame.empty:
        return
    shown = worded(frame)
    floats = list(shown.select_dtypes("float").columns)
    st.dataframe(shown.style.format(short, subset=floats, na_rep="–"), hide_index=True, placeholder="–")
    st.download_button(
        "Download CSV",
        csv_text(frame),
        f"fontanelle_{name.replace(' ', '_')}.csv",
        "text/csv",
        key=f"agree_csv_{name}",
        icon=":material/download:",
    )


def worded(frame: pd.DataFrame) -> pd.DataFrame:
    """``frame`` with bands as they stand everywhere on screen, and shares with their intervals."""
    named = frame.assign(group=frame["group"].replace(BAND_LABELS)) if "group" in frame else frame
    return folded(named)


def chart(figure: go.Figure, name: str) -> None:
    st.plotly_chart(figure, key=f"agree_{name}", theme=None, config={"displaylogo": False})


def flags(counted: Counted) -> None:
    """Which flags readers accept, and what the flags miss."""
    if counted.tables["accepted by band"].empty:
        nothing(
            "No flag has been judged in a finished reading. Open a scan in Review, judge "
            "its flags, and save the second read."
        )
        return
    way = st.segmented_control("Flags by", list(tables.WAYS), default="Band", key="agree_way") or "Band"
    name = f"accepted by {way.lower()}"
    found = counted.tables[name]
    chart(
        forest(
            [
                f"{one.group} (n = {one.verdicts}, {scan_count(one.scans)})"
                for one in worded(found).itertuples()
            ],
            found["share"].tolist(),
            found["low"].tolist(),
            found["high"].tolist(),
            f"Flags that readers accept, by {way.lower()}",
            "share of verdicts that agree",
            span=SHARE_SPAN,
            percent=True,
        ),
        name,
    )
    table(found, name)
    if way not in tables.MISSED_WAYS:
        way = "Architecture"
        st.caption("Of a missed finding neither band nor sign is known; below by architecture.")
    name = f"missed by {way.lower()}"
    gone = counted.tables[name]
    top = max([0.1, *gone["high"].dropna(), *gone["a reading"].dropna()])
    chart(
        forest(
            [
                f"{one.group} (n = {one.readings} readings, {scan_count(one.scans)})"
                for one in gone.itertuples()
            ],
            gone["a reading"].tolist(),
            gone["low"].tolist(),
            gone["high"].tolist(),
            f"Findings that the flags miss, by {way.lower()}",
            "missed findings a reading of a scan",
            span=(-0.02 * float(top), 1.05 * float(top)),
        ),
        name,
    )
    table(gone, name)


def readers(counted: Counted) -> None:
    """How far readers agree with one another."""
    if len(counted.readers) < 2:
        nothing(
            "Agreement needs a second reader who has finished the same scans. Ask a "
            "colleague to read them under their own name; you see their answers once both"
            " of you are done."
        )
        return
    what = (
        st.segmented_control("Agreement on", ["regions", "classes"], default="regions", key="agree_what")
        or "regions"
    )
    found = counted.tables[what]
    noun = "Verdicts on flagged regions" if what == "regions" else "Class of the whole scan"
    if counted.warnings[what]:
        st.warning(counted.warnings[what], icon=":material/warning:")
    chart(
        forest(
            [f"{one.statistic} (n = {one.items}, {scan_count(one.scans)})" for one in found.itertuples()],
            found["value"].tolist(),
            found["low"].tolist(),
            found["high"].tolist(),
            noun,
            "1: all agree; 0: as by chance (percent agreement: none)",
            span=KAPPA_SPAN,
        ),
        what,
    )
    for note in dict.fromkeys(found["note"]):
        if note:
            st.caption(note)
    table(found, what)
    pairs = counted.tables[f"pairs on {what}"]
    if pairs.empty:
        return
    chart(
        forest(
            [f"{one.readers} (n = {one.items}, {scan_count(one.scans)})" for one in pairs.itertuples()],
            pairs["kappa"].tolist(),
            pairs["low"].tolist(),
            pairs["high"].tolist(),
            f"{noun}: every two readers",
            "Cohen's kappa",
            span=KAPPA_SPAN,
        ),
        f"pairs on {what}",
    )
    table(pairs, f"pairs on {what}")
    names = {key.split(": ", 1)[1]: one for key, one in counted.crossed.items() if key.startswith(what)}
    chosen = st.selectbox("Confusion table of", list(names), key=f"agree_pair_{what}", width=420)
    if chosen is not None:
        one, other = chosen.split(" / ", 1)
        chart(confusion_figure(names[chosen], noun, one, other), f"crossed_{what}")


def repeats(counted: Counted) -> None:
    """The same reader twice."""
    found = counted.tables["repeats"]
    if found.empty:
        nothing(
            "No scan has been read twice by the same reader. Assign a share of scans "
            "again (the re-served fraction of an assignment); they come without saying "
            "so."
        )
        return
    for what, part in found.groupby("what", sort=False):
        chart(
            forest(
                [f"{one.reader} (n = {one.items}, {scan_count(one.scans)})" for one in part.itertuples()],
                part["kappa"].tolist(),
                part["low"].tolist(),
                part["high"].tolist(),
                f"Second pass against the first: {what}",
                "Cohen's kappa",
                span=KAPPA_SPAN,
            ),
            f"repeats_{what}",
        )
        for note in dict.fromkeys(part["note"]):
            if note:
                st.caption(note)
    table(found, "repeats")


def change(counted: Counted) -> None:
    """Whether the flags helped."""
    found = counted.tables["change"]
    if found.empty:
        nothing(
            "No scan has both a locked first read and a second one. They come with the "
            "unaided read (FONTANELLE_UNAIDED_READ, on by default)."
        )
        return
    known = found[found["known"] > 0]
    if known.empty:
        st.caption(
            "No class is known of these scans: adjudicate them, and the page says whether"
            " changes helped or harmed."
        )
    for what in ("changed", *(("helped", "harmed") if len(known) else ())):
        part = found if what == "changed" else known
        total = "readings" if what == "changed" else "known"
        chart(
            forest(
                [f"{one['reader']} (n = {one[total]})" for _, one in part.iterrows()],
                part[f"{what} share"].tolist(),
                part[f"{what} low"].tolist(),
                part[f"{what} high"].tolist(),
                {
                    "changed": "Readings whose class changed once the flags were shown",
                    "helped": "Helped: the class did not fit what is known, and then did",
                    "harmed": "Harmed: the class fitted what is known, and then did not",
                }[what],
                f"share of readings {'' if what == 'changed' else 'of scans with a known class'}".strip(),
                span=SHARE_SPAN,
                percent=True,
            ),
            f"change_{what}",
        )
    table(found, "change")
    moved = counted.crossed["change"]
    if not moved.empty:
        chart(
            confusion_figure(moved, "Class before and after the flags", "first read", "second read"), "moved"
        )


def time(counted: Counted) -> None:
    """How long readers take."""
    found = counted.tables["seconds"]
    if found.empty:
        nothing(
            "No reading has been finished. Active seconds are counted while a scan is "
            "open and the reader at work."
        )
        return
    top = max(float(found["quartile 3"].max()), 1.0)
    chart(
        forest(
            [f"{one.reader}, {one.phase} read (n = {one.readings})" for one in found.itertuples()],
            found["median"].tolist(),
            found["quartile 1"].tolist(),
            found["quartile 3"].tolist(),
            "Active seconds a scan: median and quartiles",
            "seconds (line: quartile 1 to quartile 3)",
            span=(-0.02 * top, 1.05 * top),
        ),
        "seconds",
    )
    table(found, "seconds")


def planted(counted: Counted) -> None:
    """How readers do where the answer is known."""
    found = counted.tables["planted"]
    if found.empty:
        nothing(
            "No planted scan has been finished by everybody it was given to. Plant scans "
            "with a known answer in an assignment; readers can't tell them from others."
        )
        return
    chart(
        forest(
            [f"{one.reader} (n = {one.readings})" for one in found.itertuples()],
            found["share"].tolist(),
            found["low"].tolist(),
            found["high"].tolist(),
            "Planted scans read right",
            "share of readings whose class fits the known answer",
            span=SHARE_SPAN,
            percent=True,
        ),
        "planted",
    )
    table(found, "planted")


SECTIONS = {
    "Flags": flags,
    "Readers": readers,
    "Repeats": repeats,
    "First and second read": change,
    "Time": time,
    "Planted scans": planted,
}
HOW = f"""
- A reading counts once its second read is saved. Others' answers to a scan count here once everybody who is
  to read it has finished, and you among them.
- Of each reader and scan, answers count as they stood before others' were first shown to them, in Agreement,
  Adjudicate, a report, an export or a lesson. Later ones stay in exports and are left out here.
- Acceptance and agreement count first passes of scans that were not planted. A flag judged by three readers
  counts three times in acceptance, and once, with three ratings, in agreement.
- Intervals are 95 % by bootstrap over scans: all flags of a scan stay together. Under {LEAST_SCANS} scans
  there is none; under about 20 they are too narrow.
- Kappa and alpha take away the agreement that chance would give; where nearly all answers are the same they
  can be low though readers agree. Percent agreement and AC1 stand beside them for that reason.
- Active seconds are those with the tab in sight and the reader at work.
"""
