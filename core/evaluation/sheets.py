"""Which scans the overlay sheets show, chosen by rule from the evaluation's own table, and their drawing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from core.anomaly.bands import REGION_BANDS
from core.anomaly.channels import t2w
from core.anomaly.regions import flagged_regions
from core.anomaly.residual import volume_z
from core.evaluation.baselines import Cube
from core.evaluation.cohort import ABNORMAL, TRAIN, VALIDATION
from core.evaluation.overlays import Layer, place_sheet, scan_sheet
from core.io.volume import Volume
from core.networks.zoo import NAMES
from core.predictor import Predictor

BEST = "vae_8x8_512"  # the paper's choice (Discussion and conclusion)


@dataclass(frozen=True)
class Choice:
    """One scan for one figure, and why this one."""

    figure: str
    case: str
    group: str
    rule: str


def choices(subjects: pd.DataFrame, model: str) -> list[Choice]:
    """Scans of figures 5 to 7; a figure without a scan in its group is left out.

    The paper's were picked by its radiologist. Here: the training scan and the abnormal scan with most voxels
    beyond 4 SD, and the validation scan of median MSE.
    """
    mine = subjects[subjects["model"] == model].sort_values("case")
    beyond = mine["percent_4"] + mine["percent_-4"]
    found = []
    for figure, group in (("5", TRAIN), ("6", VALIDATION), ("7", ABNORMAL)):
        part = mine[mine["group"] == group]
        if part.empty:
            continue
        if figure == "6":
            order = part["mse"].sort_values(kind="stable").index
            row, rule = order[(len(order) - 1) // 2], "of median MSE"
        else:
            row, rule = beyond[part.index].idxmax(), "with most voxels beyond 4 SD"
        found.append(Choice(figure, str(mine.loc[row, "case"]), group, rule))
    return found


def layer_of(model: Predictor, cube: Cube) -> Layer:
    """A prepared scan with its volume z by one model, as in the paper."""
    x_hat = t2w(model.reconstruct(cube.seen(model.prepare.channels)))
    z = volume_z(cube.x - x_hat, cube.mask)
    return Layer(model.name, cube.x, z, cube.mask)


def flagged_place(layer: Layer, affine: np.ndarray) -> tuple[int, int, int] | None:
    """Peak voxel of the largest region of the highest band that flags any; None where nothing is flagged."""
    regions = flagged_regions(Volume(layer.z, affine), layer.mask, "volume", "sheet")
    if not regions:
        return None
    best = max(regions, key=lambda region: (REGION_BANDS.index(region.band), region.volume_mm3))
    mm = np.array([best.peak_x_mm, best.peak_y_mm, best.peak_z_mm, 1.0])
    i, j, k = (round(float(value)) for value in (np.linalg.inv(affine) @ mm)[:3])
    return i, j, k


def sheets_of(
    subjects: pd.DataFrame,
    models: Sequence[Predictor],
    cube_of: Callable[[str], Cube],
    synthetic: bool,
) -> dict[str, go.Figure]:
    """Figures 5 to 8 by name. ``cube_of`` gives a case's prepared scan."""
    known = {model.name: model for model in models}
    best = known.get(BEST, models[0])

    @cache
    def seen(name: str, case: str) -> Layer:
        return layer_of(known[name], cube_of(case))

    found: dict[str, go.Figure] = {}
    picked = choices(subjects, best.name)
    for choice in picked:
        scan = f"{choice.group} scan {choice.rule}: {choice.case}"
        title = f"Figure {choice.figure}: {scan}, {best.name}, volume z"
        found[f"figure_{choice.figure}"] = scan_sheet(seen(best.name, choice.case), title, synthetic)
    case = next((choice.case for choice in picked if choice.figure == "5"), None)
    if case is None:
        return found
    cube = cube_of(case)
    place = flagged_place(seen(best.name, case), cube.affine)
    if place is not None:
        where = f"axial slice {place[2] + 1}, volume z"
        title = f"Figure 8: one region of {case} in each architecture, {where}"
        layers = [seen(name, case) for name in NAMES if name in known] or [seen(best.name, case)]
        found["figure_8"] = place_sheet(layers, place, cube.voxel_mm, title, synthetic)
    return found
