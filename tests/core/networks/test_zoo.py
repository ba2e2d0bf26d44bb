"""Model folders: what is written is what is read, and nothing else is."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from core.anomaly.normative import Normative, save_normative
from core.networks import zoo
from core.networks.autoencoder import Network, build_network
from core.networks.config import model_config
from core.networks.restorer import Restorer
from core.networks.zoo import (
    ModelError,
    choose_device,
    list_models,
    load_model,
    model_info,
    network_config,
    reconstruct,
    save_model,
)

CUBE = 16


def fresh(name: str, seed: int = 0) -> Network:
    torch.manual_seed(seed)
    return build_network(network_config(name, CUBE)).eval()


def write(folder: Path, name: str = "vae_8x8_256", network: Network | None = None) -> zoo.ModelInfo:
    return save_model(
        folder,
        network if network is not None else fresh(name),
        network_config(name, CUBE),
        preprocess={"cube": CUBE, "fov_mm": 128.0},
        reference="demo",
        reference_hash="1" * 64,
        training={"epochs": 1},
        synthetic=True,
        card="# card",
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path / "vae_8x8_256")
    return tmp_path / "vae_8x8_256"


def write_restorer(folder: Path) -> zoo.ModelInfo:
    """One that takes all for too dark."""
    torch.manual_seed(0)
    config = model_config("restorer", CUBE)
    network = zoo.build(config).eval()
    assert isinstance(network, Restorer)
    torch.nn.init.normal_(network.unet.last.weight, std=0.1)
    assert network.unet.last.bias is not None
    torch.nn.init.ones_(network.unet.last.bias)  # all is restored to brighter
    network.mean.fill_(0.25)
    network.sd.fill_(0.5)
    options: dict[str, Any] = {"reference": "demo", "reference_hash": "1" * 64, "training": {"epochs": 1}}
    preprocess = {"cube": CUBE, "fov_mm": 128.0}
    return save_model(
        folder, network, config, preprocess=preprocess, synthetic=True, card="# card", **options
    )


def volume(seed: int = 0) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.random.default_rng(seed).random((CUBE, CUBE, CUBE), np.float32)


@pytest.mark.parametrize("name", ["std_8x8", "vae_8x8_256"])
def test_loaded_model_is_the_saved_one_rounded_to_half(tmp_path: Path, name: str) -> None:
    network = fresh(name)
    write(tmp_path / name, name, network)
    network.load_state_dict({key: value.half().float() for key, value in network.state_dict().items()})
    with torch.inference_mode():
        expected = network(torch.from_numpy(volume())[None, None])[0, 0].numpy()
    model = load_model(tmp_path / name, "cpu")
    found = reconstruct(model, volume())
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(found, reconstruct(model, volume()))
    assert {value.dtype for value in model.network.state_dict().values()} == {torch.float32}
    assert model.normative is None


def test_info_tells_what_was_saved(folder: Path) -> None:
    info = model_info(folder)
    assert info.config == network_config("vae_8x8_256", CUBE)
    assert (info.reference, info.reference_hash, info.synthetic) == ("demo", "1" * 64, True)
    assert info.card == "# card"
    assert info.preprocess == {"cube": CUBE, "fov_mm": 128.0}
    assert sorted(os.listdir(folder)) == ["MODEL_CARD.md", "config.json", "weights.safetensors"]


def test_hash_follows_weights_and_normative_but_not_the_card(folder: Path, tmp_path: Path) -> None:
    first = model_info(folder).hash
    (folder / "MODEL_CARD.md").write_text("other")
    assert model_info(folder).hash == first
    maps = np.full((CUBE, CUBE, CUBE), 0.5, np.float32)
    save_normative(Normative(maps, maps, 3, voxel_mm=8.0, smooth_z_mm=2.0), folder / "normative.npz")
    calibrated = model_info(folder).hash
    assert calibrated != first
    normative = load_model(folder, "cpu").normative
    assert normative is not None
    np.testing.assert_array_equal(normative.sd, maps)
    # New weights: the old normative model goes.
    assert write(folder, network=fresh("vae_8x8_256", 1)).hash not in (first, calibrated)
    assert load_model(folder, "cpu").normative is None
    assert write(tmp_path / "again").hash == first


def test_list_is_in_the_papers_order(tmp_path: Path) -> None:
    for name in ("vae_8x8_256", "std_8x8"):
        write(tmp_path / name, name)
    (tmp_path / "README.md").write_text("models")
    assert [info.name for info in list_models(tmp_path)] == ["std_8x8", "vae_8x8_256"]
    assert list_models(tmp_path / "absent") == []


def test_restorer_is_a_model_like_the_others(tmp_path: Path) -> None:
    info = write_restorer(tmp_path / "restorer")
    write(tmp_path / "aaa", "vae_8x8_256")
    assert [one.name for one in list_models(tmp_path)] == ["vae_8x8_256", "restorer"]
    assert info.config == model_config("restorer", CUBE)
    model = load_model(tmp_path / "restorer", "cpu")
    x = np.where(brain(), 0.2 + 0.6 * volume(), 0).astype(np.float32)
    x[8, 8, 8] = 0  # the darkest voxel, inside the brain
    y = reconstruct(model, x)
    assert y.dtype == np.float32
    assert y.min() >= 0
    assert y.max() <= 1
    assert (y[~brain()] == 0).all()
    assert np.abs(y - x).max() > 0.01
    # As its weights say: mean and SD of the training normals travel with them.
    assert isinstance(model.network, Restorer)
    assert set(model.network.mean.unique().tolist()) == {0.25}
    assert set(model.network.sd.unique().tolist()) == {0.5}
    assert y[8, 8, 8] > 0  # the hole in x > 0 is filled


def brain() -> np.ndarray[Any, np.dtype[np.bool_]]:
    """A ball of radius 6 in the cube."""
    return np.asarray(((np.indices((CUBE,) * 3) - (CUBE - 1) / 2) ** 2).sum(0) < 36)


def test_truncated_weights(folder: Path) -> None:
    weights = folder / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(ModelError, match=r"vae_8x8_256: weights.safetensors: .*expected a whole safetensors"):
        load_model(folder, "cpu")


class Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, ("unpickled",))


@pytest.mark.parametrize("writer", ["pickle", "torch"])
def test_a_pickle_is_refused_and_never_run(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writer: str
) -> None:
    monkeypatch.chdir(tmp_path)
    path = folder / "weights.safetensors"
    if writer == "pickle":
        path.write_bytes(pickle.dumps(Bomb()))
    else:
        torch.save({"x": Bomb()}, path)
    with pytest.raises(ModelError, match=r"weights.safetensors: .*expected a whole safetensors file"):
        load_model(folder, "cpu")
    assert not (tmp_path / "unpickled").exists()


def test_wrong_shape_names_the_weight_found_and_expected(folder: Path) -> None:
    weights = load_file(folder / "weights.safetensors")
    weights["mean.bias"] = torch.zeros(255, dtype=torch.float16)
    save_file(weights, folder / "weights.safetensors")
    with pytest.raises(
        ModelError, match=r"does not fit config.json: mean.bias is \(255,\), expected \(256,\)"
    ):
        load_model(folder, "cpu")


def test_missing_weight_is_named(folder: Path) -> None:
    weights = load_file(folder / "weights.safetensors")
    del weights["dense.bias"]
    save_file(weights, folder / "weights.safetensors")
    with pytest.raises(ModelError, match=r"dense.bias is absent, expected \(1024,\)"):
        load_model(folder, "cpu")


def test_weights_of_another_training_are_refused(folder: Path, tmp_path: Path) -> None:
    write(tmp_path / "other", network=fresh("vae_8x8_256", 1))
    shutil.copy(tmp_path / "other" / "weights.safetensors", folder / "weights.safetensors")
    with pytest.raises(ModelError, match=r"is not the file that config.json was written with"):
        load_model(folder, "cpu")


def test_config_errors_name_the_folder(folder: Path, tmp_path: Path) -> None:
    raw = json.loads((folder / "config.json").read_text())

    def put(value: Any) -> None:
        (folder / "config.json").write_text(json.dumps(value))

    put({**raw, "network": {**raw["network"], "dropout": 1}})
    with pytest.raises(ModelError, match=r"vae_8x8_256: config.json: network: unknown key dropout"):
        model_info(folder)
    put({**raw, "colour": "red"})
    with pytest.raises(ModelError, match=r"config.json has .*'colour'.*expected .*of schema 1"):
        model_info(folder)
    put({**raw, "schema": 2})
    with pytest.raises(ModelError, match=r"of schema 1"):
        model_info(folder)
    put({**raw, "preprocess": {"cube": 32}})
    with pytest.raises(ModelError, match=r"preprocess cube is 32, expected the network's 16"):
        model_info(folder)
    (folder / "config.json").write_text("{")
    with pytest.raises(ModelError, match=r"vae_8x8_256: config.json: .*expected a model folder"):
        model_info(folder)
    put(raw)
    (folder / "weights.safetensors").unlink()
    with pytest.raises(ModelError, match=r"vae_8x8_256: no weights.safetensors"):
        model_info(folder)


def test_weights_that_half_precision_cannot_hold_are_refused(tmp_path: Path) -> None:
    network = fresh("std_8x8")
    with torch.no_grad():
        next(network.parameters())[0] = 1e6
    with pytest.raises(ModelError, match=r"encoder.layers.0.weight is not finite in half precision"):
        write(tmp_path / "std_8x8", "std_8x8", network)
    assert not (tmp_path / "std_8x8").exists()


def test_x_hat_does_not_depend_on_the_number_of_threads(folder: Path) -> None:
    """Torch shares sums out among threads, and so rounds them otherwise."""
    model, before = load_model(folder, "cpu"), torch.get_num_threads()
    seen: list[int] = []
    model.network.register_forward_pre_hook(lambda *_: seen.append(torch.get_num_threads()))
    try:
        found = []
        for threads in (1, 3):
            torch.set_num_threads(threads)
            found.append(reconstruct(model, volume()))
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert seen == [1, 1]
    np.testing.assert_array_equal(found[0], found[1])


def test_reconstruct_checks_its_input(folder: Path) -> None:
    model = load_model(folder, "cpu")
    with pytest.raises(
        ModelError, match=r"shape \(16, 16, 8\), expected \(16, 16, 16\) for model vae_8x8_256"
    ):
        reconstruct(model, volume()[..., :8])
    bad = volume()
    bad[3, 2, 1] = np.nan
    with pytest.raises(ModelError, match=r"x has voxels that are no number"):
        reconstruct(model, bad)
    with pytest.raises(ModelError, match=r"precision is 'half'"):
        reconstruct(model, volume(), "half")  # type: ignore[arg-type]


def test_bfloat16_differs_by_rounding_only(folder: Path) -> None:
    model = load_model(folder, "cpu")
    difference = np.abs(reconstruct(model, volume(), "bfloat16") - reconstruct(model, volume()))
    assert 0 < difference.max() < 0.05


def test_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert choose_device("auto").type == "cpu"
    with pytest.raises(ModelError, match=r"device 'cuda' is not available; this machine has cpu"):
        choose_device("cuda")
    with pytest.raises(ModelError, match=r"unknown device 'gpu'; known are auto, cuda, mps, cpu"):
        choose_device("gpu")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert choose_device("auto").type == "mps"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert choose_device("auto").type == "cuda"
    assert choose_device("cpu").type == "cpu"


def both_channels(folder: Path, channels: list[str]) -> zoo.ModelInfo:
    config = model_config("vae_8x8_512_t1t2", CUBE)
    assert isinstance(config, zoo.NetworkConfig)
    torch.manual_seed(1)
    return save_model(
        folder,
        build_network(config).eval(),
        config,
        preprocess={"cube": CUBE, "fov_mm": 128.0, "channels": channels},
        reference="demo",
        reference_hash="1" * 64,
        training={"epochs": 1},
        synthetic=True,
        card="# card",
    )


def test_two_channels_go_in_and_come_out_in_their_order(tmp_path: Path) -> None:
    folder = tmp_path / "vae_8x8_512_t1t2"
    assert both_channels(folder, ["T2w", "T1w"]).config == model_config("vae_8x8_512_t1t2", CUBE)
    model = load_model(folder, "cpu")
    x = np.stack([volume(), 1 - volume()]).astype(np.float32)
    x_hat = reconstruct(model, x)
    assert x_hat.shape == (2, CUBE, CUBE, CUBE)
    with torch.inference_mode():
        expected = model.network(torch.from_numpy(x)[None])[0].numpy()
    np.testing.assert_allclose(x_hat, expected, atol=1e-5)
    assert not np.allclose(reconstruct(model, x[::-1].copy()), x_hat[::-1], atol=1e-3)
    with pytest.raises(ModelError, match=r"shape \(16, 16, 16\), expected \(2, 16, 16, 16\)"):
        reconstruct(model, volume())
    with pytest.raises(ModelError, match=r"preprocess channels are \['T2w'\], the network takes 2"):
        both_channels(folder, ["T2w"])
