"""Words and small pieces of HTML that the sections of a report share. Every text is escaped here."""

from __future__ import annotations

import html
from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime

from app.review.table import ordinal
from app.viewer.component import BAND_LABELS
from core.anomaly.palette import PALETTES
from core.io.derivatives import MapName, Region

DISCLAIMER = (
    "Fontanelle is research software and no medical device. It must not be used to diagnose, treat or triage "
    "anyone. A flag marks what a model did not expect, no diagnosis; where there is none, something can be "
    "abnormal still."
)
SYNTHETIC = (
    "SYNTHETIC: this scan was made by a computer. No newborn was scanned, and nothing here is clinical."
)
CONVENTION = (
    "Pictures are radiological: the patient's left is on the right of axial and coronal pictures; sagittal "
    "ones have the front on the right. The cross marks a region's peak. Positions are millimetres in the "
    "scan's RAS+ space (x to the patient's right, y to the front, z up); voxels count from 0 along the axes "
    "of the scan's file as stored."
)
MAPS: dict[MapName, str] = {
    "volume": "volume z: residual against all residuals of this scan's brain, as in the paper",
    "normative": "normative z: residual against those of held-out normals at the same place",
    "fused": "fused z: restoration and the best-matching places of normals together, against normals",
}
BANDS = {"2-3": "2–3 SD", "3-4": "3–4 SD", "4+": "4 SD and more"}
VERDICTS = {
    "agree": "Agree: a finding",
    "disagree": "Disagree: a false alarm",
    "unsure": "Unsure",
}


def esc(text: object) -> str:
    """Text as HTML, quotes too."""
    return html.escape(str(text), quote=True)


def number(value: float, digits: int, sign: bool = False) -> str:
    """A number with a real minus and thin groups, never "-0.0"."""
    text = f"{round(value, digits) + 0.0:{'+' if sign else ''},.{digits}f}"
    return text.replace("-", "−").replace(",", " ")


def moment(utc: str) -> str:
    """An ISO 8601 time, as in "24 Nov 2026, 10:31 UTC"."""
    at = datetime.fromisoformat(utc).astimezone(UTC)
    return f"{at.day} {at:%b %Y, %H:%M} UTC"


def seconds(value: float) -> str:
    """Active time, as in "1 min 05 s"."""
    whole = round(value)
    return f"{whole} s" if whole < 60 else f"{whole // 60} min {whole % 60:02d} s"


def direction(sign: int) -> str:
    """In words: colour alone says nothing to many."""
    return "brighter than expected" if sign > 0 else "darker than expected"


def title(region: Region) -> str:
    """One line on a region."""
    return f"{direction(region.sign).capitalize()}, {BANDS[region.band]}, {region.side}"


def point(values: Sequence[float]) -> str:
    """Millimetres as "−12.4, 8.0, 3.5 mm"."""
    return ", ".join(number(value, 1) for value in values) + " mm"


def sure(confidence: int | None) -> str:
    """Confidence in words; empty where none was given."""
    return "" if confidence is None else f"confidence {confidence} of 5"


def percentile(value: float | None, count: float | None) -> str:
    """Where a score stands among the validation normals, and how many these are."""
    if value is None:
        return "not known"
    normals = "" if count is None else f" of {count:.0f} validation normals"
    return f"{ordinal(value)} percentile{normals}"


def table(
    head: Sequence[str], rows: Iterable[Sequence[str]], caption: str = "", numeric: Sequence[int] = ()
) -> str:
    """An HTML table; cells are HTML already. ``numeric``: columns to align right."""

    def cell(tag: str, at: int, text: str, scope: str = "") -> str:
        return f"<{tag}{scope}{' class=n' if at in numeric else ''}>{text}</{tag}>"

    top = "".join(cell("th", at, esc(text), " scope=col") for at, text in enumerate(head))
    body = "".join(
        "<tr>" + "".join(cell("td", at, text) for at, text in enumerate(row)) + "</tr>" for row in rows
    )
    said = f"<caption>{esc(caption)}</caption>" if caption else ""
    return f"<div class=scroll><table>{said}<thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>"


def facts(pairs: Iterable[tuple[str, str]]) -> str:
    """Names and values side by side; values are HTML already, empty ones are left out."""
    return (
        "<dl>"
        + "".join(f"<div><dt>{esc(name)}</dt><dd>{value}</dd></div>" for name, value in pairs if value)
        + "</dl>"
    )


def legend(bands: Collection[str]) -> str:
    """The bands that pictures colour, of ``REGION_BANDS``, and those that they leave out, in words."""
    names = ("4+", "3-4", "2-3", "2-3", "3-4", "4+")
    chips = [
        f"<span class=chip style='background:{colour}'></span>{BAND_LABELS[name]}" if name in bands else ""
        for colour, name in zip(PALETTES["paper"], names, strict=True)
    ]
    left = " and ".join(label for name, label in BAND_LABELS.items() if name not in bands)
    return (
        f"<p class=legend>Darker than expected:{''.join(chips[:3])} &ensp; "
        f"brighter:{''.join(chips[3:])} &ensp; (|z| in SD{f'; {left} not coloured' if left else ''})</p>"
    )
