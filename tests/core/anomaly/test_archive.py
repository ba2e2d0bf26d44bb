"""Files of arrays: what is asked for and no more, and the name of what can't be read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from core.anomaly.archive import bits, packed, read_arrays, write_arrays
from core.anomaly.residual import AnomalyError

SHAPE = (3, 5, 4)


def test_only_voxels_that_normals_cover_are_kept(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    mean = rng.normal(size=SHAPE).astype(np.float32)
    sd = np.where(rng.random(SHAPE) < 0.5, 0, 1.5).astype(np.float32)
    write_arrays(tmp_path / "maps.npz", packed(mean, sd))
    read = read_arrays(tmp_path / "maps.npz", "maps")
    known = bits(read["known"], tuple(read["shape"]))
    np.testing.assert_array_equal(known, sd > 0)
    np.testing.assert_array_equal(read["sd"], sd[known])
    np.testing.assert_allclose(read["mean"], mean[known], rtol=1e-3)


def test_what_is_not_wanted_is_left(tmp_path: Path) -> None:
    write_arrays(tmp_path / "two.npz", {"small": np.arange(3), "large": np.zeros(SHAPE)})
    assert list(read_arrays(tmp_path / "two.npz", "two", lambda name: name != "large")) == ["small"]


@pytest.mark.parametrize("content", [None, b"", b"no archive"])
def test_what_cannot_be_read_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "model.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(AnomalyError, match=r"^model\.npz: .*; expected a model as `calibrate` writes it$"):
        read_arrays(path, "a model")
