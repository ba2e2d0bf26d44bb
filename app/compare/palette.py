"""Colours of Compare that Review has not: counts of models, and differences of two z maps."""

from __future__ import annotations

# k models flag a voxel: from blue over purple and orange to yellow like Plasma, each step lighter than the
# one before: colour-blind readers and grey prints can tell them apart. The last stands for 9 and more.
COUNTS: tuple[str, ...] = (
    "#2f3fae",
    "#6439b8",
    "#9a3bb0",
    "#c4458f",
    "#de5f6c",
    "#ee7d4f",
    "#f89f3c",
    "#fcc433",
    "#f2ee4e",
)
# z of the first model less that of the second, from −4 SD and below to +4 SD and above: purple to green,
# which colour-blind readers tell apart, and unlike the reds and blues of the bands.
DIFFERENCE: tuple[str, ...] = ("#7a22c9", "#a35be6", "#cda0f5", "#eeeeee", "#a9ecb0", "#4fd068", "#0b9c3f")
DIFFERENCE_LIMIT = 4.0


def count_color(k: int) -> str:
    """Colour of a voxel that ``k`` models flag."""
    return COUNTS[min(k, len(COUNTS)) - 1]
