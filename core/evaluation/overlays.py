"""Overlay sheets of the evaluation: the paper's figures 5 to 7 (one scan), and 8 (one place, all models)."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from PIL import Image
from plotly.subplots import make_subplots

from core.anomaly.bands import band_labels
from core.anomaly.palette import PALETTES, paint
from core.anomaly.residual import Array, Mask

# Columns of every sheet, and the labels of ``band_labels`` that each shows.
COLUMNS: tuple[tuple[str, tuple[int, ...]], ...] = (
    ("none", ()),
    ("2–3 SD", (3, 4)),
    ("3–4 SD", (2, 5)),
    ("4+ SD", (1, 6)),
)
OFFSET = 64 / 256  # of the cube: the paper's outer slices lie 64 of 256 from the middle one
SHOWN_PIXELS = 190  # height of one picture
CROP_MM = 44.0  # side of figure 8's window


@dataclass(frozen=True, eq=False)
class Layer:
    """One scan as one model sees it, on the prepared cube."""

    title: str
    x: Array  # (N, N, N) in [0, 1]
    z: Array  # (N, N, N)
    mask: Mask


def sheet_rows(size: int) -> tuple[int, int, int]:
    """Axial slices of a cube of ``size``: 64/256 above the middle, the middle, and as far below."""
    middle, offset = size // 2, round(size * OFFSET)
    return middle + offset, middle, middle - offset


def painted(layer: Layer, k: int, shown: Sequence[int]) -> NDArray[np.uint8]:
    """Axial slice ``k`` as RGB (rows from anterior to posterior, patient's left on the right)."""
    inside = layer.mask[:, :, k]
    labels = np.zeros(inside.shape, np.uint8)
    if inside.any():
        labels = band_labels(layer.z[:, :, k], inside)
    grey = 255 * np.clip(layer.x[:, :, k], 0, 1)
    picture = paint(grey, np.where(np.isin(labels, shown), labels, 0))
    return picture[::-1, ::-1].transpose(1, 0, 2)


def png(picture: NDArray[np.uint8]) -> str:
    """RGB (H, W, 3) as a data address, enlarged without blending voxels where small."""
    image = Image.fromarray(picture)
    factor = max(1, round(SHOWN_PIXELS / picture.shape[0]))
    image = image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)
    stream = io.BytesIO()
    image.save(stream, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()


def _sheet(rows: Sequence[tuple[str, list[NDArray[np.uint8]]]], title: str, synthetic: bool) -> go.Figure:
    """Pictures in rows with a label each, under the columns' names; legend and sides below."""
    figure = make_subplots(
        rows=len(rows),
        cols=len(COLUMNS),
        column_titles=[name for name, _ in COLUMNS],
        horizontal_spacing=0.006,
        vertical_spacing=0.006,
    )
    for row, (label, pictures) in enumerate(rows, start=1):
        for column, picture in enumerate(pictures, start=1):
            figure.add_trace(go.Image(source=png(picture), hoverinfo="skip"), row=row, col=column)
        place = f"y{'' if row == 1 else (row - 1) * len(COLUMNS) + 1} domain"
        figure.add_annotation(
            text=label, textangle=-90, x=-0.012, xref="paper", y=0.5, yref=place, showarrow=False
        )
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False)
    darker, brighter = PALETTES["paper"][:3], PALETTES["paper"][3:]

    def chips(colours: Sequence[str], names: Sequence[str]) -> str:
        pairs = zip(colours, names, strict=True)
        return " ".join(f"<span style='color:{colour}'>■</span> {name}" for colour, name in pairs)

    figure.add_annotation(
        text=(
            f"darker {chips(darker, ('4+', '3–4', '2–3'))} &nbsp; {chips(brighter, ('2–3', '3–4', '4+'))} "
            "brighter than expected (SD) · radiological: image right is patient left"
        ),
        x=0.5,
        xref="paper",
        y=0,
        yshift=-28,
        yref="paper",
        showarrow=False,
    )
    return figure.update_layout(
        title=f"{title} (synthetic data)" if synthetic else title,
        height=110 + (SHOWN_PIXELS + 4) * len(rows),
        width=110 + (SHOWN_PIXELS + 4) * len(COLUMNS),
        margin={"l": 40, "r": 10, "t": 70, "b": 50},
        paper_bgcolor="black",
        plot_bgcolor="black",
        font={"color": "#d9e1e4", "size": 12},
    )


def scan_sheet(layer: Layer, title: str, synthetic: bool) -> go.Figure:
    """Figures 5 to 7: three axial slices × no overlay and the three bands; reds positive, blues negative."""
    rows = [
        (f"slice {k + 1} of {layer.x.shape[2]}", [painted(layer, k, shown) for _, shown in COLUMNS])
        for k in sheet_rows(layer.x.shape[2])
    ]
    return _sheet(rows, title, synthetic)


def place_sheet(
    layers: Sequence[Layer], centre: tuple[int, int, int], voxel_mm: float, title: str, synthetic: bool
) -> go.Figure:
    """Figure 8: the window around ``centre`` (voxel) of one axial slice, one row a model."""
    half = max(2, round(CROP_MM / voxel_mm / 2))
    rows = []
    for layer in layers:
        i, j = (
            slice(max(0, at - half), min(size, at + half + 1))
            for at, size in zip(centre[:2], layer.x.shape[:2], strict=True)
        )
        window = Layer(layer.title, layer.x[i, j], layer.z[i, j], layer.mask[i, j])
        rows.append((layer.title, [painted(window, centre[2], shown) for _, shown in COLUMNS]))
    return _sheet(rows, title, synthetic)
