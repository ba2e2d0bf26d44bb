"""Tables of voxels and lesions found, over scans."""

from __future__ import annotations

import pytest

from core.evaluation.cohort import Measured
from core.evaluation.localisation import froc_table, lesion_table, localisation_table, scored_maps
from tests.core.evaluation.fakes import cohort, localised, row, scan, thresholds


def two_scans() -> list[Measured]:
    """Thresholds low to high. Lesion-wise 3/3, 2/3, 1/3; false a scan 4, 0.5, 0."""
    sick = localised([[1, 1, 1], [1, 1, 0], [1, 0, 0]], [6, 1, 0], ["cyst", "cyst", "infarct"], ap=0.6)
    well = localised([], [2, 0, 0], [])
    return [
        Measured(scan(1, "test", 5), row("std_8x8", 1.0, **sick)),
        Measured(scan(2, "test", 1), row("std_8x8", 1.0, **well)),
        Measured(scan(3, "train", 1), row("std_8x8", 1.0)),
    ]


def test_rows_are_gathered_by_scorer_and_map() -> None:
    (scored,) = scored_maps(two_scans())
    assert (scored.scorer, scored.map, len(scored.normals), len(scored.abnormals)) == (
        "std_8x8",
        "normative",
        1,
        1,
    )
    assert scored.method == "residual of std_8x8, normative z"
    assert scored_maps([Measured(scan(2, "test", 1), row("std_8x8", 1.0, **localised([], [1], [])))]) == []


def test_froc_and_sensitivity_at_one_false_positive() -> None:
    scored = scored_maps(two_scans())
    froc = froc_table(scored, [2.0, 3.0, 4.0])
    assert froc["false_a_scan"].tolist() == [4, 0.5, 0]
    assert froc["sensitivity"].tolist() == pytest.approx([1, 2 / 3, 1 / 3])
    table = localisation_table(scored, {}, seed=0)
    # One of 3.5 steps from (0.5, 2/3) to (4, 1) is a seventh of the way.
    assert table.loc[0, "sensitivity"] == pytest.approx(2 / 3 + (1 / 7) * (1 / 3))
    assert table.loc[0, "sensitivity_listed"] == 0
    assert (table.loc[0, "n_normal"], table.loc[0, "n_abnormal"], table.loc[0, "lesions"]) == (1, 1, 3)


def test_by_type_and_size_at_the_same_threshold() -> None:
    table = lesion_table(scored_maps(two_scans()), thresholds(("std_8x8",), 0.1), 0)
    table = table.set_index(["class", "name"])
    assert table.loc[("type", "cyst"), "lesions"] == 2
    # Cysts: 2/2 at both thresholds around the crossing; the infarct: 0, then 1, a seventh of the way.
    assert table.loc[("type", "cyst"), "sensitivity"] == 1.0
    assert table.loc[("type", "infarct"), "sensitivity"] == pytest.approx(1 / 7)
    assert table.loc[("type", "infarct"), ["ap", "auroc", "threshold"]].tolist() == [0.6, 0.8, 0.1]
    # Of three lesions with a voxel each, all in the same bin above everything else, others don't count.
    assert table["dice"].tolist() == [1.0] * 5
    assert table["scans"].tolist() == [1] * 5
    assert table.filter(like="_low").isna().all(axis=None), "one scan gives no interval"
    # 50, 500 and 5000 mm³: one of each size.
    sizes = table.loc["size"]
    assert sizes["lesions"].tolist() == [1, 1, 1]
    assert sizes.loc["1 ml and more", "sensitivity"] == pytest.approx(1 / 7)


def test_intervals_hold_the_value_and_the_best_comes_first() -> None:
    measured = cohort(("std_8x8", "vae_8x8_512"))
    for one in measured:
        found = one.row["maps"]["normative"].get("localisation")
        if one.row["scorer"] == "vae_8x8_512" and found is not None and found["types"]:
            found["ap"] = 0.7
    table = localisation_table(scored_maps(measured), thresholds(("std_8x8", "vae_8x8_512"), 0.18), seed=0)
    assert table["scorer"].tolist() == ["vae_8x8_512", "std_8x8"]
    assert table["ap"].tolist() == pytest.approx([0.7, 0.5])
    for name in ("ap", "ap_pooled", "auroc", "dice", "sensitivity", "sensitivity_listed"):
        assert (table[f"{name}_low"] <= table[name] + 1e-12).all()
        assert (table[name] <= table[f"{name}_high"] + 1e-12).all()
    # Every positive voxel scores above all others.
    assert table["ap_pooled"].tolist() == [1.0, 1.0]


def test_dice_is_at_the_threshold_of_each_map_and_absent_without_one() -> None:
    measured = cohort(("std_8x8", "vae_8x8_512"))
    # Two lesion voxels in bin 9 (0.18), 90 others in bin 0: at |z| ≥ 0.02 to 0.18 all is found and no more.
    table = localisation_table(scored_maps(measured), thresholds(("std_8x8",), 0.18), seed=0)
    lines = table.set_index("scorer")
    assert lines.loc["std_8x8", ["dice", "dice_low", "threshold", "validation_dice"]].tolist() == [
        1,
        1,
        0.18,
        0.5,
    ]
    assert lines.loc["std_8x8", "threshold_from"] == "36 implants in 9 validation normals"
    assert lines.loc["vae_8x8_512", ["dice", "threshold"]].isna().all()
    assert lines.loc["vae_8x8_512", "threshold_from"] == "no threshold was chosen"
    everything = localisation_table(scored_maps(measured), thresholds(("std_8x8",), 0.0), seed=0)
    assert everything.set_index("scorer").loc["std_8x8", "dice"] == pytest.approx(2 * 2 / (92 + 2))


def test_dice_of_a_class_leaves_other_lesions_out() -> None:
    sick = localised([[1, 1], [1, 0]], [1, 0], ["cyst", "infarct"])
    # Voxels in bins 0 and 1: the cyst has 3 above and 1 below, the infarct 10 below, 2 others are above.
    sick |= {"histograms": [[11, 3], [80, 2]], "lesion_histograms": [[1, 3], [10, 0]]}
    measured = [Measured(scan(n, "test", 5), row("std_8x8", 1.0, **sick)) for n in range(5)]
    table = lesion_table(scored_maps(measured), thresholds(("std_8x8",), 0.02), 0)
    lines = table.set_index("name")
    assert lines.loc["cyst", "dice"] == pytest.approx(2 * 3 / (3 + 2 + 4))
    assert lines.loc["infarct", "dice"] == 0
    # Five scans that are alike: an interval of no width.
    assert lines.loc["cyst", ["scans", "lesions", "dice_low", "dice_high"]].tolist() == pytest.approx(
        [5, 5, 6 / 9, 6 / 9]
    )
    # 50 and 500 mm³ are the cyst and the infarct.
    assert lines.loc["under 100 mm³", "dice"] == lines.loc["cyst", "dice"]
    absent = lesion_table(scored_maps(measured), {}, 0)
    assert absent["dice"].isna().all()
    assert absent["ap"].notna().all()
