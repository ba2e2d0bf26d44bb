"""``ablate``: which models may stand in one table, said before anything is computed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from core.cli.ablate import chosen_models, label_of, network_of, trained_on
from core.networks.config import T1T2, model_config
from core.networks.zoo import ModelInfo, build, save_model
from tests.core.conftest import Run

CUBE = 16


def write(folder: Path, name: str, channels: tuple[str, ...] = (), kinds: str = "darker") -> ModelInfo:
    config = model_config(name, CUBE)
    torch.manual_seed(0)
    return save_model(
        folder,
        build(config),
        config,
        preprocess={"cube": CUBE, "fov_mm": 128.0} | ({"channels": list(channels)} if channels else {}),
        reference="demo",
        reference_hash="1" * 64,
        training={"settings": {"kinds": kinds}},
        synthetic=True,
        card="# card",
    )


def test_a_folder_is_tried_as_its_kind_under_its_own_name(tmp_path: Path) -> None:
    candidate = write(tmp_path / "coarse_noise", "restorer", kinds="noise")
    (found,) = chosen_models(str(candidate.folder))
    network = network_of(found, "cpu")
    assert (network.label, network.kind, network.samples) == ("coarse_noise", "restorer", None)
    x = np.full((CUBE,) * 3, 0.5, np.float32)
    assert np.allclose(network.reconstruct(x), x, atol=1e-3)  # a fresh restorer changes nothing
    assert trained_on([found]) == "coarse_noise learned to take back noise. "


def test_a_variational_model_can_be_sampled(tmp_path: Path) -> None:
    network = network_of(write(tmp_path / "vae", "vae_8x8_256"), "cpu")
    assert network.kind == "vae"
    assert network.samples is not None
    mean, sd = network.samples(np.full((CUBE,) * 3, 0.5, np.float32), 2, np.random.default_rng(0))
    assert mean.shape == sd.shape == (CUBE,) * 3
    assert trained_on([replace(write(tmp_path / "ae", "std_8x8"), training={})]) == ""


def test_two_channels_are_refused_before_any_scan_is_looked_for(tmp_path: Path, run: Run) -> None:
    two = write(tmp_path / "two", T1T2, ("T2w", "T1w"))
    code, _, err = run("ablate", tmp_path / "no_such_folder", "--models", two.folder)
    assert code == 2
    assert "two sees T2w and T1w; expected models of the T2w alone" in err


def test_models_that_can_not_share_a_table_are_refused(tmp_path: Path) -> None:
    from core.cli.console import UsageError

    one = write(tmp_path / "a" / "restorer", "restorer")
    other = write(tmp_path / "b" / "restorer", "restorer")
    with pytest.raises(UsageError, match="two models are called restorer"):
        chosen_models(f"{one.folder}, {other.folder}")
    different = save_model(
        tmp_path / "wider",
        build(model_config("std_8x8", 32)),
        model_config("std_8x8", 32),
        preprocess={"cube": 32, "fov_mm": 128.0},
        reference="demo",
        reference_hash="1" * 64,
        training={},
        synthetic=True,
        card="",
    )
    with pytest.raises(UsageError, match="differ in cube"):
        chosen_models(f"{one.folder},{different.folder}")
    assert label_of(different) == "wider"
