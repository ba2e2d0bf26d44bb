"""What the overlap (Dice) with the reference says of a brain that lies wrong in the cube: 24 scans."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy import ndimage

from benchmarks.scans import test_scans
from core.anomaly.residual import Mask
from core.cli.sources import demo_reference
from core.config import settings
from core.io.derivatives import CasePaths
from core.io.volume import load_volume
from core.preprocess.register import cube_affine, dice
from core.preprocess.resample import index_map, resample

SCANS, CUBE, FOV_MM = 24, 64, 128.0
AXES = "xyz"  # right, front, top


def moved(mask: Mask, centre: np.ndarray) -> Iterator[tuple[str, Mask]]:
    """The mask as it is, and shifted, turned and scaled, each by name."""
    values = mask.astype(np.float32)
    yield "as registered", mask
    for mm in (5.0, 10.0):
        for axis, name in enumerate(AXES):
            shift = np.zeros(3)
            shift[axis] = mm * CUBE / FOV_MM
            yield f"shifted {mm:g} mm along {name}", ndimage.shift(values, shift, order=1) > 0.5
    for factor in (0.9, 1.1):
        matrix = np.eye(3) / factor
        yield (
            f"scaled by {factor:g}",
            ndimage.affine_transform(values, matrix, centre - matrix @ centre, order=1) > 0.5,
        )
    for degrees in (10, 20, 30):
        for axis, name in enumerate(AXES):
            a, b = (other for other in range(3) if other != axis)
            angle, matrix = np.deg2rad(degrees), np.eye(3)
            matrix[[a, b], [a, b]] = np.cos(angle)
            matrix[a, b], matrix[b, a] = -np.sin(angle), np.sin(angle)
            turned = ndimage.affine_transform(values, matrix, centre - matrix @ centre, order=1)
            yield f"turned {degrees}° about {name}", turned > 0.5


def main() -> None:
    reference = demo_reference()
    target = cube_affine(reference, CUBE, FOV_MM)
    to_cube = index_map(reference.mask.affine, target, np.eye(4))
    expected = resample(reference.mask.data, to_cube, (CUBE,) * 3) >= 0.5
    centre = np.argwhere(expected).mean(axis=0)
    found: dict[str, list[float]] = {}
    for scan in test_scans(SCANS):
        paths = CasePaths(settings().derivatives_dir, scan.subject, scan.session)
        for name, mask in moved(load_volume(paths.prepared_mask(CUBE)).data > 0.5, centre):
            found.setdefault(name, []).append(dice(mask, expected))
    print(f"Dice with the reference, {SCANS} synthetic test scans: lowest, median, highest")
    for name, values in found.items():
        print(f"{name:24}{min(values):8.3f}{np.median(values):8.3f}{max(values):8.3f}")


if __name__ == "__main__":
    main()
