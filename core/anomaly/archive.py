"""What models know of normals, as .npz: arrays alone, nothing that runs when a file is read."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.anomaly.residual import AnomalyError, Array, Mask
from core.io.atomic import write_bytes

Arrays = dict[str, NDArray[Any]]
# What a missing or damaged file, or one of something else, may raise.
UNREADABLE = (OSError, ValueError, zipfile.BadZipFile, KeyError, EOFError)


def unreadable(path: Path, what: str, error: Exception) -> AnomalyError:
    """The error to raise for one of ``UNREADABLE``; ``what`` was expected."""
    return AnomalyError(f"{path.name}: {error}; expected {what} as `calibrate` writes it")


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write .npz, atomically."""
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)  # type: ignore[arg-type]
    write_bytes(path, stream.getvalue())


def read_arrays(path: Path, what: str, wanted: Callable[[str], bool] = lambda name: True) -> Arrays:
    """Read the ``wanted`` arrays of a .npz; nothing is unpickled, and what is not wanted is not read.

    Raises
    ------
    AnomalyError
        Where the file is missing or no .npz; ``what`` was expected.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files if wanted(name)}
    except UNREADABLE as error:
        raise unreadable(path, what, error) from error


def packed(mean: Array, sd: Array) -> Arrays:
    """A mean and an SD (X, Y, Z) in half precision, of the voxels where the SD is positive."""
    known = sd > 0
    return {
        "shape": np.array(sd.shape),
        "known": np.packbits(known),
        "mean": mean[known].astype(np.float16),
        "sd": sd[known].astype(np.float16),
    }


def bits(values: NDArray[np.uint8], shape: tuple[int, ...]) -> Mask:
    """A mask that was packed by ``numpy.packbits``."""
    return np.unpackbits(values, count=int(np.prod(shape))).astype(bool).reshape(shape)
