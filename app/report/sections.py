"""Sections of a case's report, each a function from its content to HTML."""

from __future__ import annotations

from app.digits import digits
from app.feedback.reads import SavedRead
from app.feedback.rows import Missed, SavedVerdict
from app.report.content import Content
from app.report.planes import Head, planes, voxel
from app.report.wording import (
    BANDS,
    VERDICTS,
    direction,
    esc,
    facts,
    legend,
    number,
    percentile,
    point,
    seconds,
    sure,
    table,
    title,
)
from app.report.wording import moment as when
from app.review.classes import MEANINGS, label
from app.review.table import expectation, nothing_listed, peak_slices
from core.io.derivatives import Region

PHASES = {"first": "First read, without the model", "second": "Second read, with the model's flags"}
SCORES = {
    "mse": "Reconstruction MSE",
    "cluster_size": "Mean cluster size, voxels",
    "normative_top": "Normative z of the most extreme voxels",
    "fused_score": "Fused score",
}
SHOWN_BANDS = {
    "-4": "−4 and less",
    "-4..-3": "−4 to −3",
    "-3..-2": "−3 to −2",
    "2..3": "2 to 3",
    "3..4": "3 to 4",
    "4": "4 and more",
}


def reads(content: Content) -> str:
    """Both reads of the reader who asks."""
    rows = []
    for phase, row in (("first", content.first), ("second", content.second)):
        if row is None:
            rows.append([esc(PHASES[phase]), "not saved", "", "", "", ""])
        else:
            rows.append(_read(PHASES[phase], row))
    head = ("Read", "Class", "Confidence", "Note", "Active", "Saved")
    parts = [table(head, rows, numeric=(4,))]
    if content.first is None:
        parts.append("<p class=soft>This group reads with the flags shown from the start.</p>")
    given = [row.classification for row in (content.first, content.second) if row is not None]
    for value in dict.fromkeys(given):
        words, meaning = MEANINGS[value]
        parts.append(f"<p class=soft><b>{esc(words)}</b>: {esc(meaning)}</p>")
    return "<h2 id=reads>Reads</h2>" + "".join(parts)


def _read(name: str, row: SavedRead) -> list[str]:
    return [
        esc(name),
        f"<b>{esc(label(row.classification))}</b>",
        "–" if row.confidence is None else f"{row.confidence} of 5",
        f"<span class=note>{esc(row.note) or '–'}</span>",
        esc(seconds(row.active_seconds)),
        esc(when(row.created_utc)),
    ]


def regions(content: Content, head: Head) -> str:
    """The flagged regions: a table of all, then each with its planes."""
    record = content.record
    weak = any(region.band == "2-3" for region in content.regions)
    said = [f"<p>{esc(expectation(record, content.map, weak))}</p>"]
    if not content.regions:
        said.insert(0, f"<p><b>{esc(nothing_listed(record, content.map, weak))}</b></p>")
        said.append("<p class=soft>No flag is no proof that the brain is normal.</p>")
        return "<h2 id=regions>Flagged regions</h2>" + "".join(said)
    head_ = ("", "Sign", "Band", "Side", "mm³", "Peak z", "Mean z", "Your verdict")
    rows = []
    for at, region in enumerate(content.regions, 1):
        given = content.verdicts.get(region.id)
        rows.append(
            [
                f"<a href='#r{at}'>{at}</a>",
                "▲ brighter" if region.sign > 0 else "▼ darker",
                esc(BANDS[region.band]),
                esc(region.side),
                number(region.volume_mm3, 0),
                number(region.peak_z, 2, sign=True),
                number(region.mean_z, 2, sign=True),
                "not judged" if given is None else esc(VERDICTS[given.verdict]),
            ]
        )
    said.append(table(head_, rows, numeric=(4, 5, 6)))
    slices = peak_slices(content.regions, content.paths.acquired)
    cards = [
        _card(content, head, at, region, slices[region.id]) for at, region in enumerate(content.regions, 1)
    ]
    return "<h2 id=regions>Flagged regions</h2>" + "".join(said) + "".join(cards)


def _card(content: Content, head: Head, at: int, region: Region, axial: int) -> str:
    """One region; ``axial``: slice of its peak, counted from 1."""
    peak = (region.peak_x_mm, region.peak_y_mm, region.peak_z_mm)
    given = content.verdicts.get(region.id)
    numbers = facts(
        [
            ("Volume", f"{number(region.volume_mm3, 0)} mm³"),
            ("Peak z", number(region.peak_z, 2, sign=True)),
            ("Mean z", number(region.mean_z, 2, sign=True)),
            ("Peak, mm", _place(head, peak)),
            ("Centre, mm", _place(head, (region.x_mm, region.y_mm, region.z_mm))),
            ("Slice", f"{axial} <span class=soft>axial, of the peak</span>"),
            ("Region", f"<code>{esc(region.id)}</code>"),
        ]
    )
    verdict = "Not judged." if given is None else _verdict(content, given)
    more = "".join(
        f"<p class=said>{esc(name)}: {_verdict(content, row)}</p>"
        for name, row in sorted(
            (content.others.verdicts if content.others else {}).get(region.id, {}).items()
        )
    )
    if (final := content.decided.get(region.id)) is not None:
        kind = content.terms.get(final.finding_type, final.finding_type)
        more += (
            f"<p class=said><b>Adjudicated: {esc(VERDICTS.get(final.decision, final.decision))}</b>"
            f"{esc(f' ({kind})' if kind else '')}. <span class=note>{esc(final.reason)}</span></p>"
        )
    return (
        f"<section class=card id=r{at}><h3>{at}. {esc(title(region))}</h3>"
        + _pictures(content, head, peak, numbers, f"region {at}, {direction(region.sign)}, {region.side}")
        + f"<p class=said><b>Your verdict:</b> {verdict}</p>{more}</section>"
    )


