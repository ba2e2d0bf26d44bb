"""Preparation at 256³: register on the scan's grid, interpolate once, against the literal order of steps.

The literal order is that of Raad et al. 2023, Methods: skull strip, bias field, resize to 256³, and only then
AffineFast to the reference, itself of 256³, which interpolates a second time.
"""

from __future__ import annotations

import time

import numpy as np

from benchmarks.measure import Work, compare, keep, options
from benchmarks.scans import at_spacing, test_scans
from core.cli.sources import demo_reference
from core.io.volume import Volume
from core.preprocess.bias import correct_bias
from core.preprocess.intensity import to_unit
from core.preprocess.pipeline import PrepareSettings, prepare
from core.preprocess.register import Reference, cube_affine, register
from core.preprocess.resample import index_map, resample, resample_masked

CUBE = 256


def ours(spacing_mm: float, cube: int = CUBE) -> float:
    volume, mask = at_spacing(test_scans(1)[0], spacing_mm)
    reference = demo_reference()
    start = time.perf_counter()
    prepare(volume, mask, reference, PrepareSettings(cube=cube))
    return time.perf_counter() - start


def literal(spacing_mm: float, cube: int = CUBE) -> float:
    volume, mask = at_spacing(test_scans(1)[0], spacing_mm)
    reference = demo_reference()
    size = (cube,) * 3
    # The reference has been through the same steps before any scan: its time does not count.
    target = cube_affine(reference, cube)
    fixed, fixed_mask = resample_masked(
        reference.volume.data,
        reference.mask.data,
        index_map(reference.volume.affine, target, np.eye(4)),
        size,
    )
    at_cube = Reference(Volume(fixed, target), Volume(fixed_mask, target), reference.hash, reference.name)
    start = time.perf_counter()
    corrected = correct_bias(volume.data, mask.data > 0, volume.affine, "n4")
    field = np.eye(4)
    field[:3, :3] = volume.affine[:3, :3] * (np.array(volume.shape) / cube)
    field[:3, 3] = volume.affine[:3, 3]
    resized, inside = resample_masked(corrected, mask.data, index_map(volume.affine, field, np.eye(4)), size)
    moved = register(resized, inside, field, at_cube)
    back = index_map(field, target, np.linalg.inv(moved))
    sampled, found = resample(resized, back, size), resample(inside, back, size) >= 0.5
    to_unit(np.where(found, sampled, 0), found.astype(np.float32), "minmax")
    return time.perf_counter() - start


def main() -> None:
    chosen = options(__doc__ or "", rounds=3)
    arguments = {"spacing_mm": 0.86}
    works = [
        Work("ours: register on the scan's grid", "benchmarks.prepare_order:ours", arguments),
        Work("literal order: resize, then register", "benchmarks.prepare_order:literal", arguments),
    ]
    keep(
        compare(f"prepare at {CUBE}³, 0.86 mm synthetic scan", works, chosen.rounds), "prepare", chosen.tables
    )


if __name__ == "__main__":
    main()
