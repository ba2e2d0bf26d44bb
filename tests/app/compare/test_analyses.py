"""Which analyses of a scan can be compared."""

from __future__ import annotations

from colorsys import rgb_to_hls
from itertools import pairwise

import pytest

from app.cases import read_cases
from app.compare.analyses import Analyses, gather, in_order
from app.compare.palette import COUNTS, count_color
from core.config import settings
from core.io.derivatives import CaseRecord, DerivativesError
from tests.app.compare.conftest import SEEN
from tests.casefactory import write_case


def test_order_of_the_paper_then_others() -> None:
    assert in_order(["restorer", "vae_8x8_256", "atlas", "std_16x16"]) == [
        "std_16x16",
        "vae_8x8_256",
        "atlas",
        "restorer",
    ]


def test_gathers_one_scan(analyses: Analyses) -> None:
    write_case(settings().derivatives_dir, "sub-other", model="std_16x16")
    root = settings().derivatives_dir
    found = gather(root, analyses.case_id, read_cases(root)[0])
    assert found.models == list(SEEN)
    assert found.maps == ["volume", "normative"]
    assert (found.left_out, found.synthetic) == ({}, True)


def test_a_changed_file_leaves_its_model_out(many: list[CaseRecord], analyses: Analyses) -> None:
    analyses.paths.z("vae_8x8_512", "volume").write_bytes(b"not what was written")
    root = settings().derivatives_dir
    found = gather(root, many[0].case_id, read_cases(root)[0])
    assert found.models == ["std_8x8", "vae_16x16_1024"]
    assert "changed since this analysis" in found.left_out["vae_8x8_512"]


def test_no_analysis_of_the_scan() -> None:
    with pytest.raises(DerivativesError, match="sub-none_ses-01"):
        gather(settings().derivatives_dir, "sub-none_ses-01", [])


def lightness(color: str) -> float:
    """L* of sRGB, D65."""
    parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return float(116 * (0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]) ** (1 / 3) - 16)


@pytest.mark.parametrize("sign", [1, -1])
def test_counts_grow_lighter_so_that_no_hue_is_needed(sign: int) -> None:
    ramp = COUNTS[sign]
    steps = [lightness(color) for color in ramp]
    assert all(after - before >= 3 for before, after in pairwise(steps))
    assert [count_color(k, sign) for k in (1, 9, 12)] == [ramp[0], ramp[8], ramp[8]]


def test_counts_of_brighter_voxels_are_warm_and_those_of_darker_ones_cool() -> None:
    for sign, (low, high) in {1: (15, 60), -1: (150, 215)}.items():
        for color in COUNTS[sign]:
            red, green, blue = (int(color[i : i + 2], 16) / 255 for i in (1, 3, 5))
            assert low <= 360 * rgb_to_hls(red, green, blue)[0] <= high
