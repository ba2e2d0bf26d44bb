"""Colours of the six bands, and a slice painted with them: the same wherever a map is shown."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

OPACITY = 0.75  # of a band over the scan
# In the order of ``bands.BANDS``: darker 4+, 3–4, 2–3, then brighter 2–3, 3–4, 4+.
PALETTES: dict[str, tuple[str, ...]] = {
    "paper": ("#0a2fd6", "#3d86f2", "#a6ccff", "#ffb8a3", "#f4523b", "#c00018"),
    "colour-blind": ("#5b21b6", "#9a6cf0", "#d3bdff", "#ffe0a1", "#f59a1d", "#c75b00"),
}
PALETTE_NAMES = {"paper": "Red/blue", "colour-blind": "Orange/purple"}


def rgb(colour: str) -> list[int]:
    """Red, green and blue, 0 to 255, of ``#rrggbb``."""
    return [int(colour[at : at + 2], 16) for at in (1, 3, 5)]


def paint(
    grey: NDArray[np.number],
    labels: NDArray[np.integer],
    palette: str = "paper",
    opacity: float = OPACITY,
) -> NDArray[np.uint8]:
    """Grey slice (H, W), 0 to 255, with its band labels (as of ``bands.band_labels``) as RGB (H, W, 3)."""
    colours = np.array([[0, 0, 0], *(rgb(colour) for colour in PALETTES[palette])])
    shades = np.repeat(grey[..., None], 3, axis=2).astype(np.float32)
    weight = np.where(labels[..., None] > 0, opacity, 0.0)
    return np.rint(shades * (1 - weight) + colours[labels] * weight).astype(np.uint8)
