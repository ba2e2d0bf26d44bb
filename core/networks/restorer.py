"""Restoration network, x to x̂: a small 3D U-Net that learned to take synthetic corruption back.

Naval Marimont & Tarroni 2023 (arXiv 2308.01412) train on such corruption to segment it; Naval Marimont et al.
2024 (arXiv 2407.06635) to restore it, in many steps; here one step restores.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import binary_fill_holes
from torch import nn

from core.anomaly.intensity import LOG_RANGE
from core.networks.config import RestorerConfig

Z_LIMIT = 8.0  # of the normative z that the network sees
CHANGED = 0.3  # of log intensity: a change from which nothing of the scan beyond LOG_RANGE is kept
Box = tuple[slice, slice, slice]


def brain_mask(x: NDArray[np.floating[Any]]) -> NDArray[np.bool_]:
    """Brain of a prepared volume (N, N, N): above 0, and what lies wholly within it, its darkest voxels."""
    return np.asarray(binary_fill_holes(x > 0), bool)


def brain_median(x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Median of x (batch, 1, N, N, N) inside ``mask``, (batch, 1, 1, 1, 1); 1 where the mask is empty."""
    inside = torch.where(mask, x, torch.nan).flatten(1)
    median = inside.nanmedian(dim=1).values.nan_to_num(1.0).clamp(min=1e-3)
    return median[:, None, None, None, None]


