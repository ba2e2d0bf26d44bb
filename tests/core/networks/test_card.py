"""The model card says what a reader must know."""

from __future__ import annotations

from typing import Any

from core.networks.card import describe, model_card, with_metrics
from core.networks.config import model_config, network_config

TRAINING: dict[str, Any] = {
    "data": "fontanelle-demo",
    "n_train": 80,
    "n_validation": 9,
    "epochs": 50,
    "kept_epoch": 47,
    "steps": 4000,
    "minutes": 8.2,
    "train_mse": 0.00251,
    "val_mse": 0.003456,
    "kl": 321.4,
    "date": "2026-01-02",
    "settings": {"learning_rate": 0.002, "keep": "best"},
}


def card(name: str = "vae_8x8_512", **changes: Any) -> str:
    options: dict[str, Any] = {"synthetic": True, **changes}
    return model_card(network_config(name), TRAINING, {"cube": 64, "bias": "n4"}, **options)


def test_describe() -> None:
    assert describe(network_config("vae_8x8_512", 256)) == (
        "Variational 3D residual autoencoder: 256³ voxels in, bottleneck 8×8×8, "
        "variational layer of 512 nodes, 256³ out."
    )
    assert "variational" not in describe(network_config("std_16x16")).lower()


def test_synthetic_is_said_before_anything_else_and_only_if_true() -> None:
    text = card()
    assert text.index("**Synthetic data only.**") < text.index("## Intended use")
    assert "Synthetic data only" not in card(synthetic=False)


def test_facts_limits_and_citation() -> None:
    text = card()
    for phrase in (
        "# vae_8x8_512",
        "Not a medical device",
        "| Normals | 80 for training, 9 for validation |",
        "| Epochs | 50, weights of epoch 47 |",
        "| Validation MSE | 0.00346 (these normals also chose the epoch) |",
        "| KL | 321 nats a volume |",
        "bias n4",
        "10.1038/s41598-023-38430-0",
        "Not calibrated yet",
        "## Limits",
    ):
        assert phrase in text, phrase
    assert "| KL |" not in card("std_8x8")


def test_calibration_and_metrics_are_the_callers() -> None:
    text = with_metrics(card(normative={"Normals": 9}), [("AUC", "0.81", "python -m core evaluate")])
    assert "| Normals | 9 |" in text
    assert "| AUC | 0.81 | `python -m core evaluate` |" in text
    assert "Not calibrated" not in text


def test_metrics_are_replaced_and_nothing_else() -> None:
    bare = card(normative={"Normals": 9})
    copied = bare.replace("\n\n", "\n\nCopy of vae_8x8_512, changed as told below.\n", 1)
    copied += "\n## Another site's normals\nCalibrated on 12 normals.\n\n## Operating point\n- band 3-4\n"
    first = with_metrics(copied, [("AP", "0.4", "evaluate"), ("AUC", "0.8", "evaluate")])
    row = "| AP | 0.4 | `evaluate` |"
    assert (
        first.replace(
            f"| metric | value | command |\n|---|---|---|\n{row}\n| AUC | 0.8 | `evaluate` |",
            "None measured yet beyond the training table.",
        )
        == copied
    )
    again = with_metrics(first, [("AP", "0.5", "evaluate")])
    assert row not in again
    assert again == with_metrics(copied, [("AP", "0.5", "evaluate")])
    assert with_metrics("# bare\n", [("AP", "0.4", "evaluate")]) == (
        f"# bare\n\n## Metrics\n| metric | value | command |\n|---|---|---|\n{row}\n"
    )


def test_restorer_says_what_it_is_and_whence() -> None:
    text = model_card(model_config("restorer"), TRAINING, {"cube": 64}, synthetic=True)
    for phrase in (
        "3D U-Net that restores what looks corrupted: 64³ voxels in, 4 resolutions of 8 to 64 channels, ",
        "Not one of the paper's eight",
        "No lesion and no label took part",
        "Synthetic data only",
        "| Validation MSE of restored corruption |",
        "lies outside its training",
        "Spots of a radius under two voxels",
        "arxiv.org/abs/2308.01412",
        "arxiv.org/abs/2407.06635",
    ):
        assert phrase in text, phrase
    for phrase in ("A wide bottleneck", "10.1038/s41598-023-38430-0", "| KL |"):
        assert phrase not in text, phrase
    assert "Not one of the paper's eight" not in card()


def test_two_channels_say_what_is_of_both() -> None:
    text = model_card(model_config("vae_8x8_512_t1t2"), TRAINING, {"cube": 64}, synthetic=True)
    for phrase in (
        "64³ voxels of T2w and T1w each in",
        "the paper names as future work",
        "| Validation MSE of both channels | 0.00346",
        "volume z, MSE and overlay are those of the T2w",
    ):
        assert phrase in text, phrase
    assert "T1w" not in card()
