"""Colours of the six bands: the same wherever a map is shown."""

from __future__ import annotations

# In the order of ``bands.BANDS``: darker 4+, 3–4, 2–3, then brighter 2–3, 3–4, 4+.
PALETTES: dict[str, tuple[str, ...]] = {
    "paper": ("#0a2fd6", "#3d86f2", "#a6ccff", "#ffb8a3", "#f4523b", "#c00018"),
    "colour-blind": ("#5b21b6", "#9a6cf0", "#d3bdff", "#ffe0a1", "#f59a1d", "#c75b00"),
}
PALETTE_NAMES = {"paper": "Red/blue", "colour-blind": "Orange/purple"}
