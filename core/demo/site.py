"""Another site's scanner: the same synthetic brains with other contrast, sharpness, shading and noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter

from core.demo.contrast import slow_field
from core.demo.subject import DemoError
from core.io.volume import Volume


@dataclass(frozen=True)
class SiteShift:
    """What the other scanner does to a scan; each 0 (gamma 1) leaves it alone."""

    gamma: float = 1.4  # of intensity over the brain's brightest: above 1 darkens tissue against fluid
    blur_mm: float = 0.5  # σ
    shading: float = 0.25  # largest relative bias, smooth over ``shading_mm``
    shading_mm: float = 20.0
    noise: float = 0.03  # σ of Rician noise, of the brain's brightest

    def __post_init__(self) -> None:
        if not self.gamma > 0:
            raise DemoError(f"gamma is {self.gamma}; expected more than 0")
        for name in ("blur_mm", "shading", "noise"):
            if getattr(self, name) < 0:
                raise DemoError(f"{name} is {getattr(self, name)}; expected 0 or more")


def shifted(volume: Volume, mask: Volume, shift: SiteShift, rng: np.random.Generator) -> Volume:
    """``volume`` as the other scanner gives it: (X, Y, Z), 0 where it was 0 outside the mask.

    Raises
    ------
    DemoError
        On an empty mask.
    """
    inside = mask.data > 0
    if not inside.any():
        raise DemoError("the brain mask is empty; expected a brain")
    bright = float(np.percentile(volume.data[inside], 99.5))
    unit = np.maximum(volume.data, 0) / bright
    unit = np.power(unit, shift.gamma, dtype=np.float32)
    sigma = [shift.blur_mm / float(mm) for mm in volume.spacing]
    unit = gaussian_filter(unit, sigma)
    x, y, z = volume.shape
    field = slow_field(rng, (x, y, z), float(volume.spacing.mean()), shift.shading_mm)
    field -= field.mean()
    unit *= 1 + shift.shading * field / max(float(np.abs(field).max()), 1e-6)
    real = unit + rng.normal(0, shift.noise, unit.shape)
    imaginary = rng.normal(0, shift.noise, unit.shape)
    noisy = np.hypot(real, imaginary) if shift.noise > 0 else unit
    kept = inside | (volume.data > 0)
    return volume.with_data(np.where(kept, bright * noisy, 0).astype(np.float32))
