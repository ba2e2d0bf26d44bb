"""MODEL_CARD.md: what a reader must know before trusting a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from core.networks.config import NetworkConfig

CITATION = (
    "Raad et al. Unsupervised abnormality detection in neonatal MRI brain scans using deep learning. "
    "Scientific Reports 13 (2023). https://doi.org/10.1038/s41598-023-38430-0"
)
SYNTHETIC = (
    "> **Synthetic data only.** This model has never seen a newborn's scan: it was trained on a synthetic, "
    "newborn-like cohort\n> made from an adult template. It shows how Fontanelle works; its findings say "
    "nothing about a patient."
)


def describe(config: NetworkConfig) -> str:
    """One sentence on a network."""
    kind = "Variational 3D residual autoencoder" if config.kind == "vae" else "3D residual autoencoder"
    k = config.bottleneck
    nodes = f", variational layer of {config.latent} nodes" if config.kind == "vae" else ""
    return f"{kind}: {config.cube}³ voxels in, bottleneck {k}×{k}×{k}{nodes}, {config.cube}³ out."


def table(facts: Mapping[str, Any]) -> list[str]:
    return ["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in facts.items())]


def model_card(
    config: NetworkConfig,
    training: Mapping[str, Any],
    preprocess: Mapping[str, Any],
    *,
    synthetic: bool,
    normative: Mapping[str, Any] | None = None,
    metrics: Sequence[tuple[str, str, str]] = (),
) -> str:
    """Markdown text of a model card.

    ``training``: as ``training.training_record`` gives it. ``normative``: facts on the held-out normals; None
    before calibration. ``metrics``: (name, value, command that gives it).
    """
    settings = dict(training["settings"])
    facts = {
        "Data": training["data"],
        "Normals": f"{training['n_train']} for training, {training['n_validation']} for validation",
        "Epochs": f"{training['epochs']}, weights of epoch {training['kept_epoch']}",
        "Steps": training["steps"],
        "Time": f"{training['minutes']} minutes",
        "Training MSE": f"{training['train_mse']:.5f}",
        "Validation MSE": f"{training['val_mse']:.5f} (these normals also chose the epoch)"
        if settings["keep"] == "best"
        else f"{training['val_mse']:.5f}",
        "Date": training["date"],
    }
    if config.kind == "vae":
        facts["KL"] = f"{training['kl']:.0f} nats a volume"
    lines = [f"# {config.name}", "", describe(config), ""]
    if synthetic:
        lines += [SYNTHETIC, ""]
    lines += [
        "**Not a medical device.** Research software; not for diagnosis, triage or treatment.",
        "",
        "## Intended use",
        "Research on unsupervised abnormality detection in T2-weighted newborn brain MRI, and teaching. The",
        "model redraws a scan as a normal brain; what it can't redraw is shown for a person to judge.",
        "",
        "## Training",
        *table(facts),
        "",
        "Settings: " + ", ".join(f"{name} {value}" for name, value in settings.items()) + ".",
        "",
        "Inputs: " + ", ".join(f"{name} {value}" for name, value in preprocess.items()) + ".",
        "",
        "Network: " + ", ".join(f"{name} {value}" for name, value in asdict(config).items()) + ".",
        "",
        "## Calibration",
    ]
    lines += table(normative) if normative is not None else ["Not calibrated yet: no normative z."]
    lines += ["", "## Metrics"]
    if metrics:
        lines += ["| metric | value | command |", "|---|---|---|"]
        lines += [f"| {name} | {value} | `{command}` |" for name, value, command in metrics]
    else:
        lines += ["None measured yet beyond the training table."]
    lines += [
        "",
        "## Limits",
        "- Trained on few normals, it reconstructs fine folds as blur: residuals at the cortex are normal.",
        "- A wide bottleneck may reproduce an abnormality, so that it leaves no residual.",
        "- Other ages, contrasts, resolutions or preprocessing give residuals that are no finding.",
        "- A clean map doesn't rule out an abnormality.",
        "",
        "## Citation",
        f"Method: {CITATION}",
        "",
    ]
    return "\n".join(lines)
