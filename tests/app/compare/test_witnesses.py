"""Regions across models, on every stored orientation of the same head."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.cases import read_cases
from app.compare.analyses import Analyses, gather
from app.compare.regions import region_frame, witness_frame
from app.compare.witnesses import drawn, region_at, witnesses
from app.viewer.volumes import VolumeMissing
from core.config import settings
from tests.app.compare.conftest import write_many
from tests.casefactory import BRIGHT_LEFT, DARK_RIGHT, ORIENTATIONS


@pytest.mark.parametrize("stored", ORIENTATIONS)
def test_who_flags_the_bright_block(data_dir: Path, stored: tuple[str, str, str]) -> None:
    root = settings().derivatives_dir
    written = write_many(root, stored=stored)
    analyses = gather(root, written[0].case_id, read_cases(root)[0])
    found = witnesses(analyses, "volume", "std_8x8", "vr01")
    assert list(found) == ["std_8x8", "vae_8x8_512", "vae_16x16_1024"]
    own, weaker, blind = found.values()
    assert (own.flagged, own.band, own.peak_z, own.covered, own.dice) == (True, "4+", 5.0, 1.0, 1.0)
    assert (weaker.flagged, weaker.band, weaker.peak_z, weaker.dice) == (True, "3-4", 3.25, 1.0)
    assert (blind.flagged, blind.band, blind.peak_z, blind.covered) == (False, "", 0.0, 0.0)


def test_who_flags_the_dark_block(analyses: Analyses) -> None:
    found = witnesses(analyses, "volume", "vae_16x16_1024", "vr02")
    assert [(one.band, one.peak_z) for one in found.values()] == [
        ("3-4", -3.5),
        ("3-4", -3.5),
        ("2-3", -2.5),
    ]


@pytest.mark.parametrize("stored", ORIENTATIONS)
def test_a_voxel_finds_its_region(data_dir: Path, stored: tuple[str, str, str]) -> None:
    root = settings().derivatives_dir
    written = write_many(root, stored=stored)
    analyses = gather(root, written[0].case_id, read_cases(root)[0])
    one = drawn(analyses.paths, "std_8x8", "volume")
    bright, dark = region_at(one, BRIGHT_LEFT.start), region_at(one, DARK_RIGHT.start)
    assert bright is not None
    assert dark is not None
    assert (bright.id, bright.side, dark.id, dark.side) == ("vr01", "left", "vr02", "right")
    last = [stop - 1 for stop in BRIGHT_LEFT.stop]
    assert region_at(one, last) == bright
    assert region_at(one, BRIGHT_LEFT.stop) is None
    assert region_at(one, (-1, 0, 0)) is None
    assert region_at(one, (400, 3, 3)) is None


def test_an_unknown_region(analyses: Analyses) -> None:
    with pytest.raises(VolumeMissing, match="region nothing: std_8x8 has none"):
        witnesses(analyses, "volume", "std_8x8", "nothing")


def test_rows(analyses: Analyses) -> None:
    one = drawn(analyses.paths, "std_8x8", "volume")
    frame = region_frame(list(one.regions), {"vr01": 13, "vr02": 8})
    assert list(frame["Band"]) == ["▲ 4+", "▼ 3–4"]
    assert list(frame["Slice"]) == [13, 8]
    found = witnesses(analyses, "volume", "std_8x8", "vr01")
    seen = witness_frame(found, one.regions[0], "std_8x8")
    assert list(seen["Model"]) == ["▸ std_8x8", "vae_8x8_512", "vae_16x16_1024"]
    assert list(seen["Flags"]) == ["▲ 4+", "▲ 3–4", "–"]
    assert list(seen["Covers"]) == [100.0, 100.0, 0.0]
