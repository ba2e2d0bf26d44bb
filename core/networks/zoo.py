"""Model folders: list, save, load, and reconstruct with. Torch is imported only when used."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from core.anomaly.operating import FILE as OPERATING
from core.io.atomic import write_bytes
from core.networks.config import (
    NAMES,
    OURS,
    AnyConfig,
    ModelError,
    NetworkConfig,
    RestorerConfig,
    network_config,
    network_config_from_dict,
    network_config_to_dict,
)

if TYPE_CHECKING:
    import torch
    from torch import nn

    from core.anomaly.normative import Normative

__all__ = [
    "NAMES",
    "OURS",
    "AnyConfig",
    "Model",
    "ModelError",
    "ModelInfo",
    "NetworkConfig",
    "RestorerConfig",
    "build",
    "choose_device",
    "list_models",
    "load_model",
    "model_info",
    "network_config",
    "network_config_from_dict",
    "reconstruct",
    "save_model",
]

SCHEMA = 1
CONFIG, WEIGHTS, CARD = "config.json", "weights.safetensors", "MODEL_CARD.md"
NORMATIVE, DETECTOR = "normative.npz", "detector.npz"  # of calibration; the latter a restorer's alone


@dataclass(frozen=True)
class ModelInfo:
    """What a model folder says about itself."""

    name: str
    folder: Path
    config: AnyConfig
    preprocess: dict[str, Any]  # settings that its inputs were prepared with
    reference: str  # "demo", or the reference's file name
    reference_hash: str  # of the reference that its inputs were registered to
    training: dict[str, Any]
    synthetic: bool  # trained on synthetic data
    hash: str  # sha256 of config.json, weights.safetensors and what calibration and feedback have added
    card: str  # text of MODEL_CARD.md


@dataclass(frozen=True, eq=False)
class Model:
    """A network ready to reconstruct, float32, in evaluation mode."""

    info: ModelInfo
    network: nn.Module
    normative: Normative | None  # None until calibrated
    device: torch.device


def model_info(folder: Path) -> ModelInfo:
    """Read a model folder's description; neither weights nor torch are loaded.

    Raises
    ------
    ModelError
        Where a file is missing, or config.json is no JSON, of another schema, or inconsistent.
    """
    try:
        content = (folder / CONFIG).read_bytes()
        raw = json.loads(content)
    except (OSError, ValueError) as error:
        raise ModelError(f"{folder}: {CONFIG}: {error}; expected a model folder") from error
    keys = {"schema", "network", "preprocess", "reference", "reference_hash", "training", "synthetic"}
    keys.add("weights_sha256")
    if not isinstance(raw, dict) or raw.get("schema") != SCHEMA or set(raw) != keys:
        found = sorted(raw) if isinstance(raw, dict) else type(raw).__name__
        raise ModelError(f"{folder}: {CONFIG} has {found}, expected {sorted(keys)} of schema {SCHEMA}")
    try:
        config = network_config_from_dict(raw["network"])
    except ModelError as error:
        raise ModelError(f"{folder}: {CONFIG}: {error}") from error
    if raw["preprocess"].get("cube") != config.cube:
        raise ModelError(
            f"{folder}: {CONFIG}: preprocess cube is {raw['preprocess'].get('cube')}, expected the network's "
            f"{config.cube}"
        )
    seen, count = raw["preprocess"].get("channels", ["T2w"]), getattr(config, "in_channels", 1)
    if len(seen) != count:
        raise ModelError(f"{folder}: {CONFIG}: preprocess channels are {seen}, the network takes {count}")
    if not (folder / WEIGHTS).is_file():
        raise ModelError(f"{folder}: no {WEIGHTS}; train the model again")
    digest = hashlib.sha256(content)
    for file in (folder / WEIGHTS, folder / NORMATIVE, folder / DETECTOR, folder / OPERATING):
        digest.update(file.read_bytes() if file.exists() else b"")
    card = folder / CARD
    return ModelInfo(
        name=config.name,
        folder=folder,
        config=config,
        preprocess=raw["preprocess"],
        reference=raw["reference"],
        reference_hash=raw["reference_hash"],
        training=raw["training"],
        synthetic=raw["synthetic"],
        hash=digest.hexdigest(),
        card=card.read_text() if card.exists() else "",
    )


def list_models(models_dir: Path) -> list[ModelInfo]:
    """All model folders in ``models_dir``: the eight and ours in their order, then others by name.

    Raises
    ------
    ModelError
        Where a folder holds a config.json that can't be used.
    """
    infos = [model_info(path.parent) for path in models_dir.glob(f"*/{CONFIG}")]
    order = {name: index for index, name in enumerate((*NAMES, *OURS))}
    return sorted(infos, key=lambda info: (order.get(info.name, len(order)), info.folder.name))


def save_model(
    folder: Path,
    network: nn.Module,
    config: AnyConfig,
    *,
    preprocess: dict[str, Any],
    reference: str,
    reference_hash: str,
    training: dict[str, Any],
    synthetic: bool,
    card: str,
) -> ModelInfo:
    """Write a model folder: weights in half precision, then the card, config.json last.

    What an older calibration wrote is removed, since it belongs to the older weights. Each file is whole or
    absent; config.json holds the weights' sha256, so that a half-replaced folder is refused at loading.

    Raises
    ------
    ModelError
        Where a weight has no half-precision value.
    """
    import torch
    from safetensors.torch import save

    weights = {name: value.detach().cpu().half().contiguous() for name, value in network.state_dict().items()}
    if lost := [name for name, value in weights.items() if not torch.isfinite(value).all()]:
        raise ModelError(f"{folder}: {lost[0]} is not finite in half precision; expected a converged network")
    content = save(weights)
    raw = {
        "schema": SCHEMA,
        "network": network_config_to_dict(config),
        "preprocess": preprocess,
        "reference": reference,
        "reference_hash": reference_hash,
        "training": training,
        "synthetic": synthetic,
        "weights_sha256": hashlib.sha256(content).hexdigest(),
    }
    for file in (NORMATIVE, DETECTOR, OPERATING):
        (folder / file).unlink(missing_ok=True)
    write_bytes(folder / WEIGHTS, content)
    write_bytes(folder / CARD, card.encode())
    write_bytes(folder / CONFIG, (json.dumps(raw, indent=1) + "\n").encode())
    return model_info(folder)


def build(config: AnyConfig) -> nn.Module:
    """The network that a configuration describes, with fresh weights from torch's global generator."""
    from core.networks.autoencoder import build_network
    from core.networks.restorer import build_restorer

    return build_restorer(config) if isinstance(config, RestorerConfig) else build_network(config)


