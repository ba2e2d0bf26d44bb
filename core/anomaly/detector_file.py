"""A detector as a file: arrays alone, nothing that runs when it is read."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.anomaly.detector import Detector, FineView
from core.anomaly.fusion import Tail
from core.anomaly.library import Library
from core.anomaly.normative import Normative
from core.anomaly.residual import AnomalyError, Mask
from core.io.atomic import write_bytes

FORMAT = 1


def _packed(name: str, model: Normative) -> dict[str, NDArray[np.generic]]:
    known = model.sd > 0
    return {
        f"{name}.shape": np.array(model.sd.shape),
        f"{name}.known": np.packbits(known),
        f"{name}.mean": model.mean[known].astype(np.float16),
        f"{name}.sd": model.sd[known].astype(np.float16),
        f"{name}.n": np.array(model.n),
        f"{name}.voxel_mm": np.array(model.voxel_mm),
    }


def _bits(packed: NDArray[np.uint8], shape: tuple[int, ...]) -> Mask:
    return np.unpackbits(packed, count=int(np.prod(shape))).astype(bool).reshape(shape)


def _unpacked(name: str, arrays: dict[str, NDArray[Any]], smooth_mm: float) -> Normative:
    shape = tuple(int(n) for n in arrays[f"{name}.shape"])
    known = _bits(arrays[f"{name}.known"], shape)
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


def save_detector(detector: Detector, path: Path) -> None:
    """Write .npz, atomically; at 64³ some 1.5 MB with 16 normals."""
    library = detector.library
    arrays: dict[str, NDArray[Any]] = {
        "format": np.array(FORMAT),
        "shape": np.array(detector.shape),
        "voxel_mm": np.array(detector.voxel_mm),
        "smooth_mm": np.array(detector.smooth_mm),
        "power": np.array(detector.power),
        "scales": np.array(detector.scales),
        "library.shape": np.array(library.support.shape),
        "library.support": np.packbits(library.support),
        "library.values": library.values,
        **_tail_arrays("tail", detector.tail),
        **_packed("nonlocal", detector.nonlocal_map),
        **({} if detector.log_map is None else _packed("log", detector.log_map)),
        **({} if detector.fine is None else _fine_arrays(detector.fine)),
    }
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)  # type: ignore[arg-type]
    write_bytes(path, stream.getvalue())


def load_detector(path: Path) -> Detector:
    """Read .npz; nothing is unpickled.

    Raises
    ------
    AnomalyError
        Where the file is missing, no .npz, of another format, or inconsistent.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        if int(arrays["format"]) != FORMAT:
            raise AnomalyError(f"{path.name}: format {arrays['format']}, expected {FORMAT}; calibrate again")
        smooth_mm = float(arrays["smooth_mm"])
        support = _bits(arrays["library.support"], tuple(int(n) for n in arrays["library.shape"]))
        values = arrays["library.values"]
        if values.ndim != 2 or values.shape[1] != int(support.sum()):
            raise AnomalyError(
                f"{path.name}: library of shape {values.shape}, {int(support.sum())} voxels; calibrate again"
            )
        first, second, third = (int(n) for n in arrays["shape"])
        return Detector(
            shape=(first, second, third),
            voxel_mm=float(arrays["voxel_mm"]),
            smooth_mm=smooth_mm,
            library=Library(values, support),
            nonlocal_map=_unpacked("nonlocal", arrays, smooth_mm),
            log_map=_unpacked("log", arrays, smooth_mm) if "log.mean" in arrays else None,
            power=float(arrays["power"]),
            scales=(float(arrays["scales"][0]), float(arrays["scales"][1])),
            tail=_tail("tail", arrays),
            fine=_fine(arrays),
        )
    except (OSError, ValueError, zipfile.BadZipFile, KeyError, EOFError) as error:
        if isinstance(error, AnomalyError):
            raise
        raise AnomalyError(f"{path.name}: {error}; expected a detector as `calibrate` writes it") from error
