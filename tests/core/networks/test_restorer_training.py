"""The restorer learns to take corruption back, and goes on after a kill as if nothing had happened."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file

from core.anomaly.intensity import LOG_RANGE
from core.networks import restorer_training
from core.networks.config import RestorerConfig
from core.networks.restorer import Restorer, build_restorer
from core.networks.restorer_settings import RestorerTrainSettings, restorer_train_settings_from_dict
from core.networks.restorer_training import (
    fit_maps,
    importance,
    log_and_mask,
    restoration_loss,
    train_restorer,
    validation_mse,
    varied,
)
from core.networks.train_settings import EpochRow, TrainingError
from core.networks.training import TrainResult, training_record

CUBE, MM = 16, 4.0
CONFIG = RestorerConfig("restorer", "restorer", CUBE, base_channels=4, levels=2)
SETTINGS = RestorerTrainSettings(epochs=4, threads=1, device="cpu")


def brains(n: int, seed: int = 0) -> NDArray[np.float32]:
    """Balls with a bright core and a little noise, (n, N, N, N) in [0, 1]."""
    rng = np.random.default_rng(seed)
    radius = np.sqrt(((np.indices((CUBE,) * 3) - (CUBE - 1) / 2) ** 2).sum(0))
    tissue = 0.4 + 0.3 * (radius < 3) + rng.normal(0, 0.02, (n, CUBE, CUBE, CUBE))
    return np.where(radius < 7, tissue, 0).astype(np.float32)


class Killed(Exception):
    pass


def losses(result: TrainResult) -> list[tuple[float, ...]]:
    return [(row.train_loss, row.train_mse, row.val_mse, row.kl) for row in result.rows]


def test_it_learns_to_restore(tmp_path: Path) -> None:
    x, val = brains(4), brains(2, 1)
    settings = replace(SETTINGS, epochs=100, learning_rate=1e-2, kinds="brighter,darker", most_regions=2)
    result = train_restorer(CONFIG, settings, x, val, MM, tmp_path)
    fresh = build_restorer(CONFIG)
    fit_maps(fresh, x)
    unrestored = validation_mse(fresh, val, MM, settings)  # a fresh network changes nothing
    assert result.rows[-1].val_mse < 0.7 * unrestored
    record = training_record(result, settings, "balls", 4, 2)
    assert record["settings"] == asdict(settings)
    assert record["kept_epoch"] == 100
    assert record["steps"] == 400
    assert record["kl"] == 0


def test_killed_run_resumes_to_the_same_losses(tmp_path: Path) -> None:
    x, val = brains(5), brains(2, 1)
    whole = train_restorer(CONFIG, SETTINGS, x, val, MM, tmp_path / "whole")

    def kill(step: int, steps: int, row: EpochRow | None) -> None:
        if step == 13:  # in the middle of the third epoch
            raise Killed

    with pytest.raises(Killed):
        train_restorer(CONFIG, SETTINGS, x, val, MM, tmp_path / "killed", kill)
    torch.manual_seed(999)
    steps: list[int] = []
    resumed = train_restorer(
        CONFIG, SETTINGS, x, val, MM, tmp_path / "killed", lambda step, _steps, _row: steps.append(step)
    )
    assert steps == list(range(11, 21))
    assert losses(resumed) == losses(whole)
    with pytest.raises(TrainingError, match=r"settings seed 0 \(expected 1\)"):
        train_restorer(CONFIG, replace(SETTINGS, seed=1), x, val, MM, tmp_path / "killed")


def test_a_gradient_that_is_no_number_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = restorer_training.restoration_loss
    calls: list[int] = []

    def sometimes(network: Restorer, *rest: Any) -> tuple[torch.Tensor, torch.Tensor]:
        loss, mse = whole(network, *rest)
        calls.append(1)
        # The root of 0 adds nothing to the loss, and infinity times 0 to its gradient.
        zero = torch.sqrt(0 * network.unet.last.weight.sum())
        return (loss + zero if len(calls) == 2 else loss), mse

    monkeypatch.setattr(restorer_training, "restoration_loss", sometimes)
    result = train_restorer(CONFIG, SETTINGS, brains(3), brains(2, 1), MM, tmp_path)
    assert len(calls) == 12
    assert all(torch.isfinite(value).all() for value in result.network.state_dict().values())
    assert result.network.state_dict()["unet.last.weight"].abs().max() > 0


def test_a_second_cycle_starts_the_learning_rate_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rates: list[float] = []
    step = torch.optim.AdamW.step

    def noted(optimizer: torch.optim.AdamW, *rest: Any) -> Any:
        rates.append(optimizer.param_groups[0]["lr"])
        return step(optimizer, *rest)

    monkeypatch.setattr(torch.optim.AdamW, "step", noted)
    settings = replace(SETTINGS, epochs=6, cycles=2, schedule="cosine", learning_rate=0.01)
    train_restorer(CONFIG, settings, brains(3), brains(2, 1), MM, tmp_path)
    assert len(rates) == 18
    assert rates[0] == pytest.approx(0.01)
    assert rates[8] < 0.001
    assert rates[9:] == rates[:9]


def test_best_weights_on_request(tmp_path: Path) -> None:
    settings = replace(SETTINGS, keep="best")
    result = train_restorer(CONFIG, settings, brains(3), brains(2, 1), MM, tmp_path)
    assert result.kept_epoch == result.best_epoch
    kept = load_file(tmp_path / "best.safetensors")
    for name, value in result.network.state_dict().items():
        torch.testing.assert_close(value, kept[name])


def test_maps_are_mean_and_sd_of_the_normals() -> None:
    x = brains(6)
    network = build_restorer(CONFIG)
    count = fit_maps(network, x)
    logs = np.stack([log_and_mask(one)[0] for one in x])
    inside = x[0] > 0
    assert set(np.unique(count)) == {0, 6}
    np.testing.assert_allclose(network.mean.numpy()[inside], logs.mean(0)[inside], atol=2e-3)
    assert (network.sd.numpy()[~inside] == 0).all()
    # Noise of 0.02 at 0.4 is 0.05 of log intensity.
    assert np.median(network.sd.numpy()[inside]) == pytest.approx(0.05, rel=0.15)


def test_a_scan_is_judged_by_the_other_normals_mean() -> None:
    # Two normals, apart in one voxel: by the other's mean it stands out twice as far as by the shared one.
    x = np.where(brains(1)[0] > 0, 0.5, 0).astype(np.float32)[None].repeat(2, 0)
    x += np.where(x > 0, np.random.default_rng(0).normal(0, 0.02, x.shape), 0).astype(np.float32)
    x[0, 8, 8, 8] = 0.6
    network = build_restorer(CONFIG)
    count = fit_maps(network, x)
    seen: list[torch.Tensor] = []
    whole = network.standardised

    def spy(log: torch.Tensor, mean: torch.Tensor | None = None) -> torch.Tensor:
        assert mean is not None
        seen.append(mean[0, 0, 8, 8, 8])
        return whole(log, mean)

    network.standardised = spy  # type: ignore[method-assign]
    settings = replace(SETTINGS, augment="none")
    restoration_loss(network, x, 0, count, MM, settings, np.random.default_rng(0))
    own, other = (log_and_mask(one)[0][8, 8, 8] for one in x)
    assert own > other + 0.1
    assert seen[0].item() == pytest.approx(other, abs=2e-3)


def test_loss_weighs_corrupted_voxels() -> None:
    x = brains(3)
    network = build_restorer(CONFIG)
    count = fit_maps(network, x)

    def loss(**changes: float | str) -> float:
        settings = replace(SETTINGS, augment="none", **changes)  # type: ignore[arg-type]
        rng = np.random.default_rng(3)
        with torch.inference_mode():
            return restoration_loss(network, x, 1, count, MM, settings, rng)[0].item()

    # A network that changes nothing errs in corrupted voxels only, but for changes too small to be told.
    assert loss(corrupted_weight=9.0) == pytest.approx(10 * loss(corrupted_weight=0.0), rel=0.02)
    assert loss(loss="l1") > loss(loss="l2") > 0


def test_small_regions_weigh_more() -> None:
    changed = np.zeros((20, 20, 20), bool)
    changed[:5, :5, :4] = True  # 100 voxels
    changed[10, 10, 10] = True
    changed[8:20, 0:20, 16:20] = True  # 960
    weights = importance(changed, "size")
    assert weights[0, 0, 0] == pytest.approx(1)
    assert weights[10, 10, 10] == pytest.approx(3)  # the root of 100 is cut
    assert weights[9, 1, 17] == pytest.approx(1 / 3)  # so is that of 100 / 960, 0.32
    np.testing.assert_array_equal(weights > 0, changed)
    np.testing.assert_array_equal(importance(changed, "none"), changed)
    assert not importance(changed & False, "size").any()


def test_varied_scans_stay_normal() -> None:
    log, mask, median = log_and_mask(brains(1)[0])
    assert median == pytest.approx(0.4, abs=0.01)
    for seed in range(5):
        new, moved = varied(log, mask, np.random.default_rng(seed))
        assert moved.sum() == mask.sum()
        assert (new[~moved] == 0).all()
        assert new.min() >= LOG_RANGE[0]
        assert new.max() <= LOG_RANGE[1]
        both = mask & moved
        assert np.corrcoef(new[both], log[both])[0, 1] > 0.3
    assert (
        varied(log, mask, np.random.default_rng(1))[0] == varied(log, mask, np.random.default_rng(1))[0]
    ).all()


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ({"kl_weight": 1.0}, "unknown training setting kl_weight; known are augment, "),
        ({"kinds": "brighter,blur"}, r"kinds are \('brighter', 'blur'\), expected one or more of"),
        ({"augment": "flip_shift"}, "augment is 'flip_shift', expected one of none, flip, vary"),
        ({"loss": "l3"}, "loss is 'l3', expected one of l1, l2"),
        ({"balance": "volume"}, "balance is 'volume', expected one of none, size"),
        ({"epochs": 10, "cycles": 3}, "cycles is 3, expected a divisor of the 10 epochs"),
        ({"epochs": 0}, "epochs is 0, expected more than 0"),
        ({"most_regions": 0}, "most_regions is 0, expected 1 or more"),
        ({"corrupted_weight": -1.0}, "corrupted_weight is -1.0, expected 0 or more"),
    ],
)
def test_settings_are_strict(raw: dict[str, object], message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        restorer_train_settings_from_dict(raw)


def test_one_normal_is_not_enough(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="train_x has 1 volume, expected 2 or more"):
        train_restorer(CONFIG, SETTINGS, brains(1), brains(2), MM, tmp_path)
    with pytest.raises(TrainingError, match=r"val_x has shape \(2, 8, 16, 16\)"):
        train_restorer(CONFIG, SETTINGS, brains(2), brains(2)[:, 8:], MM, tmp_path)
