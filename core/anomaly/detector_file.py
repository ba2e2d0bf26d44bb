"""A detector as a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.anomaly.archive import UNREADABLE, bits, packed, read_arrays, unreadable, write_arrays
from core.anomaly.deformed import DeformedView, as_library, from_library
from core.anomaly.detector import Detector, FineView
from core.anomaly.fusion import Tail
from core.anomaly.library import Library
from core.anomaly.normative import Normative
from core.anomaly.residual import AnomalyError

FORMAT = 1
WHAT = "a detector"


def _packed(name: str, model: Normative) -> dict[str, NDArray[np.generic]]:
    facts = {"n": np.array(model.n), "voxel_mm": np.array(model.voxel_mm)}
    return {f"{name}.{key}": values for key, values in (packed(model.mean, model.sd) | facts).items()}


def _unpacked(name: str, arrays: dict[str, NDArray[Any]], smooth_mm: float) -> Normative:
    shape = tuple(int(n) for n in arrays[f"{name}.shape"])
    known = bits(arrays[f"{name}.known"], shape)
    mean, sd = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    mean[known], sd[known] = arrays[f"{name}.mean"], arrays[f"{name}.sd"]
    return Normative(mean, sd, int(arrays[f"{name}.n"]), float(arrays[f"{name}.voxel_mm"]), smooth_mm)


def _tail_arrays(name: str, tail: Tail) -> dict[str, NDArray[Any]]:
    return {
        f"{name}.values": tail.values,
        f"{name}.shares": tail.shares,
        f"{name}.scale": np.array(tail.scale),
        f"{name}.shape": np.array(tail.shape),
    }


def _tail(name: str, arrays: dict[str, NDArray[Any]]) -> Tail:
    return Tail(
        arrays[f"{name}.values"],
        arrays[f"{name}.shares"],
        float(arrays[f"{name}.scale"]),
        float(arrays[f"{name}.shape"]),
    )


def _fine_arrays(view: FineView) -> dict[str, NDArray[Any]]:
    return {
        **_packed("contrast", view.contrast_map),
        **_tail_arrays("contrast.tail", view.tail),
        **_tail_arrays("joined.tail", view.joined_tail),
    }


def _fine(arrays: dict[str, NDArray[Any]]) -> FineView | None:
    if "contrast.mean" not in arrays:
        return None
    model = _unpacked("contrast", arrays, 0.0)
    return FineView(model, _tail("contrast.tail", arrays), _tail("joined.tail", arrays))


def _library_arrays(name: str, library: Library) -> dict[str, NDArray[Any]]:
    return {
        f"{name}.shape": np.array(library.support.shape),
        f"{name}.support": np.packbits(library.support),
        f"{name}.values": library.values,
    }


def _library(name: str, arrays: dict[str, NDArray[Any]], file: str) -> Library:
    support = bits(arrays[f"{name}.support"], tuple(int(n) for n in arrays[f"{name}.shape"]))
    values = arrays[f"{name}.values"]
    if values.ndim != 2 or values.shape[1] != int(support.sum()):
        raise AnomalyError(
            f"{file}: {name} of shape {values.shape}, {int(support.sum())} voxels; calibrate again"
        )
    return Library(values, support)


def _deformed_arrays(view: DeformedView) -> dict[str, NDArray[Any]]:
    packed_sd = _packed("deformed", view.model)
    del packed_sd["deformed.mean"]  # a byte a voxel, beside the template
    return {**packed_sd, **_library_arrays("deformed.levels", as_library(view))}


def _deformed(arrays: dict[str, NDArray[Any]], file: str) -> DeformedView | None:
    if "deformed.sd" not in arrays:
        return None
    levels = _library("deformed.levels", arrays, file)
    if len(levels.values) != 2:
        raise AnomalyError(
            f"{file}: deformed.levels of {len(levels.values)} maps, expected 2; calibrate again"
        )
    there = {**arrays, "deformed.mean": np.zeros_like(arrays["deformed.sd"])}
    return from_library(levels, _unpacked("deformed", there, 0.0))


def save_detector(detector: Detector, path: Path) -> None:
    """Write .npz, atomically; at 64³ some 1.6 MB with 16 normals and a deformed view."""
    arrays: dict[str, NDArray[Any]] = {
        "format": np.array(FORMAT),
        "shape": np.array(detector.shape),
        "voxel_mm": np.array(detector.voxel_mm),
        "smooth_mm": np.array(detector.smooth_mm),
        "power": np.array(detector.power),
        "scales": np.array(detector.scales),
        **_library_arrays("library", detector.library),
        **_tail_arrays("tail", detector.tail),
        **_packed("nonlocal", detector.nonlocal_map),
        **({} if detector.log_map is None else _packed("log", detector.log_map)),
        **({} if detector.fine is None else _fine_arrays(detector.fine)),
        **({} if detector.deformed is None else _deformed_arrays(detector.deformed)),
    }
    write_arrays(path, arrays)


def load_detector(path: Path) -> Detector:
    """Read .npz; nothing is unpickled.

    Raises
    ------
    AnomalyError
        Where the file is missing, no .npz, of another format, or inconsistent.
    """
    arrays = read_arrays(path, WHAT)
    try:
        if int(arrays["format"]) != FORMAT:
            raise AnomalyError(f"{path.name}: format {arrays['format']}, expected {FORMAT}; calibrate again")
        smooth_mm = float(arrays["smooth_mm"])
        first, second, third = (int(n) for n in arrays["shape"])
        return Detector(
            shape=(first, second, third),
            voxel_mm=float(arrays["voxel_mm"]),
            smooth_mm=smooth_mm,
            library=_library("library", arrays, path.name),
            nonlocal_map=_unpacked("nonlocal", arrays, smooth_mm),
            log_map=_unpacked("log", arrays, smooth_mm) if "log.mean" in arrays else None,
            power=float(arrays["power"]),
            scales=tuple(float(scale) for scale in arrays["scales"]),
            tail=_tail("tail", arrays),
            fine=_fine(arrays),
            deformed=_deformed(arrays, path.name),
        )
    except AnomalyError:
        raise
    except UNREADABLE as error:
        raise unreadable(path, WHAT, error) from error
