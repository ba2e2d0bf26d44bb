"""The region table: which regions are shown, in which order, and how they read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd

from app.digits import digits
from app.feedback.store import SavedVerdict
from app.viewer.component import BAND_LABELS
from core.anomaly.regions import floor_at
from core.anomaly.score import outside_normals
from core.io.derivatives import CaseRecord, MapName, Region

STRENGTH = {"4+": 0, "3-4": 1, "2-3": 2}
# Rows of the band table, in SD.
BAND_WORDS = {
    "-4": "≤ −4",
    "-4..-3": "−4 to −3",
    "-3..-2": "−3 to −2",
    "2..3": "2 to 3",
    "3..4": "3 to 4",
    "4": "≥ 4",
}
VERDICTS = {"agree": "✓", "disagree": "✗", "unsure": "?"}


def shown_regions(regions: Iterable[Region], name: MapName, weak: bool) -> list[Region]:
    """Regions of one map, strongest band first, larger first; 2–3 only where ``weak``."""
    mine = [region for region in regions if region.map == name and (weak or region.band != "2-3")]
    return sorted(mine, key=lambda region: (STRENGTH[region.band], -region.volume_mm3, region.id))


def other_map(regions: Iterable[Region], name: MapName, maps: Iterable[MapName]) -> str:
    """A line where another of ``maps`` flags more regions of 3 SD and more than ``name``; else empty."""
    found = list(regions)
    here = len(shown_regions(found, name, weak=False))
    for other in maps:
        count = len(shown_regions(found, other, weak=False))
        if other != name and count > here:
            return f"The {other} map flags {count} region{'' if count == 1 else 's'}"
    return ""


def nothing_listed(record: CaseRecord, name: MapName, weak: bool) -> str:
    """Said where a map has no region to list. Coloured specks below the floor may still be on screen."""
    floor = record.settings.get("floor_mm3")
    lowest = 2 if weak else 3
    size = "" if floor is None else f" of {floor_at(name, floor, lowest):g} mm³ or more"
    return f"This map flags no region{size} at {lowest} SD and more."


def band_rule(record: CaseRecord, name: MapName) -> str:
    """Which band a region of the map carries, and why its peak can lie in a higher one."""
    floor = record.settings.get("floor_mm3")
    size = ""
    if floor is not None:
        low, sure = (f"{floor_at(name, floor, z):g} mm³" for z in (2, 3))
        size = f" ({low})" if low == sure else f" ({low}, from 3 SD on {sure})"
    return (
        "▲ brighter, ▼ darker than expected. A region's band is the highest at which its voxels keep "
        f"the smallest size that counts{size}, so its peak may lie above it: the line below the list then "
        "gives the peak's band in brackets, as the viewer does under the crosshair."
    )


def peak_slices(regions: Iterable[Region], scan: Path) -> dict[str, int]:
    """By region id the axial slice of its peak voxel, counted from 1 below, as the viewer does.

    ``scan`` is the image whose world the regions' mm are of; only its header is read.
    """
    image = nib.load(scan)
    assert isinstance(image, nib.spatialimages.SpatialImage)
    assert image.affine is not None
    turned = nib.orientations.inv_ornt_aff(nib.orientations.io_orientation(image.affine), image.shape)
    to_voxel = np.linalg.inv(image.affine @ turned)
    return {
        one.id: round(float((to_voxel @ (one.peak_x_mm, one.peak_y_mm, one.peak_z_mm, 1.0))[2])) + 1
        for one in regions
    }


def signed(value: float) -> str:
    """A signed z with a real minus, as everywhere on screen."""
    return f"{value:+.1f}".replace("-", "−")


def peak_words(region: Region) -> str:
    """Signed z of the peak, with its band where that is not the region's own."""
    size = abs(region.peak_z)
    band = "4+" if size >= 4 else "3-4" if size >= 3 else "2-3"
    return f"peak {region.peak_z:+.1f}" + ("" if band == region.band else f" (band {BAND_LABELS[band]})")


def describe(region: Region, at: int) -> str:
    """One line on a region whose peak lies in the axial slice ``at``, counted from 1."""
    direction = "brighter" if region.sign > 0 else "darker"
    return (
        f"{direction} {BAND_LABELS[region.band]} · {region.side} · {region.volume_mm3:,.0f} mm³ · "
        f"{peak_words(region)} in slice {at}"
    ).replace("-", "−")


def region_frame(
    regions: list[Region], verdicts: Mapping[str, SavedVerdict], slices: Mapping[str, int]
) -> pd.DataFrame:
    """Rows as the reader sees them, one a region, in the given order; ``slices`` as of ``peak_slices``."""
    return pd.DataFrame(
        {
            "": [VERDICTS[verdicts[r.id].verdict] if r.id in verdicts else "" for r in regions],
            "Band": [f"{'▲' if r.sign > 0 else '▼'} {BAND_LABELS[r.band]}" for r in regions],
            "Side": [r.side for r in regions],
            "mm³": [r.volume_mm3 for r in regions],
            "Peak": [r.peak_z for r in regions],
            "Mean": [r.mean_z for r in regions],
            "Slice": [slices[r.id] for r in regions],
        }
    )


def expectation(record: CaseRecord, name: MapName, weak: bool) -> str:
    """How many regions a normal scan gets at this setting, from the validation normals."""
    rates = record.false_alarms.get(name, {})
    shown = [rates[band] for band in STRENGTH if band in rates and (weak or band != "2-3")]
    if not shown and any(score.endswith("_percentile") for score in record.scores):
        floor = record.settings.get("floor_mm3")
        here = "" if floor is None else f" than this analysis' {floor:g} mm³"
        return f"Regions of validation normals were counted at another floor{here}: no number here."
    if not shown:
        return "No validation normals are known for this model: flags can't be put in proportion."
    return f"Validation normals have {sum(shown):.1f} regions on average at this setting."


def ordinal(number: float) -> str:
    """``97`` to ``97th``."""
    whole = round(number)
    suffix = "th" if 10 <= whole % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(whole % 10, "th")
    return f"{whole}{suffix}"


def score_lines(record: CaseRecord) -> list[str]:
    """The case's scores with their percentile among validation normals."""
    names: dict[str, tuple[str, Callable[[float], str]]] = {
        "mse": ("MSE", digits),
        "normative_top": ("Normative z, top voxels", "{:.2f}".format),
    }
    count = record.scores.get("validation_n")
    normals = "normals" if count is None else "1 normal" if count == 1 else f"{count:.0f} normals"
    lines = []
    for score, (label, written) in names.items():
        if score in record.scores:
            line = f"{label} {written(record.scores[score])}"
            percentile = record.scores.get(f"{score}_percentile")
            lines.append(
                line if percentile is None else f"{line} ({ordinal(percentile)} percentile of {normals})"
            )
    uncovered = record.scores.get("normative_uncovered", 0.0)
    if uncovered > 0:
        lines.append(f"{uncovered:.1f} % of the brain lies where no normal has brain: normative z is 0 there")
    share, most = record.scores.get("fused_percent"), record.scores.get("fused_percent_most")
    if share is not None and most is not None and outside_normals(share, most):
        lines.append(
            f"{share:.1f} % of the brain lies at |z| ≥ 2 in the fused map, {most:.1f} % at most in a normal: "
            "the whole scan may lie outside what the model knows"
        )
    return lines
