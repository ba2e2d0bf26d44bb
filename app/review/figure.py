"""The paper's overlay figure (figures 5 to 7): three axial slices × none, 2–3, 3–4, 4+."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from app.review.slices import LETTER, band_labels, cut, decode, spacing
from app.viewer.component import map_label
from app.viewer.volumes import MAP_KINDS, read_grid, wire
from core.anomaly.palette import PALETTES, paint
from core.io.derivatives import CasePaths, CaseRecord, MapName

COLUMNS: tuple[tuple[str, frozenset[str]], ...] = (
    ("none", frozenset()),
    ("2–3 SD", frozenset({"2-3"})),
    ("3–4 SD", frozenset({"3-4"})),
    ("4+ SD", frozenset({"4+"})),
)
# A newborn's head, a fifth longer than wide, then fills most of its cell.
WIDTH, HEIGHT = 960, 880
# 64 slices of the paper's 0.5 mm cube.
OFFSET_MM = 32.0


def figure_slices(brain: NDArray[np.bool_], spacing_mm: float) -> tuple[int, int, int]:
    """Axial indices above, at and below the brain's middle, ±64 slices of the paper's cube (32 mm).

    Small brains get what lies inside them: the outer slices stay within the mask.
    """
    filled = np.flatnonzero(brain.any(axis=(0, 1)))
    low, high = (int(filled[0]), int(filled[-1])) if filled.size else (0, brain.shape[2] - 1)
    middle, offset = (low + high) // 2, round(OFFSET_MM / spacing_mm)
    return min(high, middle + offset), middle, max(low, middle - offset)


def crop(brain: NDArray[np.bool_], margin: int = 10) -> tuple[slice, slice]:
    """X and Y ranges that hold the brain on every axial slice, with a margin in voxels."""
    ranges = []
    for axis, others in ((0, (1, 2)), (1, (0, 2))):
        filled = np.flatnonzero(brain.any(axis=others))
        low, high = (filled[0], filled[-1]) if filled.size else (0, brain.shape[axis] - 1)
        ranges.append(slice(max(0, int(low) - margin), min(brain.shape[axis], int(high) + margin + 1)))
    return ranges[0], ranges[1]


def overlay_figure(record: CaseRecord, paths: CasePaths, name: MapName, palette: str = "paper") -> go.Figure:
    """Rows: middle slice and ±64; columns: no overlay and the three bands; reds positive, blues negative.

    Raises
    ------
    VolumeMissing
        Where a derivatives file is missing or unreadable.
    """
    volume = wire(paths, record.model, "base")
    base, z = decode(volume), decode(wire(paths, record.model, MAP_KINDS[name]))
    size = spacing(volume)
    brain = read_grid(paths.mask).data > 0
    rows, window = figure_slices(brain, size[2]), crop(brain)
    figure = make_subplots(
        rows=3,
        cols=4,
        column_titles=[title for title, _ in COLUMNS],
        horizontal_spacing=0.01,
        vertical_spacing=0.01,
    )
    for row, index in enumerate(rows, start=1):
        part = (*window, slice(index, index + 1))
        grey = cut(base[part], "axial", 0)
        for column, (_, bands) in enumerate(COLUMNS, start=1):
            picture = paint(grey, cut(band_labels(z[part], bands), "axial", 0), palette)
            figure.add_trace(go.Image(z=picture, hoverinfo="skip"), row=row, col=column)
            _letters(figure, row, column, picture.shape, index, volume.shape[2])
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False, scaleratio=size[1] / size[0])
    mark = " · SYNTHETIC" if record.synthetic else ""
    figure.update_layout(
        title={
            "text": f"{record.case_id} · {record.model} · {map_label(name)}{mark}",
            "x": 0.01,
            "font": {"size": 14},
        },
        width=WIDTH,
        height=HEIGHT,
        margin={"l": 8, "r": 8, "t": 70, "b": 44},
        paper_bgcolor="black",
        plot_bgcolor="black",
        font={"color": "#d9e1e4", "size": 13},
    )
    labels = ("4+", "3–4", "2–3", "2–3", "3–4", "4+")
    chips = [
        f"<span style='color:{color}'>■</span> {label}"
        for color, label in zip(PALETTES[palette], labels, strict=True)
    ]
    figure.add_annotation(
        text=(
            f"darker {' '.join(chips[:3])} &nbsp; {' '.join(chips[3:])} brighter"
            " than expected (SD) &nbsp;·&nbsp; radiological: image right is patient left"
        ),
        x=0.5, y=-0.045, xref="paper", yref="paper", showarrow=False,
    )  # fmt: skip
    return figure


def _letters(
    figure: go.Figure, row: int, column: int, shape: tuple[int, ...], index: int, slices: int
) -> None:
    height, width = shape[:2]
    for text, x, y, anchor in (
        ("R", 0, height / 2, "left"),
        ("L", width - 1, height / 2, "right"),
        (f"{index + 1}/{slices}", 0, height - 1, "left"),
    ):
        figure.add_annotation(
            text=text, x=x, y=y, xanchor=anchor, showarrow=False, row=row, col=column,
            font={"color": LETTER if text in "RL" else "#8c9aa1", "size": 13 if text in "RL" else 10},
        )  # fmt: skip