def _place(head: Head, mm: tuple[float, float, float]) -> str:
    """A point in mm and as a voxel of the scan's file."""
    at = ", ".join(map(str, voxel(head, mm)))
    return f"{esc(point(mm).removesuffix(' mm'))}<br><span class=soft>voxel {at}</span>"


def _verdict(content: Content, row: SavedVerdict) -> str:
    kind = content.terms.get(row.finding_type, row.finding_type)
    words = "; ".join(text for text in (VERDICTS[row.verdict], kind, sure(row.confidence)) if text)
    note = f" <span class=note>“{esc(row.note)}”</span>" if row.note else ""
    return f"{esc(words)}.{note} <span class=soft>{esc(when(row.created_utc))}</span>"


def _pictures(
    content: Content,
    head: Head,
    mm: tuple[float, float, float],
    numbers: str,
    what: str,
    radius_mm: float | None = None,
) -> str:
    """Three planes with their legend, numbers beside them."""
    sides = "patient's left on the right"
    found = planes(head, mm, radius_mm)
    shown = [
        f"<figure style='--w:{width}'><img src='{source}' alt='{esc(plane)} plane through {esc(what)}; "
        f"{'front on the right' if plane == 'sagittal' else esc(sides)}'>"
        f"<figcaption>{esc(plane.capitalize())}</figcaption></figure>"
        for plane, width, source in found
    ]
    total = sum(width for _, width, _ in found)
    row = f"<div class=planes style='--sum:{total}'>{''.join(shown)}</div>"
    return f"<div class=both>{row}{numbers}</div>{legend(content.bands)}"


def marks(content: Content, head: Head) -> str:
    """What the reader marked: before the flags were shown, and missed by them."""
    if not content.marks:
        return "<h2 id=marks>Findings marked by the reader</h2><p>None.</p>"
    cards = []
    for at, mark in enumerate(content.marks, 1):
        where = (mark.x_mm, mark.y_mm, mark.z_mm)
        kind = content.terms.get(mark.finding_type, mark.finding_type)
        numbers = facts(
            [
                ("Centre, mm", _place(head, where)),
                ("Radius", f"{number(mark.radius_mm, 1)} mm"),
                ("Finding", esc(kind)),
                ("Confidence", "" if mark.confidence is None else f"{mark.confidence} of 5"),
                ("Marked", esc(when(mark.created_utc))),
            ]
        )
        cards.append(
            f"<section class=card><h3>{at}. {esc(_found(mark))}</h3>"
            + _pictures(content, head, where, numbers, f"mark {at}", mark.radius_mm)
            + (f"<p class='said note'>“{esc(mark.note)}”</p>" if mark.note else "")
            + "</section>"
        )
    return "<h2 id=marks>Findings marked by the reader</h2>" + "".join(cards)


def _found(mark: Missed) -> str:
    return (
        "Seen before the flags were shown"
        if mark.phase == "first"
        else "Missed by the flags: marked after them"
    )


def others(content: Content) -> str:
    """Other readers' classes and marks, and the class that was decided: of a closed scan only."""
    parts = []
    found = content.others
    if found is not None:
        head = ("Reader", "Class", "Confidence", "Note", "Active", "Saved")
        rows = [_read(name, row) for name, row in found.classes.items()]
        parts.append(table(head, rows, numeric=(4,)))
        if found.marks:
            listed = [
                [
                    esc(name),
                    esc(_found(mark)),
                    esc(point((mark.x_mm, mark.y_mm, mark.z_mm))),
                    esc(content.terms.get(mark.finding_type, mark.finding_type)) or "–",
                    f"<span class=note>{esc(mark.note) or '–'}</span>",
                ]
                for name, mark in found.marks
            ]
            parts.append(table(("Reader", "Mark", "Centre", "Finding", "Note"), listed))
        parts.append("<p class=soft>Names hold within this scan only.</p>")
    if (final := content.decided.get("")) is not None:
        parts.append(
            f"<p><b>Adjudicated class: {esc(label(final.decision))}.</b> "
            f"<span class=note>{esc(final.reason)}</span></p>"
        )
    return "<h2 id=others>Other readers</h2>" + "".join(parts) if parts else ""


def scores(content: Content) -> str:
    """The case's scores among validation normals, and the bands of the map."""
    record = content.record
    count = record.scores.get("validation_n")
    rows = [
        [
            esc(name),
            digits(record.scores[key]) if key == "mse" else number(record.scores[key], 2),
            esc(percentile(record.scores.get(f"{key}_percentile"), count)),
        ]
        for key, name in SCORES.items()
        if key in record.scores
    ]
    bands = [
        [
            esc(SHOWN_BANDS[row.band]),
            number(row.percent, 3),
            number(row.clusters, 0),
            number(row.mean_cluster_size, 1),
        ]
        for row in record.bands[content.map]
    ]
    uncovered = record.scores.get("normative_uncovered", 0.0)
    line = (
        f"<p class=soft>{number(uncovered, 1)} % of the brain lies where no normal has brain: normative z "
        "is 0 there.</p>"
        if uncovered > 0
        else ""
    )
    return (
        "<h2 id=scores>Scores of the scan</h2>"
        + table(("Score", "Value", "Among normals"), rows, numeric=(1,))
        + line
        + table(
            ("Band, SD", "% of brain voxels", "2D clusters", "Mean cluster, voxels"),
            bands,
            caption=f"Bands of the {content.map} map",
            numeric=(1, 2, 3),
        )
    )
