"""The region table's rows, order and words."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from app.review.table import (
    band_rule,
    describe,
    expectation,
    nothing_listed,
    ordinal,
    other_map,
    peak_slices,
    region_frame,
    score_lines,
    shown_regions,
    signed,
)
from core.io.derivatives import CasePaths, Region, read_regions
from tests.casefactory import BRIGHT_LEFT, DARK_RIGHT, ORIENTATIONS, Block, write_case

WEAK = Block("r03", (10, 10, 10), (12, 12, 12), 2.5)


def regions(root: Path) -> list[Region]:
    record = write_case(root, blocks=(WEAK, DARK_RIGHT, BRIGHT_LEFT))
    return read_regions(CasePaths(root, record.subject, record.session).regions(record.model))


def test_strongest_band_first_then_largest(tmp_path: Path) -> None:
    found = regions(tmp_path)
    small = replace(found[2], id="vr09", volume_mm3=1.0)
    assert [r.id for r in shown_regions([small, *found], "volume", weak=False)] == ["vr01", "vr09", "vr02"]
    assert [r.id for r in shown_regions(found, "volume", weak=True)] == ["vr01", "vr02", "vr03"]
    assert [r.id for r in shown_regions(found, "normative", weak=False)] == ["nr01", "nr02"]


def test_rows(tmp_path: Path) -> None:
    found = shown_regions(regions(tmp_path), "volume", weak=True)
    frame = region_frame(found, {}, {"vr01": 13, "vr02": 8, "vr03": 11})
    assert frame["Band"].tolist() == ["▲ 4+", "▼ 3–4", "▲ 2–3"]
    assert frame["Side"].tolist() == ["left", "right", "midline"]
    # 4·4·4, 2·3·2 and 2·2·2 voxels of 2 × 2 × 2.5 mm.
    assert frame["mm³"].tolist() == [640.0, 120.0, 80.0]
    assert frame["Slice"].tolist() == [13, 8, 11]  # counted from 1, as the viewer does
    assert frame[""].tolist() == ["", "", ""]


def test_no_regions_is_an_empty_table() -> None:
    assert len(region_frame([], {}, {})) == 0


def test_a_region_in_words(tmp_path: Path) -> None:
    dark = shown_regions(regions(tmp_path), "volume", weak=False)[1]
    assert describe(dark, 8) == "darker 3–4 · right · 120 mm³ · peak −3.5 in slice 8"
    # A few voxels over 4, too few for a region there: the crosshair shows the peak's own band.
    higher = describe(replace(dark, peak_z=-4.25), 8)
    assert higher == "darker 3–4 · right · 120 mm³ · peak −4.2 (band 4+) in slice 8"


def test_a_signed_z_has_a_real_minus() -> None:
    assert [signed(value) for value in (-5.0, 4.26, 0.0)] == ["−5.0", "+4.3", "+0.0"]


@pytest.mark.parametrize("stored", ORIENTATIONS)
def test_the_slice_is_the_peaks_in_every_orientation(tmp_path: Path, stored: tuple[str, str, str]) -> None:
    record = write_case(tmp_path, stored=stored)
    paths = CasePaths(tmp_path, record.subject, record.session)
    found = [one for one in read_regions(paths.regions(record.model)) if one.map == "volume"]
    # The blocks' first voxels lie in slices 12 and 7 from below; where they are largest plays no part.
    far = [replace(one, slice_axial=0) for one in found]
    assert peak_slices(far, paths.acquired) == {"vr01": 13, "vr02": 8}


def test_false_alarms_of_the_shown_bands(tmp_path: Path) -> None:
    record = write_case(tmp_path)  # 2.1 in 2–3, 0.6 in 3–4, 0.1 in 4+
    assert expectation(record, "volume", weak=False).startswith("Validation normals have 0.7 regions")
    assert expectation(record, "volume", weak=True).startswith("Validation normals have 2.8 regions")
    unknown = replace(record, false_alarms={}, scores={"mse": 0.02})
    assert "can't be put in proportion" in expectation(unknown, "volume", weak=False)


def test_normals_counted_at_another_floor_are_not_called_unknown(tmp_path: Path) -> None:
    record = replace(write_case(tmp_path), false_alarms={}, settings={"floor_mm3": 50.0})
    assert expectation(record, "volume", weak=False) == (
        "Regions of validation normals were counted at another floor than this analysis' 50 mm³: "
        "no number here."
    )


def test_nothing_listed_names_the_floor(tmp_path: Path) -> None:
    record = replace(write_case(tmp_path, blocks=()), settings={"floor_mm3": 100.0})
    said = "This map flags no region of {} mm³ or more at {} SD and more."
    assert nothing_listed(record, "volume", weak=False) == said.format(100, 3)
    assert nothing_listed(record, "volume", weak=True) == said.format(100, 2)
    assert nothing_listed(record, "fused", weak=False) == said.format(40, 3)
    assert nothing_listed(record, "fused", weak=True) == said.format(100, 2)


def test_other_map_counts_those_of_3_sd_of_maps_that_can_be_shown(tmp_path: Path) -> None:
    found = regions(tmp_path)
    only = [one for one in found if one.map == "normative"]
    assert other_map(only, "volume", ["volume", "normative"]) == "The normative map flags 2 regions"
    assert other_map(only, "volume", ["volume"]) == ""
    assert other_map(found, "volume", ["volume", "normative"]) == ""


def test_ordinals() -> None:
    assert [ordinal(n) for n in (1, 2, 3, 4, 11, 12, 13, 21, 97, 100, 96.7)] == (
        ["1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "97th", "100th", "97th"]
    )


def test_scores_with_and_without_percentile(tmp_path: Path) -> None:
    record = write_case(tmp_path)
    assert score_lines(record)[0] == "MSE 0.0200 (97th percentile of normals)"
    counted = replace(record, scores=record.scores | {"validation_n": 9.0})
    assert score_lines(counted)[0] == "MSE 0.0200 (97th percentile of 9 normals)"
    uncovered = replace(record, scores={"mse": 0.5, "normative_uncovered": 2.34})
    assert score_lines(uncovered) == [
        "MSE 0.5000",
        "2.3 % of the brain lies where no normal has brain: normative z is 0 there",
    ]
    assert len(score_lines(replace(record, scores={"mse": 0.5, "normative_uncovered": 0.0}))) == 1
    assert score_lines(replace(record, scores={"mse": np.float64(0.5)})) == ["MSE 0.5000"]
    assert score_lines(replace(record, scores={"mse": 3.4695e-05})) == ["MSE 3.47 × 10⁻⁵"]
    outside = {"mse": 0.5, "fused_percent": 12.04, "fused_percent_most": 8.0}
    assert score_lines(replace(record, scores=outside))[1:] == [
        "12.0 % of the brain lies at |z| ≥ 2 in the fused map, 8.0 % at most in a normal: "
        "the whole scan may lie outside what the model knows"
    ]
    assert len(score_lines(replace(record, scores=outside | {"fused_percent": 12.0}))) == 1


def test_the_rule_of_a_band_names_the_sizes_of_its_map(tmp_path: Path) -> None:
    record = write_case(tmp_path)
    assert "(100 mm³)" in band_rule(replace(record, settings={"floor_mm3": 100.0}), "volume")
    assert "(100 mm³, from 3 SD on 40 mm³)" in band_rule(
        replace(record, settings={"floor_mm3": 100.0}), "fused"
    )
    assert "the smallest size that counts, so" in band_rule(replace(record, settings={}), "volume")
