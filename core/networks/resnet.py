"""The building block of every network here: a pre-activation 3D residual block, and changes of resolution."""

from __future__ import annotations

import torch
from torch import nn


class Norm(nn.GroupNorm):
    """Group norm in float32, whatever the autocast.

    A mean over 64³ voxels needs more than bfloat16's 8 bits, and torch 2.13's bfloat16 kernel is four times
    slower on channels-last volumes. Wu & He 2018, Group normalization, ECCV.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x.float())


class ResBlock3d(nn.Module):
    """Two times (norm, activation, 3D convolution), added to the input.

    Input and output: (batch, channels, X, Y, Z), any X, Y, Z.

    Paper: Methods, "Anomaly detection using autoencoders". Pre-activation order: He et al. 2016,
    Identity mappings in deep residual networks, ECCV, fig. 4e. Group norm, since batches are of one volume.
    """

    def __init__(self, channels: int, norm_groups: int) -> None:
        super().__init__()
        self.norm1 = Norm(norm_groups, channels)
        self.conv1 = nn.Conv3d(channels, channels, 3, padding=1, bias=False)
        self.norm2 = Norm(norm_groups, channels)
        self.conv2 = nn.Conv3d(channels, channels, 3, padding=1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        branch = self.conv1(nn.functional.silu(self.norm1(x)))
        branch = self.conv2(nn.functional.silu(self.norm2(branch)))
        return x + branch


def down(channels_in: int, channels_out: int) -> nn.Module:
    """Strided convolution: (batch, channels_in, X, Y, Z) to (batch, channels_out, X/2, Y/2, Z/2)."""
    return nn.Conv3d(channels_in, channels_out, 3, stride=2, padding=1)


def up(channels_in: int, channels_out: int) -> nn.Sequential:
    """(batch, channels_in, X, Y, Z) to (batch, channels_out, 2X, 2Y, 2Z).

    A pointwise convolution commutes with nearest-neighbour upsampling, so channels are halved before the
    voxels are made; the block that follows smooths. No checkerboard, as a transposed convolution may leave.
    """
    return nn.Sequential(nn.Conv3d(channels_in, channels_out, 1), nn.Upsample(scale_factor=2, mode="nearest"))
