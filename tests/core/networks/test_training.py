"""Training learns, and goes on after a kill as if nothing had happened."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file

from core.networks.config import NetworkConfig, network_config
from core.networks.train_settings import (
    EpochRow,
    TrainingError,
    TrainSettings,
    learning_rate_factor,
    train_settings_from_dict,
)
from core.networks.training import TrainResult, augmented, train, training_record

CUBE = 16
TINY = NetworkConfig("tiny", "vae", CUBE, 8, 16, base_channels=4, latent_channels=1, logvar_rank=4)
SETTINGS = TrainSettings(epochs=4, learning_rate=3e-3, kl_warmup_epochs=1, threads=1, device="cpu")


def tiny_ae() -> NetworkConfig:
    return NetworkConfig("tiny", "ae", CUBE, 8, 0, base_channels=4, logvar_rank=0)


def balls(n: int, seed: int = 0) -> NDArray[np.float32]:
    """Balls of different centre and brightness, (n, N, N, N) in [0, 1]."""
    rng = np.random.default_rng(seed)
    grid = np.indices((CUBE,) * 3) - (CUBE - 1) / 2
    volumes = [
        rng.uniform(0.3, 0.9) * (((grid - rng.uniform(-2, 2, (3, 1, 1, 1))) ** 2).sum(0) < 25)
        for _ in range(n)
    ]
    return np.stack(volumes).astype(np.float32)


class Killed(Exception):
    pass


def losses(result: TrainResult) -> list[tuple[float, ...]]:
    return [(row.train_loss, row.train_mse, row.val_mse, row.kl) for row in result.rows]


@pytest.mark.parametrize("kind", ["ae", "vae"])
def test_overfits_two_volumes(tmp_path: Path, kind: str) -> None:
    config = TINY if kind == "vae" else tiny_ae()
    x = balls(2)
    settings = TrainSettings(epochs=40, learning_rate=1e-2, augment="none", threads=1, device="cpu")
    result = train(config, settings, x, x, tmp_path)
    assert result.rows[-1].train_mse < result.rows[0].train_mse / 5
    # Better than the best constant pair of means: it tells the two apart.
    with torch.inference_mode():
        y = result.network(torch.from_numpy(x)[:, None])[:, 0].numpy()
    assert np.mean((y - x) ** 2) < 0.5 * np.mean((x.mean(0) - x) ** 2)


def test_killed_run_resumes_to_the_same_losses(tmp_path: Path) -> None:
    x, val = balls(5), balls(2, 1)
    whole = train(TINY, SETTINGS, x, val, tmp_path / "whole")

    def kill(step: int, steps: int, row: EpochRow | None) -> None:
        if step == 13:  # in the middle of the third epoch
            raise Killed

    with pytest.raises(Killed):
        train(TINY, SETTINGS, x, val, tmp_path / "killed", kill)
    torch.manual_seed(999)  # what the process drew meanwhile must not matter
    steps: list[int] = []
    resumed = train(
        TINY, SETTINGS, x, val, tmp_path / "killed", lambda step, _steps, _row: steps.append(step)
    )
    assert steps == list(range(11, 21))
    assert losses(resumed) == losses(whole)
    for name, value in whole.network.state_dict().items():
        assert torch.equal(value, resumed.network.state_dict()[name]), name


def test_seed_decides(tmp_path: Path) -> None:
    x = balls(3)
    one = train(TINY, TrainSettings(epochs=1, device="cpu", threads=1), x, x, tmp_path / "a")
    same = train(TINY, TrainSettings(epochs=1, device="cpu", threads=1), x, x, tmp_path / "b")
    other = train(TINY, TrainSettings(epochs=1, device="cpu", threads=1, seed=1), x, x, tmp_path / "c")
    assert losses(one) == losses(same) != losses(other)


def test_log_and_kept_weights(tmp_path: Path) -> None:
    x, val = balls(3), balls(2, 1)
    result = train(TINY, SETTINGS, x, val, tmp_path)
    with (tmp_path / "log.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert list(rows[0]) == ["epoch", "train_loss", "train_mse", "val_mse", "kl", "seconds"]
    assert [float(row["val_mse"]) for row in rows] == [row.val_mse for row in result.rows]
    best = min(result.rows, key=lambda row: row.val_mse)
    assert result.best_epoch == result.kept_epoch == best.epoch
    weights = load_file(tmp_path / "best.safetensors")
    assert all(torch.equal(weights[name], value) for name, value in result.network.state_dict().items())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best.safetensors", "last.pt", "log.csv"]
    # The kept weights give the validation error that the log holds (bfloat16 against float32).
    with torch.inference_mode():
        y = result.network(torch.from_numpy(val)[:, None])[:, 0].numpy()
    assert np.mean((y - val) ** 2) == pytest.approx(best.val_mse, rel=0.02)
    record = training_record(result, SETTINGS, "balls", 3, 2)
    assert (record["steps"], record["epochs"], record["val_mse"]) == (12, 4, best.val_mse)
    assert record["settings"]["learning_rate"] == 3e-3


def test_kl_weight_warms_up(tmp_path: Path) -> None:
    settings = TrainSettings(epochs=3, kl_weight=0.4, kl_warmup_epochs=1, threads=1, device="cpu")
    rows = train(TINY, settings, balls(2), balls(1), tmp_path).rows
    weights = [(row.train_loss - row.train_mse) * CUBE**3 / row.kl for row in rows]
    assert weights == pytest.approx([0.2, 0.4, 0.4], rel=1e-2)


def test_max_minutes_stops_at_the_end_of_an_epoch(tmp_path: Path) -> None:
    settings = TrainSettings(epochs=9, max_minutes=1e-9, threads=1, device="cpu")
    result = train(TINY, settings, balls(2), balls(1), tmp_path)
    assert (result.stopped, len(result.rows), result.steps) == ("max_minutes", 1, 2)


def test_resume_with_other_settings_is_refused(tmp_path: Path) -> None:
    x = balls(2)
    train(TINY, TrainSettings(epochs=1, threads=1, device="cpu"), x, x, tmp_path)
    text = r"last.pt belongs to other settings or data: settings learning_rate 0\.002 \(expected 0\.0001\); "
    with pytest.raises(TrainingError, match=text):
        train(TINY, TrainSettings(epochs=1, learning_rate=1e-4, threads=1, device="cpu"), x, x, tmp_path)


@pytest.mark.parametrize("changed", ["train", "validation"])
def test_resume_over_other_data_is_refused(tmp_path: Path, changed: str) -> None:
    x, val = balls(3), balls(2, 1)

    def kill(step: int, steps: int, row: EpochRow | None) -> None:
        if row is not None:
            raise Killed

    with pytest.raises(Killed):
        train(TINY, SETTINGS, x, val, tmp_path, kill)
    other = balls(3, 7) if changed == "train" else balls(2, 8)
    data = (other, val) if changed == "train" else (x, other)
    with pytest.raises(
        TrainingError, match=rf"last.pt belongs to other settings or data: data {changed} \w{{64}} \(expected"
    ):
        train(TINY, SETTINGS, *data, tmp_path)
    assert len(train(TINY, SETTINGS, x.copy(), val.copy(), tmp_path).rows) == SETTINGS.epochs


def test_data_of_another_shape_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"val_x has shape \(1, 16, 16, 8\), expected \(n, 16, 16, 16\)"):
        train(TINY, SETTINGS, balls(2), balls(1)[..., :8], tmp_path)
    with pytest.raises(
        TrainingError, match=r"train_x has shape \(0, 16, 16, 16\), expected .* n of 1 or more"
    ):
        train(TINY, SETTINGS, balls(1)[:0], balls(1), tmp_path)


def test_a_loss_that_is_no_number_is_an_error(tmp_path: Path) -> None:
    x = balls(2)
    x[0, 0, 0, 0] = np.nan
    with pytest.raises(TrainingError, match=r"tiny: loss is no number in epoch 1"):
        train(TINY, SETTINGS, x, balls(1), tmp_path)


def test_augmentation_mirrors_left_and_right_and_shifts_little() -> None:
    x = torch.zeros(1, 1, 16, 24, 32)
    x[0, 0, 5, 10, 20] = 1
    assert augmented(x, "none", np.random.default_rng(0)) is x
    rng = np.random.default_rng(0)
    seen = {tuple(map(int, torch.nonzero(augmented(x, "flip", rng)[0, 0])[0])) for _ in range(20)}
    assert seen == {(5, 10, 20), (10, 10, 20)}
    shifted = [torch.nonzero(augmented(x, "flip_shift", rng)[0, 0])[0].tolist() for _ in range(200)]
    assert {j for _, j, _ in shifted} == {8, 9, 10, 11, 12}
    assert {k for _, _, k in shifted} == {18, 19, 20, 21, 22}
    assert {i for i, _, _ in shifted} == {3, 4, 5, 6, 7, 8, 9, 10, 11, 12}


def test_schedules() -> None:
    assert [learning_rate_factor("constant", step, 10) for step in (0, 9)] == [1, 1]
    assert learning_rate_factor("cosine", 0, 10) == 1
    assert learning_rate_factor("cosine", 5, 10) == pytest.approx(0.5)
    # 100 steps: 10 of warm-up, highest at 10, half-way down at 55.
    factors = [learning_rate_factor("onecycle", step, 100) for step in range(100)]
    assert factors[0] == pytest.approx(1 / 11)
    assert factors[10] == 1 == max(factors)
    assert factors[55] == pytest.approx(0.5)
    assert 0 < factors[99] < 1e-3


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ({"optimiser": "sgd"}, r"unknown training setting optimiser; known are .*augment"),
        ({"schedule": "step"}, r"schedule is 'step', expected one of constant, onecycle, cosine"),
        ({"precision": "half"}, r"precision is 'half', expected one of float32, bfloat16"),
        ({"augment": "yes"}, r"augment is 'yes', expected one of none, flip, flip_shift"),
        ({"epochs": 0}, r"epochs is 0, expected more than 0"),
        ({"kl_weight": -1.0}, r"kl_weight is -1.0, expected 0 or more"),
    ],
)
def test_unknown_settings_raise(raw: dict[str, Any], message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        train_settings_from_dict(raw)


def test_defaults_are_the_papers_epochs() -> None:
    assert train_settings_from_dict({}) == TrainSettings()
    assert TrainSettings().epochs == 50
    assert network_config("vae_8x8_512").cube == 64


def test_loss_is_the_mean_over_both_channels(tmp_path: Path) -> None:
    both = replace(TINY, in_channels=2)
    x = np.stack([balls(3), 1 - balls(3)], axis=1)
    result = train(both, replace(SETTINGS, precision="float32"), x, x, tmp_path)
    with torch.inference_mode():
        rest = x - result.network(torch.from_numpy(x)).numpy()
    # Validation at the mean of the posterior, as here: the plain mean of both channels' errors.
    apart = [float(np.mean(rest[:, channel] ** 2)) for channel in (0, 1)]
    assert min(row.val_mse for row in result.rows) == pytest.approx(np.mean(apart), rel=1e-3)
    assert abs(apart[0] - apart[1]) > 1e-4
    with pytest.raises(
        TrainingError, match=r"train_x has shape \(3, 16, 16, 16\), expected \(n, 2, 16, 16, 16\)"
    ):
        train(both, SETTINGS, balls(3), x, tmp_path)
