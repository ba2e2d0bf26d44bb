"""A model folder as an analysis sees it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from core.networks.autoencoder import build_network
from core.networks.zoo import ModelError, ModelInfo, network_config, save_model
from core.predictor import predictor


def write(folder: Path, epochs: int) -> ModelInfo:
    config = network_config("std_8x8", 16)
    return save_model(
        folder,
        build_network(config),
        config,
        preprocess={"cube": 16},
        reference="demo",
        reference_hash="1" * 64,
        training={"epochs": epochs},
        synthetic=True,
        card="",
    )


def test_a_model_that_was_replaced_meanwhile_is_refused(tmp_path: Path) -> None:
    x = np.zeros((16, 16, 16), np.float32)
    first = predictor(write(tmp_path / "std_8x8", 1), "cpu")
    late = predictor(write(tmp_path / "std_8x8", 2), "cpu")
    with pytest.raises(
        ModelError, match=rf"std_8x8: the model was replaced .*{first.hash[:12]}.*start again"
    ):
        first.reconstruct(x)
    assert late.reconstruct(x).shape == (16, 16, 16)
    # Loaded weights are the recorded ones, whatever happens to the folder later.
    write(tmp_path / "std_8x8", 3)
    assert late.reconstruct(x).shape == (16, 16, 16)
