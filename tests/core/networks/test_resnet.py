"""Residual block and changes of resolution, on unequal axes."""

from __future__ import annotations

import pytest
import torch

from core.networks.resnet import Norm, ResBlock3d, down, up

SHAPE = (1, 4, 16, 24, 32)


def volume(seed: int = 0) -> torch.Tensor:
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(seed))


def test_block_with_silent_branch_is_the_identity() -> None:
    block = ResBlock3d(4, 2)
    torch.nn.init.zeros_(block.conv2.weight)
    assert torch.equal(block(volume()), volume())


def test_block_is_input_plus_branch_in_pre_activation_order() -> None:
    block, x = ResBlock3d(4, 2), volume()
    silu = torch.nn.functional.silu
    by_hand = x + block.conv2(silu(block.norm2(block.conv1(silu(block.norm1(x))))))
    torch.testing.assert_close(block(x), by_hand)
    assert not torch.allclose(block(x), x, atol=1e-3)


def test_norm_gives_each_group_mean_0_and_sd_1() -> None:
    y = Norm(2, 4)(5 + 3 * volume())
    for group in (y[:, :2], y[:, 2:]):
        assert group.mean().item() == pytest.approx(0, abs=1e-4)
        assert group.std().item() == pytest.approx(1, abs=1e-3)


def test_norm_of_bfloat16_is_computed_in_float32() -> None:
    # 1000 voxels of 1 and of 1 + 1/128: in bfloat16 sums of that many lose the difference.
    x = torch.ones(1, 1, 10, 10, 20, dtype=torch.bfloat16)
    x[..., 10:] += 1 / 128
    y = Norm(1, 1)(x)
    assert y.dtype == torch.float32
    sd = (1 / 256) / ((1 / 256) ** 2 + 1e-5) ** 0.5  # eps of group norm counts at this variance
    assert y[..., 0].mean().item() == pytest.approx(-sd, rel=1e-3)
    assert y[..., 19].mean().item() == pytest.approx(sd, rel=1e-3)


def test_down_halves_and_up_doubles_each_axis() -> None:
    assert down(4, 6)(volume()).shape == (1, 6, 8, 12, 16)
    assert up(4, 2)(volume()).shape == (1, 2, 32, 48, 64)


def test_up_repeats_each_voxel_twice_along_each_axis() -> None:
    layer = up(1, 1)
    weight, bias = layer.parameters()
    with torch.no_grad():
        weight.fill_(2.0)
        bias.fill_(1.0)
    x = torch.arange(8.0).reshape(1, 1, 2, 2, 2)
    y = layer(x)
    for i, j, k in ((0, 0, 0), (1, 0, 1), (3, 2, 1), (2, 3, 3)):
        assert y[0, 0, i, j, k].item() == 2 * x[0, 0, i // 2, j // 2, k // 2].item() + 1
