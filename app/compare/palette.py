"""Colours of Compare that Review has not: counts of models, and differences of two z maps."""

from __future__ import annotations

# k models flag a voxel: Plasma (perceptually uniform, told apart in all common colour blindness and, by its
# lightness, in grey), its darkest end left out. The last stands for 9 and more.
COUNTS: tuple[str, ...] = (
    "#5a1bb5",
    "#7201a8",
    "#9c179e",
    "#bd3786",
    "#d8576b",
    "#ed7953",
    "#fb9f3a",
    "#fdca26",
    "#f0f921",
)
# z of the first model less that of the second, from −4 SD and below to +4 SD and above: purple to green
# (ColorBrewer's PRGn, made for colour-blind readers), unlike the reds and blues of the bands.
DIFFERENCE: tuple[str, ...] = ("#9970ab", "#c2a5cf", "#e7d4e8", "#f7f7f7", "#d9f0d3", "#7fbf7b", "#1b9e4b")
DIFFERENCE_LIMIT = 4.0


def count_color(k: int) -> str:
    """Colour of a voxel that ``k`` models flag."""
    return COUNTS[min(k, len(COUNTS)) - 1]