def load_model(folder: Path, device: str = "auto") -> Model:
    """Load a model folder, float32. Nothing is unpickled.

    Raises
    ------
    ModelError
        Where the weights are no safetensors, or don't fit config.json; or for a device that isn't there.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load

    from core.anomaly.normative import load_normative

    info = model_info(folder)
    target = choose_device(device)
    content = (folder / WEIGHTS).read_bytes()
    try:
        weights = load(content)
    except SafetensorError as error:
        raise ModelError(f"{folder}: {WEIGHTS}: {error}; expected a whole safetensors file") from error
    network = build(info.config)
    expected = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    found = {name: tuple(value.shape) for name, value in weights.items()}
    if found != expected:
        name = min(name for name in found.keys() | expected.keys() if found.get(name) != expected.get(name))
        raise ModelError(
            f"{folder}: {WEIGHTS} does not fit {CONFIG}: {name} is {found.get(name, 'absent')}, "
            f"expected {expected.get(name, 'absent')}"
        )
    written = json.loads((folder / CONFIG).read_bytes())["weights_sha256"]
    if hashlib.sha256(content).hexdigest() != written:
        raise ModelError(
            f"{folder}: {WEIGHTS} is not the file that {CONFIG} was written with (sha256 {written[:12]}…); "
            "train the model again"
        )
    network.load_state_dict({name: value.to(torch.float32) for name, value in weights.items()})
    normative = load_normative(folder / NORMATIVE) if (folder / NORMATIVE).exists() else None
    return Model(info, network.to(target).eval(), normative, target)


def reconstruct(
    model: Model, x: NDArray[np.floating[Any]], precision: Literal["float32", "bfloat16"] = "float32"
) -> NDArray[np.float32]:
    """x̂ of one volume (N, N, N) in [0, 1]; a VAE decodes its mean, so two calls give the same.

    (C, N, N, N) in and out for a network of C channels.

    Float32 unless asked otherwise: bfloat16 is some four times faster on CPUs that have it, but its rounding
    enters the residual, and a z-map should not depend on the machine. For the same reason a CPU computes on
    one thread: sums shared by several end up to 1e-5 apart. Many scans gain by many processes instead.

    Raises
    ------
    ModelError
        For another shape than the network's, a value that is no number, or an unknown precision.
    """
    import torch

    config = model.info.config
    count = config.in_channels if isinstance(config, NetworkConfig) else 1
    expected = ((count,) if count > 1 else ()) + (config.cube,) * 3
    if x.shape != expected:
        raise ModelError(f"x has shape {x.shape}, expected {expected} for model {model.info.name}")
    if not np.isfinite(x).all():
        raise ModelError("x has voxels that are no number, expected values in [0, 1]")
    if precision not in ("float32", "bfloat16"):
        raise ModelError(f"precision is {precision!r}, expected 'float32' or 'bfloat16'")
    seen: list[NDArray[Any]] = [np.ascontiguousarray(x, dtype=np.float32)]
    if model.info.config.kind == "restorer":
        from core.networks.restorer import brain_mask

        seen.append(brain_mask(x))
    batches = [torch.from_numpy(one).reshape(1, count, *expected[-3:]).to(model.device) for one in seen]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with (
            torch.inference_mode(),
            torch.autocast(model.device.type, torch.bfloat16, enabled=precision == "bfloat16"),
        ):
            return model.network(*batches)[0].reshape(expected).float().cpu().numpy()
    finally:
        torch.set_num_threads(threads)


def choose_device(name: str = "auto") -> torch.device:
    """Device by name: "auto" takes cuda, then mps, then cpu.

    Raises
    ------
    ModelError
        For an unknown name, or a device that this machine lacks.
    """
    import torch

    present = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device(next(device for device, there in present.items() if there))
    if name not in present:
        raise ModelError(f"unknown device {name!r}; known are auto, {', '.join(present)}")
    if not present[name]:
        found = ", ".join(device for device, there in present.items() if there)
        raise ModelError(f"device {name!r} is not available; this machine has {found}")
    return torch.device(name)
