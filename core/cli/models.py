"""``models``: what is in the models folder, and the names that can be trained."""

from __future__ import annotations

from typing import Annotated

import typer

from core.cli.console import say_json
from core.config import settings
from core.networks.config import T1T2
from core.networks.zoo import NAMES, OURS, list_models


def command(
    names: Annotated[bool, typer.Option("--names", help="The eight names only, one a line")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout")] = False,
) -> None:
    """List the paper's eight networks and ours beside them, and which of them are here.

    Example: python -m core models --json
    """
    if names:
        print("\n".join(NAMES))
        return
    infos = {info.name: info for info in list_models(settings().models_dir)}
    if as_json:
        say_json(
            [
                {
                    "name": info.name,
                    "folder": str(info.folder),
                    "cube": info.config.cube,
                    "synthetic": info.synthetic,
                    "calibrated": (info.folder / "normative.npz").exists(),
                    "hash": info.hash,
                    "training": info.training,
                }
                for info in infos.values()
            ]
        )
        return
    for name in dict.fromkeys([*NAMES, *OURS, T1T2, *infos]):
        if name not in infos:
            print(f"{name:<16} not trained")
            continue
        info = infos[name]
        calibrated = "calibrated" if (info.folder / "normative.npz").exists() else "not calibrated"
        data = "synthetic data" if info.synthetic else info.training["data"]
        error = info.training["val_mse"]
        # A restorer's is of another task, not to be compared with an autoencoder's.
        two = getattr(info.config, "in_channels", 1) == 2
        measure = "MSE of both channels" if two else "MSE"
        measure = "MSE of restored corruption" if info.config.kind == "restorer" else measure
        print(f"{name:<16} {info.config.cube}³  {data}  validation {measure} {error:.5f}  {calibrated}")
