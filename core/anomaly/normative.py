"""A model's residuals in held-out normals: the voxel-wise mean and SD behind the normative z."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from core.anomaly.archive import UNREADABLE, Arrays, bits, packed, read_arrays, unreadable, write_arrays
from core.anomaly.bands import REGION_BANDS
from core.anomaly.residual import AnomalyError, Array, Mask, check_mask, normative_z

SMOOTH_Z_MM = 2.0  # σ; one voxel of 64³
VARIANCE_SIGMA = 1.5  # voxels
SD_FLOOR = 0.3  # of the median SD
FORMAT = 1
WHAT = "a normative model"
_ARRAYS = ("mean", "sd")
_MAPS = ("known", *_ARRAYS)
_FLOATS = ("voxel_mm", "smooth_z_mm", "z_scale", "floor_mm3")


@dataclass(frozen=True, eq=False)
class Normative:
    """Voxel-wise mean and SD of held-out normals' residuals.

    ``mean``, ``sd``: (N, N, N) float32, in the units of the residual; ``sd`` is 0 where no normal has brain.
    ``n``: normals they come from. ``voxel_mm``: the cube's spacing. ``smooth_z_mm``: σ of the Gaussian that
    smooths the signed z. ``z_scale``: SD of the smoothed z in normals, each left out of its own mean and SD;
    z is divided by it. ``validation``: by name, one value for each of the normals; its region counts are
    of regions of ``floor_mm3`` or more.
    """

    mean: Array
    sd: Array
    n: int
    voxel_mm: float
    smooth_z_mm: float
    z_scale: float = 1.0
    floor_mm3: float = 0.0
    validation: Mapping[str, NDArray[np.floating]] = field(default_factory=dict)


def fit_once(
    residuals: Sequence[Array], masks: Sequence[Mask], voxel_mm: float, smooth_z_mm: float
) -> Normative:
    """Fit on all normals as ``fit_normative`` does, without leaving any out: ``z_scale`` stays 1.

    Raises
    ------
    AnomalyError
        Where no two normals share a brain voxel, or all are the same.
    """
    count = np.zeros(residuals[0].shape, np.float32)
    total, squares = np.zeros_like(count), np.zeros_like(count)
    for values, inside in zip(residuals, masks, strict=True):
        count += inside
        total += np.where(inside, values, 0)
    mean = np.divide(total, count, out=np.zeros_like(total), where=count > 0)
    for values, inside in zip(residuals, masks, strict=True):
        squares += np.where(inside, np.square(values - mean), 0)
    # Pooled over neighbours by degrees of freedom (n − 1): a voxel of one normal says nothing by itself.
    freedom = gaussian_filter(np.maximum(count - 1, 0), VARIANCE_SIGMA, mode="constant")
    pooled = gaussian_filter(squares, VARIANCE_SIGMA, mode="constant")
    known = (count > 0) & (freedom > 1e-3)
    if not known.any():
        raise AnomalyError("no two normals share a brain voxel; expected masks on one reference grid")
    sd = np.zeros_like(count)
    sd[known] = np.sqrt(pooled[known] / freedom[known])
    middle = float(np.median(sd[known]))
    if middle <= 0:
        raise AnomalyError("the normals' residuals are all the same; expected different scans")
    sd[known] = np.maximum(sd[known], SD_FLOOR * middle)
    return Normative(np.where(known, mean, 0).astype(np.float32), sd, len(residuals), voxel_mm, smooth_z_mm)


def halved(model: Normative) -> Normative:
    """Mean and SD as a file keeps them, so that a detector gives the same z before and after."""
    mean, sd = (values.astype(np.float16).astype(np.float32) for values in (model.mean, model.sd))
    return replace(model, mean=mean, sd=sd)


def _check(residuals: Sequence[Array], masks: Sequence[NDArray[np.generic]]) -> list[Mask]:
    if len(residuals) != len(masks):
        raise AnomalyError(f"{len(residuals)} residuals with {len(masks)} masks; expected one each")
    if len(residuals) < 3:
        raise AnomalyError(f"{len(residuals)} held-out normals; expected 3 or more (the paper has 9)")
    for values in residuals:
        if values.shape != residuals[0].shape:
            raise AnomalyError(
                f"residuals of shapes {residuals[0].shape} and {values.shape}; expected one grid"
            )
    return [check_mask(values, mask, "residual") for values, mask in zip(residuals, masks, strict=True)]


def fit_normative(
    residuals: Sequence[Array],
    masks: Sequence[NDArray[np.generic]],
    voxel_mm: float,
    smooth_z_mm: float = SMOOTH_Z_MM,
) -> tuple[Normative, list[Normative]]:
    """Fit on all normals, and once without each of them.

    Inside the masks: mean and SD voxel by voxel (n − 1), variance smoothed by 1.5 voxels, SD at least 0.3 of
    its median. Each normal's z against the others gives ``z_scale`` (root mean square), so that 1 is one SD
    of unseen normals however much the smoothing took. Returns the model, and the leave-one-out models in the
    order of ``residuals``, each with the scale that the others' z gives. That scale is not wholly independent
    of the normal left out: each other normal's z comes from a model that contains it.

    Raises
    ------
    AnomalyError
        On fewer than 3 normals, unequal shapes, empty masks, or residuals without variation.
    """
    inside = _check(residuals, masks)

    def others(indices: list[int]) -> Normative:
        return fit_once([residuals[i] for i in indices], [inside[i] for i in indices], voxel_mm, smooth_z_mm)

    everyone = list(range(len(residuals)))
    left_out = [others([j for j in everyone if j != i]) for i in everyone]
    squares = []
    for values, mask, model in zip(residuals, inside, left_out, strict=True):
        z = normative_z(values, model, mask)
        squares.append(float(np.mean(np.square(z[mask & (model.sd > 0)], dtype=np.float64))))
    # Its own z is left out of a normal's scale. The others' z still come from models that hold this normal:
    # the scale is not independent of it; for that, each pair would have to be left out.
    loo = [
        replace(model, z_scale=float(np.sqrt(np.mean([squares[j] for j in everyone if j != i]))))
        for i, model in enumerate(left_out)
    ]
    return replace(others(everyone), z_scale=float(np.sqrt(np.mean(squares)))), loo


def save_normative(normative: Normative, path: Path) -> None:
    """Write .npz, atomically: half precision, voxels where ``sd`` is positive only."""
    arrays: dict[str, NDArray[np.generic]] = {
        "format": np.array(FORMAT),
        "n": np.array(normative.n),
        **{name: np.array(getattr(normative, name)) for name in _FLOATS},
        **packed(normative.mean, normative.sd),
    }
    for name, values in normative.validation.items():
        arrays[f"validation.{name}"] = np.asarray(values, np.float64)
    write_arrays(path, arrays)


def _validation(arrays: Arrays) -> dict[str, NDArray[np.floating]]:
    return {name.split(".", 1)[1]: arrays[name] for name in arrays if name.startswith("validation.")}


def load_normative(path: Path) -> Normative:
    """Read .npz; nothing is unpickled.

    Raises
    ------
    AnomalyError
        Where the file is missing, no .npz, of another format, or inconsistent.
    """
    arrays = read_arrays(path, WHAT)
    plain = {name for name in arrays if not name.startswith("validation.")}
    expected = {"format", "n", "shape", "known", *_FLOATS, *_ARRAYS}
    if plain != expected or int(arrays["format"]) != FORMAT:
        raise AnomalyError(
            f"{path.name}: not a normative model of format {FORMAT}; calibrate the model again"
        )
    shape = tuple(int(n) for n in arrays["shape"])
    size = int(np.prod(shape))
    if len(shape) != 3 or arrays["known"].size != (size + 7) // 8:
        raise AnomalyError(f"{path.name}: mask does not fit shape {shape}; calibrate the model again")
    known = bits(arrays["known"], shape)
    maps = {}
    for name in _ARRAYS:
        values = arrays[name]
        if values.shape != (int(known.sum()),) or not np.isfinite(values).all():
            raise AnomalyError(
                f"{path.name}: {name} has shape {values.shape}; expected {int(known.sum())} finite values"
            )
        maps[name] = np.zeros(shape, np.float32)
        maps[name][known] = values
    if (maps["sd"][known] <= 0).any():
        raise AnomalyError(f"{path.name}: an SD of 0; expected positive SDs")
    validation = _validation(arrays)
    n = int(arrays["n"])
    if any(values.shape != (n,) for values in validation.values()):
        raise AnomalyError(f"{path.name}: validation values do not number {n}; calibrate the model again")
    scalars = {name: float(arrays[name]) for name in _FLOATS}
    return Normative(maps["mean"], maps["sd"], n, validation=validation, **scalars)


def false_alarms(
    normative: Normative | None, maps: Sequence[str], floor_mm3: float
) -> dict[str, dict[str, float]]:
    """Mean flagged regions a scan in the validation normals, by map and region band.

    Empty where there is no normative model, or its regions were counted with another floor.
    """
    if normative is None or normative.floor_mm3 != floor_mm3:
        return {}
    return {
        name: {band: float(np.mean(normative.validation[region_count(name, band)])) for band in REGION_BANDS}
        for name in maps
        if region_count(name, REGION_BANDS[0]) in normative.validation
    }


def uncovered_percent(normative: Normative, mask: NDArray[np.generic]) -> float:
    """Percentage of the mask's voxels where no normal has brain, so that their normative z is 0.

    Raises
    ------
    AnomalyError
        On another shape or an empty mask.
    """
    inside = check_mask(normative.sd, mask, "normative model")
    return 100.0 * float(np.mean(normative.sd[inside] == 0))


def region_count(name: str, band: str) -> str:
    """Key in ``validation`` of the regions a scan of one map and band."""
    return f"regions_{name}_{band}"


def region_volume(name: str, band: str) -> str:
    """Key in ``validation`` of the mm³ of those regions together."""
    return f"mm3_{name}_{band}"


def band_share(name: str, band: str) -> str:
    """Key in ``validation`` of the percentage of brain voxels in one of the paper's bands of a map."""
    return f"percent_{name}_{band}"


def band_cluster(name: str, band: str) -> str:
    """Key in ``validation`` of the mean size (voxels) of that band's slice-wise clusters."""
    return f"cluster_{name}_{band}"


@dataclass(frozen=True, eq=False)
class Validation:
    """What the validation normals of a model measure: ``values`` by name, one for each of ``n`` normals."""

    n: int
    floor_mm3: float  # of the flagged regions
    values: Mapping[str, NDArray[np.floating]]


def read_validation(path: Path) -> Validation:
    """The validation normals' values of a normative model; its maps are not read.

    Raises
    ------
    AnomalyError
        Where the file is missing, no .npz, or of another format.
    """
    arrays = read_arrays(path, WHAT, lambda name: name not in _MAPS)
    try:
        if int(arrays["format"]) != FORMAT:
            raise AnomalyError(f"{path.name}: not a normative model of format {FORMAT}; calibrate again")
        return Validation(int(arrays["n"]), float(arrays["floor_mm3"]), _validation(arrays))
    except AnomalyError:
        raise
    except UNREADABLE as error:
        raise unreadable(path, WHAT, error) from error
