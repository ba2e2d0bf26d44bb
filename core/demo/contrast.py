"""From tissue fractions to a newborn T2- or T1-weighted image: contrast by age, bias field, blur, noise.

Contrast follows the common reading of newborn T2 (for example Rutherford, MRI of the Neonatal Brain, 2002):
fluid brightest, unmyelinated white matter brighter than cortex, deep grey matter and what is myelinated dark;
the difference of white and grey matter falls as water content falls with age. In T1 the order is reversed:
fluid dark, unmyelinated white matter below grey, what is myelinated brightest.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from core.demo.anatomy import Tissues, node_count, smooth_noise, upsample
from core.demo.template import Array

FLUID = 1.0
# Thickness of scalp and skull, newborn mm.
RIM_MM = 6.5


@dataclass(frozen=True)
class Contrast:
    """Intensities relative to the brightest tissue (T2: fluid), and what the scanner adds."""

    white: float
    grey: float
    deep: float
    myelin: float
    fluid: float = FLUID
    caps: float = 1.0  # of the caps before and behind the ventricles, against T2's
    texture: float = 0.035  # SD of slow variation inside white matter, relative
    bias: float = 0.12  # SD of the log of the receive field
    noise: float = 0.018  # SD of each Rician channel, relative to fluid
    blur: float = 0.45  # point spread, voxels
    gain: float = 1000.0


def contrast_at(age: float, **scanner: float) -> Contrast:
    """Contrast at a postmenstrual age in weeks (36 to 44; held constant beyond)."""
    t = (float(np.clip(age, 36, 44)) - 36) / 8
    return Contrast(0.70 - 0.10 * t, 0.42 + 0.01 * t, 0.40 - 0.01 * t, 0.34 - 0.08 * t, **scanner)


def t1_contrast_at(age: float, **scanner: float) -> Contrast:
    """T1 contrast at a postmenstrual age in weeks (36 to 44; held constant beyond)."""
    t = (float(np.clip(age, 36, 44)) - 36) / 8
    return Contrast(0.46 + 0.06 * t, 0.64, 0.68 + 0.02 * t, 0.86 + 0.08 * t, 0.22, -0.5, **scanner)


def slow_field(rng: np.random.Generator, grid: tuple[int, int, int], spacing: float, mm: float) -> Array:
    """Slow random field (X, Y, Z) of about unit SD, smooth over ``mm``."""
    every = max(1, round(5.0 / spacing))
    counts = tuple(node_count(n, every) for n in grid)
    return upsample(smooth_noise(rng, counts, mm / (every * spacing)), grid, every)


def paint(tissues: Tissues, contrast: Contrast, rng: np.random.Generator, spacing: float) -> Array:
    """Noise-free signal (X, Y, Z) in units of the gain: brain, and scalp if ``tissues`` has a margin."""
    _, y, z = tissues.points
    depth = tissues.outside
    slow = slow_field(rng, tissues.grid, spacing, 9.0).reshape(-1)[tissues.index]
    # Bright caps before and behind the ventricles; a darker callosum.
    caps = 0.08 * np.exp(-(((y - 38) / 16) ** 2) - ((z - 12) / 22) ** 2) + 0.08 * np.exp(
        -(((y + 62) / 18) ** 2) - ((z - 16) / 22) ** 2
    )
    callosum = 0.14 * np.exp(-((tissues.points[0] / 9) ** 4))
    white = contrast.white * (1 + contrast.caps * caps - contrast.caps * callosum + contrast.texture * slow)
    white = white - tissues.cerebellum * 0.45 * (contrast.white - contrast.grey)
    grey = contrast.grey + (contrast.deep - contrast.grey) * tissues.deep
    dark = np.clip(tissues.myelin, 0, 1)
    white = white + (contrast.myelin - white) * dark
    grey = grey + (contrast.myelin - grey) * dark * 0.8
    signal = tissues.white * white + tissues.grey * grey + tissues.fluid * contrast.fluid

    # Soft tissue under the skull base, skull dark, scalp fat bright, then air.
    fat = 0.62 * np.exp(-(((tissues.skull - 3.9 - 0.4 * slow) / 1.2) ** 2)) + 0.06
    rim = np.where(tissues.skull < 0, 0.2 + 0.04 * slow, fat * (tissues.skull < RIM_MM))
    inside = 1 / (1 + np.exp(np.clip(depth / 0.25, -30, 30)))
    return tissues.volume((signal * inside + rim * (1 - inside)).astype(np.float32))


def acquire(
    signal: Array, contrast: Contrast, rng: np.random.Generator, spacing: NDArray[np.float64]
) -> Array:
    """What the scanner makes of ``signal`` (X, Y, Z): point spread, receive field, Rician noise, gain."""
    mean = float(np.mean(spacing))
    sigma = [contrast.blur * max(1.0, s / mean) for s in spacing]
    out = ndimage.gaussian_filter(signal, sigma)
    out *= np.exp(contrast.bias * slow_field(rng, signal.shape, mean, 38.0))
    real = out + contrast.noise * rng.standard_normal(signal.shape, dtype=np.float32)
    imaginary = contrast.noise * rng.standard_normal(signal.shape, dtype=np.float32)
    return (contrast.gain * np.hypot(real, imaginary)).astype(np.float32)
