"""Brains small enough to compare every idea on in seconds."""

from __future__ import annotations

import numpy as np

from core.evaluation.baselines import Cube

SHAPE = (30, 34, 28)


def brain(seed: int) -> Cube:
    """Dark ribbon, brighter white matter, fluid in the middle; 4 mm voxels."""
    axes = np.meshgrid(*(np.linspace(-1.1, 1.1, n) for n in SHAPE), indexing="ij")
    radius = np.sqrt(np.sum(np.square(axes), axis=0))
    mask = radius < 1
    x = np.where(radius > 0.8, 0.2, 0.35) + np.random.default_rng(seed).normal(0, 0.01, SHAPE)
    x = np.where(radius < 0.25, 0.8, x)
    return Cube(np.where(mask, x, 0).astype(np.float32), mask, np.diag([4.0, 4, 4, 1]), np.eye(4), f"k{seed}")
