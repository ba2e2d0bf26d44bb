"""Local contrast among the ideas: only where the finer scan is at hand, and what it adds to a joined map."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np

from core.evaluation.ablation_contrast import (
    beside,
    contrast_maps,
    contrast_rows,
    deformed_contrast_rows,
)
from core.evaluation.ablation_trials import Bench, bench_of
from core.evaluation.baselines import Cube
from core.evaluation.implants import implant
from core.preprocess.fine import FineScan
from tests.core.evaluation.ablation_fakes import brain


def fine_of(cube: Cube, seed: int) -> FineScan:
    """Four voxels to one of the cube's, with noise of their own."""
    x, mask = (np.kron(one, np.ones((4, 4, 4), np.float32)) for one in (cube.x, cube.mask))
    noise = np.random.default_rng(seed).normal(1, 0.02, x.shape)
    return FineScan((x * noise).astype(np.float32), mask > 0, cube.voxel_mm)


def with_fine(seed: int) -> Cube:
    cube = brain(seed)
    return replace(cube, fine=partial(fine_of, cube, 100 + seed))


def bench() -> Bench:
    return bench_of([with_fine(seed) for seed in range(4)], [with_fine(seed) for seed in (10, 11, 12)], 0)


def test_without_the_finer_scan_there_is_no_row() -> None:
    plain = bench_of([brain(seed) for seed in range(3)], [brain(seed) for seed in (10, 11, 12)], 0)
    assert contrast_maps(plain, lambda what, seconds: None) is None


def test_an_implant_is_in_the_finer_scan_too() -> None:
    cube = with_fine(3)
    made = implant(cube, "haemorrhage", 1)
    assert cube.fine is not None
    assert made.cube.fine is not None
    before, after = cube.fine(), made.cube.fine()
    ratio = np.divide(after.x, before.x, out=np.ones_like(after.x), where=before.x > 0)
    blocks = ratio.reshape(30, 4, 34, 4, 28, 4).mean(axis=(1, 3, 5))
    core = (made.labels > 0) & (made.cube.x < 0.8 * cube.x)
    assert core.any()
    assert blocks[core].mean() < 0.9
    far = np.abs(np.log(np.maximum(made.cube.x, 1e-3) / np.maximum(cube.x, 1e-3))) < 1e-6
    assert np.abs(blocks[far] - 1).mean() < 0.01


def test_a_spot_that_a_joined_map_misses_is_found_beside_it() -> None:
    made = bench()
    contrast = contrast_maps(made, lambda what, seconds: None)
    assert contrast is not None
    assert len(contrast) == len(made.cases)
    blind = [
        np.where(one.cube.mask, np.random.default_rng(at).standard_normal(one.cube.x.shape), 0).astype(
            np.float32
        )
        for at, one in enumerate(made.cases)
    ]
    dark = next(at for at, one in enumerate(made.cases) if one.kind == "haemorrhage")
    joined = beside(made, blind, contrast)
    lesion = made.cases[dark].labels
    assert lesion is not None
    # Blind noise ranks a lesion's voxels anywhere; local contrast brings them to the top.
    inside = made.cases[dark].cube.mask
    rank = [np.mean(np.abs(z)[inside][lesion[inside] > 0]) for z in (blind[dark], joined[dark])]
    assert rank[1] > rank[0] + 0.5
    views = {"non-local": blind, "log intensity": blind}
    rows = list(contrast_rows(made, contrast, views, ["log intensity"]))
    assert [name for _, name, _ in rows] == [
        "local contrast at 1 mm, normative z",
        "local contrast at 4 mm, normative z",
        "log intensity × non-local, quadratic mean, or local contrast at 1 mm where rarer",
    ]
    views |= {"restorer": joined, "log intensity after SyN": joined}
    found = {name: maps for _, name, maps in deformed_contrast_rows(made, contrast, views, "restorer")}
    end = ", or local contrast at 1 mm where rarer"
    after = "log intensity after SyN"
    assert set(found) == {
        after + end,
        *(f"restorer × {after}, {mean} mean{end}" for mean in ("arithmetic", "quadratic")),
        *(f"restorer × non-local × {after}, {mean} mean{end}" for mean in ("arithmetic", "quadratic")),
        f"restorer + non-local + {after}, mean{end}",
    }
    # Joined with itself a map stays what it is, whatever the mean; the blind third takes part otherwise.
    for mean in ("arithmetic", "quadratic"):
        for one, other in zip(
            found[f"restorer × {after}, {mean} mean{end}"], found[after + end], strict=True
        ):
            np.testing.assert_allclose(one, other, atol=1e-4)
    third = found[f"restorer × non-local × {after}, quadratic mean{end}"]
    assert not np.allclose(third[dark], found[after + end][dark], atol=0.1)
