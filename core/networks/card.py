"""MODEL_CARD.md: what a reader must know before trusting a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from core.networks.config import AnyConfig, NetworkConfig, network_config_to_dict

CITATION = (
    "Raad et al. Unsupervised abnormality detection in neonatal MRI brain scans using deep learning. "
    "Scientific Reports 13 (2023). https://doi.org/10.1038/s41598-023-38430-0"
)
SYNTHETIC = (
    "> **Synthetic data only.** This model has never seen a newborn's scan: it was trained on a synthetic, "
    "newborn-like cohort\n> made from an adult template. It shows how Fontanelle works; its findings say "
    "nothing about a patient."
)


RESTORER_CITATION = (
    "Naval Marimont & Tarroni. Achieving state-of-the-art performance in the Medical Out-of-Distribution "
    "(MOOD) challenge using plausible synthetic anomalies (2023), https://arxiv.org/abs/2308.01412. "
    "Naval Marimont et al. Ensembled cold-diffusion restorations for unsupervised anomaly detection. MICCAI "
    "(2024), https://arxiv.org/abs/2407.06635"
)
RESTORER_SOURCE = (
    "Not one of the paper's eight. It learned from normals only: regions of random place, size, shape and",
    "intensity are put into a normal scan, and the network learns to take them back. The idea is from works",
    "cited below; here one step restores, on log intensity, with its normative z among the training normals",
    "beside it. No lesion and no label took part.",
    "",
)
METRICS = "## Metrics"
TWO_CHANNELS = (
    "Not one of the paper's eight: T1w and T2w together, which the paper names as future work. It needs both",
    "scans of a session. Its volume z, MSE and overlay are those of the T2w; its normative z joins both",
    "residuals, T2w less T1w.",
    "",
)
AUTOENCODER_LIMITS = (
    "- Trained on few normals, it reconstructs fine folds as blur: residuals at the cortex are normal.",
    "- A wide bottleneck may reproduce an abnormality, so that it leaves no residual.",
)
RESTORER_LIMITS = (
    "- It finds what looks like its synthetic corruption: changed intensity within an outline. Anatomy that",
    "  is misshapen or missing, but of normal intensity, may stay as it is.",
    "- Spots of a radius under two voxels or so (4 mm at 64³) are as a rule not restored, so not found.",
    "- It sees the scan itself, so a small residual doesn't prove that a region is as expected.",
    "- A scan of another anatomy or contrast than its training normals' lies outside its training.",
)


def describe(config: AnyConfig) -> str:
    """One sentence on a network."""
    if not isinstance(config, NetworkConfig):
        return (
            f"3D U-Net that restores what looks corrupted: {config.cube}³ voxels in, {config.levels} "
            f"resolutions of {config.channels[0]} to {config.channels[-1]} channels, {config.cube}³ out."
        )
    kind = "Variational 3D residual autoencoder" if config.kind == "vae" else "3D residual autoencoder"
    k = config.bottleneck
    nodes = f", variational layer of {config.latent} nodes" if config.kind == "vae" else ""
    seen = " of T2w and T1w each" if config.in_channels == 2 else ""
    return f"{kind}: {config.cube}³ voxels{seen} in, bottleneck {k}×{k}×{k}{nodes}, {config.cube}³{seen} out."


def table(facts: Mapping[str, Any]) -> list[str]:
    return ["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in facts.items())]


def model_card(
    config: AnyConfig,
    training: Mapping[str, Any],
    preprocess: Mapping[str, Any],
    *,
    synthetic: bool,
    normative: Mapping[str, Any] | None = None,
) -> str:
    """Markdown text of a model card, without metrics (``with_metrics``).

    ``training``: as ``training.training_record`` gives it. ``normative``: facts on the held-out normals; None
    before calibration.
    """
    restorer = config.kind == "restorer"
    two = isinstance(config, NetworkConfig) and config.in_channels == 2
    measured = "MSE of restored corruption" if restorer else "MSE of both channels" if two else "MSE"
    settings = dict(training["settings"])
    facts = {
        "Data": training["data"],
        "Normals": f"{training['n_train']} for training, {training['n_validation']} for validation",
        "Epochs": f"{training['epochs']}, weights of epoch {training['kept_epoch']}",
        "Steps": training["steps"],
        "Time": f"{training['minutes']} minutes",
        f"Training {measured}": f"{training['train_mse']:.5f}",
        f"Validation {measured}": f"{training['val_mse']:.5f} (these normals also chose the epoch)"
        if settings["keep"] == "best"
        else f"{training['val_mse']:.5f}",
        "Date": training["date"],
    }
    if config.kind == "vae":
        facts["KL"] = f"{training['kl']:.0f} nats a volume"
    lines = [f"# {config.name}", "", describe(config), ""]
    if restorer:
        lines += RESTORER_SOURCE
    if two:
        lines += TWO_CHANNELS
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
        "Network: "
        + ", ".join(f"{name} {value}" for name, value in network_config_to_dict(config).items())
        + ".",
        "",
        "## Calibration",
    ]
    lines += table(normative) if normative is not None else ["Not calibrated yet: no normative z."]
    lines += [
        "",
        METRICS,
        "None measured yet beyond the training table.",
        "",
        "## Limits",
        *(RESTORER_LIMITS if restorer else AUTOENCODER_LIMITS),
        "- Other ages, contrasts, resolutions or preprocessing give residuals that are no finding.",
        "- A clean map doesn't rule out an abnormality.",
        "",
        "## Citation",
        f"Method: {RESTORER_CITATION if restorer else CITATION}",
        "",
    ]
    return "\n".join(lines)


def with_metrics(card: str, metrics: Sequence[tuple[str, str, str]]) -> str:
    """A card with its section Metrics replaced by (name, value, command that gives it); the rest as it is.

    So what a copy's card tells of another site's normals or of an operating point stays. A card without the
    section gets it at its end.
    """
    lines = card.rstrip("\n").split("\n")
    start = lines.index(METRICS) if METRICS in lines else len(lines)
    end = next((n for n in range(start + 1, len(lines)) if lines[n].startswith("## ")), len(lines))
    rows = [f"| {name} | {value} | `{command}` |" for name, value, command in metrics]
    table = ["| metric | value | command |", "|---|---|---|", *rows]
    before = lines[:start] if start < len(lines) else [*lines, ""]
    return "\n".join([*before, METRICS, *table, "", *lines[end:]]).rstrip("\n") + "\n"
