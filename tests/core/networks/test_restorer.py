"""The restorer keeps the paper's contract, x to x̂ in [0, 1], and describes itself by its weights."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from core.networks.config import RestorerConfig
from core.networks.restorer import (
    Restorer,
    brain_box,
    brain_mask,
    brain_median,
    build_restorer,
    log_intensity,
)

CUBE = 16
CONFIG = RestorerConfig("restorer", "restorer", CUBE, base_channels=4, levels=3)


def volume(seed: int = 0) -> NDArray[np.float32]:
    """A brain of radius 6 off the centre but for left and right, (N, N, N) in [0, 1]."""
    grid = np.indices((CUBE,) * 3) - np.array([7.5, 8.0, 9.0])[:, None, None, None]
    values = np.random.default_rng(seed).uniform(0.2, 0.9, (CUBE,) * 3)
    return np.where((grid**2).sum(0) < 36, values, 0).astype(np.float32)


def batch(*volumes: NDArray[np.float32]) -> torch.Tensor:
    return torch.from_numpy(np.stack(volumes))[:, None]


def network(seed: int = 0, maps: bool = True) -> Restorer:
    """With random weights also in its last layer, so that it changes something."""
    torch.manual_seed(seed)
    made = build_restorer(CONFIG).eval()
    torch.nn.init.normal_(made.unet.last.weight, std=0.3)
    if maps:
        made.mean.normal_(0, 0.1)
        made.sd.fill_(0.3)
    return made


def change(made: Restorer, x: NDArray[np.float32], mask: NDArray[np.bool_] | None = None) -> torch.Tensor:
    with torch.inference_mode():
        log, restored = made.restore_log(
            batch(x), None if mask is None else torch.from_numpy(mask)[None, None]
        )
    return (restored - log)[0, 0]


def test_fresh_network_changes_nothing() -> None:
    x = batch(volume(0), volume(1))
    with torch.inference_mode():
        np.testing.assert_allclose(build_restorer(CONFIG).eval()(x).numpy(), x.numpy(), atol=1e-6)


def test_output_is_a_volume_in_unit_range_and_the_outside_stays() -> None:
    x = batch(volume(0), volume(1))
    with torch.inference_mode():
        y = network()(x)
    assert y.shape == x.shape
    assert y.dtype == torch.float32
    assert y.min() >= 0
    assert y.max() <= 1
    assert (y[x == 0] == 0).all()
    assert (y - x).abs().max() > 0.01


def test_log_intensity_by_hand() -> None:
    x = torch.zeros(1, 1, 2, 2, 2)
    x.view(-1)[:5] = torch.tensor([0.1, 0.4, 0.4, 0.5, 1.0])
    mask = x > 0
    assert brain_median(x, mask).item() == pytest.approx(0.4)
    found = log_intensity(x, mask).view(-1)
    # 0.1 / 0.4 is below exp(−1.2), 1 / 0.4 above exp(0.9): both are clipped.
    expected = [-1.2, 0, 0, math.log(1.25), 0.9, 0, 0, 0]
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-6)


def test_scans_of_another_gain_get_the_same_change() -> None:
    x = volume()
    made = network()
    np.testing.assert_allclose(change(made, x), change(made, 0.5 * x), atol=1e-5)


def test_restored_log_and_volume_agree() -> None:
    x = batch(volume())
    made = network()
    with torch.inference_mode():
        log, restored = made.restore_log(x)
        y = made(x, mirror=False)
    inside = (x > 0) & (y > 0) & (y < 1) & (log > -1.2) & (log < 0.9)
    expected = torch.log(y / brain_median(x, x > 0))
    assert inside.sum() > 300
    np.testing.assert_allclose(restored[inside].numpy(), expected[inside].numpy(), atol=1e-4)


def test_box_holds_the_brain_and_its_sides_are_multiples() -> None:
    mask = torch.zeros(1, 1, 16, 24, 32, dtype=torch.bool)
    mask[0, 0, 3:8, 0:17, 30:32] = True
    box = brain_box(mask, 8)
    assert [part.stop - part.start for part in box] == [8, 24, 8]
    assert mask[(..., *box)].sum() == mask.sum()
    assert [part.stop - part.start for part in brain_box(mask & False, 8)] == [8, 8, 8]


def test_z_is_that_of_the_maps_and_0_where_nothing_is_known() -> None:
    made = network(maps=False)
    made.mean[1, 2, 3], made.sd[1, 2, 3] = 0.2, 0.5
    log = torch.full((1, 1, CUBE, CUBE, CUBE), 0.7)
    z = made.standardised(log)
    assert z[0, 0, 1, 2, 3].item() == pytest.approx(1.0)
    assert z.abs().sum().item() == pytest.approx(1.0)
    assert made.standardised(log * 100)[0, 0, 1, 2, 3].item() == 8.0


def test_mirrored_answer_is_the_mean_of_both() -> None:
    x = batch(volume())
    made = network()
    # Maps that are their own mirror image: then the mirrored scan's answer is the answer mirrored.
    made.mean.copy_(0.5 * (made.mean + made.mean.flip(0)))
    with torch.inference_mode():
        log, restored = made.restore_log(x, mirror=True)
        mirrored, other = made.restore_log(x.flip(2), mirror=True)
    np.testing.assert_allclose(log.numpy(), mirrored.flip(2).numpy(), atol=1e-6)
    np.testing.assert_allclose(restored.numpy(), other.flip(2).numpy(), atol=1e-4)
    with torch.inference_mode():
        plain = made.restore_log(x)[1]
        volumes = made(x), made(x, mirror=False)
    assert (plain - restored).abs().max() > 0.001
    assert (volumes[0] - volumes[1]).abs().max() > 0.001  # a volume is restored by both, unless asked not to


def test_mask_without_holes_and_a_given_mask() -> None:
    x = volume()
    x[7, 8, 9] = 0  # the darkest voxel of a brain
    assert brain_mask(x)[7, 8, 9]
    assert not brain_mask(x)[0, 0, 0]
    made = network()
    half = brain_mask(x) & (np.arange(CUBE) < 9)[:, None, None]
    found = change(made, x, half).numpy()
    assert (found[~half] == 0).all()
    assert (found[half] != 0).any()
    assert change(made, x, brain_mask(x))[7, 8, 9] != 0
    assert change(made, x)[7, 8, 9] == 0  # x > 0, unless a mask is given


@pytest.mark.parametrize(("change", "bright"), [(0.0, 1.0), (-0.5, 0.2 * np.exp(0.4)), (-0.15, None)])
def test_what_is_changed_keeps_nothing_of_the_brightness_that_clipping_hid(
    change: float, bright: float | None
) -> None:
    x = np.zeros((16, 16, 16), np.float32)
    x[2:14, 2:14, 2:14] = 0.2
    x[6:9, 6:9, 6:9] = 1.0  # five times the median; e^0.9 is 2.46
    made = build_restorer(RestorerConfig("restorer", "restorer", 16)).eval()
    assert made.unet.last.bias is not None
    with torch.inference_mode():
        made.unet.last.bias.fill_(change)
        y = made(batch(x))[0, 0].numpy()
    half = 0.2 * np.exp(0.75) + 0.5 * (1.0 - 0.2 * np.exp(0.9))  # half of the change that forgets it
    assert y[7, 7, 7] == pytest.approx(half if bright is None else bright, abs=1e-4)
    assert y[3, 3, 3] == pytest.approx(0.2 * np.exp(change), abs=1e-4)
    assert (y[0] == 0).all()
