"""A brain-like phantom whose anatomy is known in mm at any point of the world."""

from __future__ import annotations

import numpy as np

from core.io.volume import Volume
from core.preprocess.register import Reference

# Centre (mm) and semi-axes (mm) of ellipsoids, and what each sets the intensity to; later ones win.
PARTS = [
    ((0, 0, 0), (44, 54, 42), 130.0),
    ((0, 0, 0), (39, 48, 37), 90.0),
    ((0, 2, 2), (33, 40, 30), 115.0),
    ((-9, 4, 6), (4, 18, 6), 210.0),
    ((9, 2, 6), (5, 14, 6), 210.0),
    ((-14, 4, -4), (7, 9, 8), 70.0),
    ((14, 4, -4), (7, 9, 8), 70.0),
    ((22, 22, 10), (6, 8, 7), 160.0),
    ((-20, -24, 12), (8, 6, 5), 60.0),
    ((4, -30, -22), (18, 12, 10), 80.0),
    ((-24, 12, -16), (6, 9, 6), 170.0),
]


_RNG = np.random.default_rng(11)
# Waves (direction / wavelength, phase) that sum to folds of 8 to 25 mm: without them the ellipsoids
# could turn a little and still match.
WAVES = [
    (direction / np.linalg.norm(direction) * 2 * np.pi / _RNG.uniform(8, 25), _RNG.uniform(0, 2 * np.pi))
    for direction in _RNG.normal(size=(24, 3))
]


def intensity(mm: np.ndarray) -> np.ndarray:
    """Phantom value at points (..., 3) mm, edges softened over about 2 mm."""
    value = np.zeros(mm.shape[:-1])
    folds = sum(np.cos(mm @ wave + phase) for wave, phase in WAVES)
    for centre, axes, level in PARTS:
        radius = np.sqrt((((mm - centre) / np.array(axes)) ** 2).sum(axis=-1))
        inside = 1 / (1 + np.exp((radius - 1) * min(axes) / 0.7))
        value = value * (1 - inside) + level * inside
    return value + 5 * folds


def brain(mm: np.ndarray) -> np.ndarray:
    """True inside the outermost ellipsoid."""
    return ((mm / np.array(PARTS[0][1])) ** 2).sum(axis=-1) <= 1


def grid(shape: tuple[int, int, int], affine: np.ndarray) -> np.ndarray:
    """(X, Y, Z, 3) mm of each voxel."""
    index = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), axis=-1)
    return index @ affine[:3, :3].T + affine[:3, 3]


def centred(shape: tuple[int, int, int], axes: np.ndarray) -> np.ndarray:
    """Affine with the given (3, 3) axes whose middle voxel lies at 0 mm."""
    affine = np.eye(4)
    affine[:3, :3] = axes
    affine[:3, 3] = -axes @ (np.array(shape) - 1) / 2
    return affine


def phantom(
    shape: tuple[int, int, int], affine: np.ndarray, to_anatomy: np.ndarray | None = None
) -> tuple[Volume, Volume]:
    """Scan and mask on a grid; ``to_anatomy`` (4, 4) takes the scan's mm to the phantom's own mm."""
    mm = grid(shape, affine)
    if to_anatomy is not None:
        mm = mm @ to_anatomy[:3, :3].T + to_anatomy[:3, 3]
    rng = np.random.default_rng(3)
    inside = brain(mm)
    data = intensity(mm) * inside + rng.normal(0, 1.0, shape) * inside
    return Volume(data, affine), Volume(inside.astype(np.float32), affine)


def reference() -> Reference:
    shape = (96, 116, 92)
    volume, mask = phantom(shape, centred(shape, np.eye(3)))
    return Reference(volume, mask, "0" * 64, "phantom")