def log_intensity(x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Log of x over the brain's median, clipped to ``LOG_RANGE``; 0, the median itself, outside."""
    log = torch.log((x / brain_median(x, mask)).clamp(*(math.exp(edge) for edge in LOG_RANGE)))
    return torch.where(mask, log, 0.0)


def brain_box(mask: torch.Tensor, multiple: int) -> Box:
    """Smallest box around ``mask`` (batch, 1, N, N, N) whose sides are multiples of ``multiple``.

    What lies outside the brain is the same for every scan: no need to convolve it.
    """
    box = []
    for axis, size in enumerate(mask.shape[2:]):
        others = [dimension for dimension in range(5) if dimension != axis + 2]
        there = torch.nonzero(mask.amax(dim=others)).flatten()
        low, high = (int(there[0]), int(there[-1]) + 1) if len(there) else (0, multiple)
        side = min(size, -(-(high - low) // multiple) * multiple)
        start = min(max(0, (low + high - side) // 2), size - side)
        box.append(slice(start, start + side))
    return box[0], box[1], box[2]


class InstanceNorm(nn.InstanceNorm3d):
    """Instance norm that keeps the memory format of a single scan: a fifth less time for a training step."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if len(x) > 1:
            return super().forward(x)
        # The norm of a batch of one is that of its one instance.
        return nn.functional.batch_norm(x, None, None, self.weight, self.bias, training=True, eps=self.eps)


def convolutions(channels: Sequence[int]) -> nn.Sequential:
    """Convolution, instance norm and activation, from each width to the next."""
    layers: list[nn.Module] = []
    for before, after in pairwise(channels):
        layers += [
            nn.Conv3d(before, after, 3, padding=1, bias=False),
            InstanceNorm(after, affine=True),
            nn.LeakyReLU(0.01, inplace=True),
        ]
    return nn.Sequential(*layers)


class UNet(nn.Module):
    """(batch, 3, X, Y, Z) to (batch, 1, X, Y, Z), float32; each side a multiple of ``config.multiple``.

    Ronneberger et al. 2015 in 3D, two convolutions a level. The last layer starts at 0: nothing is changed.
    """

    def __init__(self, config: RestorerConfig) -> None:
        super().__init__()
        widths = config.channels
        self.first = convolutions([3, widths[0], widths[0]])
        self.down = nn.ModuleList(
            nn.Sequential(nn.Conv3d(fine, coarse, 2, stride=2), convolutions([coarse, coarse, coarse]))
            for fine, coarse in pairwise(widths)
        )
        pairs = list(pairwise(widths[::-1]))
        self.up = nn.ModuleList(nn.ConvTranspose3d(coarse, fine, 2, stride=2) for coarse, fine in pairs)
        self.join = nn.ModuleList(convolutions([2 * fine, fine, fine]) for _, fine in pairs)
        self.last = nn.Conv3d(widths[0], 1, 1)
        assert self.last.bias is not None
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        kept = [self.first(x)]
        for down in self.down:
            kept.append(down(kept[-1]))
        features = kept.pop()
        for up, join in zip(self.up, self.join, strict=True):
            features = join(torch.cat([up(features), kept.pop()], dim=1))
        return self.last(features).float()


class Restorer(nn.Module):
    """x̂ of x, (batch, 1, N, N, N) in [0, 1] both; equal to x outside the brain.

    The network sees log intensity, its normative z and the brain mask, and gives the change of log intensity
    that makes the scan normal. ``mean`` and ``sd`` (N, N, N) are those of the training normals' log
    intensity; ``sd`` is 0 where none of them has brain, and z there 0.
    """

    mean: torch.Tensor
    sd: torch.Tensor

    def __init__(self, config: RestorerConfig) -> None:
        super().__init__()
        self.config = config
        self.unet = UNet(config)
        self.register_buffer("mean", torch.zeros((config.cube,) * 3))
        self.register_buffer("sd", torch.zeros((config.cube,) * 3))

    def standardised(self, log: torch.Tensor, mean: torch.Tensor | None = None) -> torch.Tensor:
        """Normative z of a log intensity (batch, 1, N, N, N), clipped; ``mean`` in place of the model's."""
        known = self.sd > 0
        z = (log - (self.mean if mean is None else mean)) / torch.where(known, self.sd, 1.0)
        return torch.where(known, z.clamp(-Z_LIMIT, Z_LIMIT), 0.0)

    def change(self, log: torch.Tensor, z: torch.Tensor, mask: torch.Tensor, flip: bool) -> torch.Tensor:
        """Change that restores a log intensity, (batch, 1, N, N, N), 0 outside ``mask``.

        ``flip``: the left-right mirror image is what the network sees, and its answer is mirrored back.
        """
        box = brain_box(mask, self.config.multiple)
        seen = torch.cat([torch.where(mask, one, 0.0) for one in (log, z, mask.to(log.dtype))], dim=1)
        seen = seen[(..., *box)].contiguous(memory_format=torch.channels_last_3d)
        answer = self.unet(seen.flip(2)).flip(2) if flip else self.unet(seen)
        full = torch.zeros_like(log)
        full[(..., *box)] = answer
        return torch.where(mask, full, 0.0)

    def restore_log(
        self, x: torch.Tensor, mask: torch.Tensor | None = None, mirror: bool = False
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Log intensity of x and of its restoration, (batch, 1, N, N, N) each, 0 outside the brain.

        ``mask``: bool; x > 0 without. ``mirror``: mean of the answers to the scan and to its mirror image.
        """
        mask = x > 0 if mask is None else mask
        log = log_intensity(x, mask)
        z = self.standardised(log)
        change = self.change(log, z, mask, flip=False)
        if mirror:
            change = 0.5 * (change + self.change(log, z, mask, flip=True))
        return log, log + change

    def forward(self, x: torch.Tensor, mask: torch.Tensor | None = None, mirror: bool = True) -> torch.Tensor:
        mask = x > 0 if mask is None else mask
        log, restored = self.restore_log(x, mask, mirror)
        middle = brain_median(x, mask)
        # What the network leaves alone stays as it is, also beyond LOG_RANGE; what it changes is what it
        # says: new fluid would otherwise stay bright by all that the clipping hid.
        kept = (1 - (restored - log).abs() / CHANGED).clamp(min=0)
        beyond = torch.where(mask, x - middle * log.exp(), 0.0)
        return torch.where(mask, middle * restored.exp() + kept * beyond, x).clamp(0, 1)


def build_restorer(config: RestorerConfig) -> Restorer:
    """The network that a configuration describes, with fresh weights from torch's global generator."""
    return Restorer(config).to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
