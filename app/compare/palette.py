"""Colours of Compare that Review has not: counts of models, and differences of two z maps."""

from __future__ import annotations

# k models flag a voxel: a warm ramp, brown to yellow, where it is brighter than expected (1), a cool one,
# blue to mint, where it is darker (-1), so that few models of the one are never taken for the other. Each
# step is lighter than the one before: colour-blind readers and grey prints can tell them apart. The last
# stands for 9 and more.
COUNTS: dict[int, tuple[str, ...]] = {
    1: (
        "#7d2e00",
        "#963e01",
        "#af4e04",
        "#c76108",
        "#da7a12",
        "#eb921a",
        "#f6ae40",
        "#fccc67",
        "#ffe98a",
    ),
    -1: (
        "#0b4a6f",
        "#0d6081",
        "#117893",
        "#1e8fa2",
        "#30a8ae",
        "#48c0ba",
        "#78d3ca",
        "#a1e7d9",
        "#c8fbe9",
    ),
}
# z of the first model less that of the second, from −4 SD and below to +4 SD and above: purple to green,
# which colour-blind readers tell apart, and unlike the reds and blues of the bands.
DIFFERENCE: tuple[str, ...] = ("#7a22c9", "#a35be6", "#cda0f5", "#eeeeee", "#a9ecb0", "#4fd068", "#0b9c3f")
DIFFERENCE_LIMIT = 4.0


def count_color(k: int, sign: int) -> str:
    """Colour of a voxel that ``k`` models flag as brighter (1) or darker (-1) than expected."""
    ramp = COUNTS[sign]
    return ramp[min(k, len(ramp)) - 1]
