"""What the benchmarks measure on: synthetic scans of the demo, at the sizes that matter."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from core.anomaly.residual import Array, Mask, volume_z
from core.cli.sources import demo_reference
from core.config import settings
from core.io.bids import Scan, find_scans
from core.io.volume import Volume, load_mask, load_volume
from core.preprocess.pipeline import Prepared, PrepareSettings, prepare
from core.preprocess.resample import resample


def test_scans(count: int) -> list[Scan]:
    """The first ``count`` test scans of the demo.

    Raises
    ------
    FileNotFoundError
        Where ``make demo`` has not been called.
    """
    folder = settings().demo_dir
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no demo cohort; call `make demo` first")
    return [scan for scan in find_scans(folder) if scan.split == "test"][:count]


def at_spacing(scan: Scan, spacing_mm: float) -> tuple[Volume, Volume]:
    """A scan and its mask on an isotropic grid, as a scanner of that resolution would give."""
    if scan.mask is None:
        raise FileNotFoundError(f"{scan.subject}: no brain mask; the benchmarks leave BET out")
    volume = load_volume(scan.path)
    mask = load_mask(scan.mask, volume)
    x, y, z = (int(n * mm / spacing_mm) for n, mm in zip(volume.shape, volume.spacing, strict=True))
    size = (x, y, z)
    step = np.diag([*(spacing_mm / mm for mm in volume.spacing), 1.0])
    affine = volume.affine @ step
    fine = resample(volume.data, step, size)
    inside = resample(mask.data, step, size) >= 0.5
    return Volume(fine, affine), Volume(inside.astype(np.float32), affine)


def prepared_at(cube: int) -> Prepared:
    """The first test scan, prepared at a cube size."""
    volume, mask = at_spacing(test_scans(1)[0], 0.86)
    return prepare(volume, mask, demo_reference(), PrepareSettings(cube=cube))


def z_at(cube: int) -> tuple[Array, Mask, NDArray[np.float64]]:
    """A z map with the texture of a residual, its brain mask and affine: x less x smoothed by 2 mm."""
    prepared = prepared_at(cube)
    x, inside = prepared.cube.data, prepared.cube_mask.data > 0
    smooth = gaussian_filter(x, 2.0 / float(prepared.cube.spacing[0]))
    return volume_z((x - smooth).astype(np.float32), inside), inside, prepared.cube.affine
