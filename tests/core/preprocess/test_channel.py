"""A T1w in the T2w's cube: the right place after one interpolation, the same mask, its own contrast."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from core.io.volume import Volume
from core.preprocess.channel import prepare_channel
from core.preprocess.errors import PrepareError
from core.preprocess.pipeline import Prepared, PrepareSettings
from core.preprocess.register import cube_affine
from core.preprocess.resample import index_map, resample_masked
from tests.core.preprocess.phantom import centred, grid, intensity, reference
from tests.core.preprocess.test_align import SHAPE, offset, t1w, t2w

CUBE = 32
SETTINGS = PrepareSettings(cube=CUBE, bias="none", channels=("T2w", "T1w"))


def to_reference() -> np.ndarray:
    """An affine such as registration gives, T2w mm to reference mm."""
    matrix = np.diag([1.05, 0.97, 1.02, 1.0])
    matrix[:3, 3] = (2, -1, 3)
    return matrix


def prepared() -> Prepared:
    scan, inside = t2w()
    affine = cube_affine(reference(), CUBE)
    to_scan = index_map(scan.affine, affine, np.linalg.inv(to_reference()))
    data, mask = resample_masked(scan.data, inside, to_scan, (CUBE,) * 3)
    return Prepared(
        scan=scan,
        mask=scan.with_data(inside.astype(np.float32)),
        cube=Volume(data / data.max(), affine),
        cube_mask=Volume(mask, affine),
        scan_to_reference=to_reference(),
        mask_source="given",
        overlap=1.0,
        times={},
        qc=b"",
    )


def test_t1w_of_another_grid_shows_the_cubes_anatomy() -> None:
    made = prepared()
    shape = (66, 70, 76)
    other = t1w(shape, centred(shape, np.diag([1.9, 2.1, 1.7])), np.linalg.inv(offset()))
    channel = prepare_channel(other, "T1w", made, SETTINGS, "synthetic")
    inside = made.cube_mask.data > 0
    assert channel.moved
    assert channel.cube.data[inside].min() == 0
    assert channel.cube.data[inside].max() == 1
    assert (channel.cube.data[~inside] == 0).all()
    # What lies at each voxel of the cube is known: cube to T2w mm to phantom.
    back = np.linalg.inv(to_reference())
    mm = grid((CUBE,) * 3, made.cube.affine) @ back[:3, :3].T + back[:3, 3]
    deep = inside & (((mm / np.array((40, 48, 38))) ** 2).sum(axis=-1) < 1)
    assert np.corrcoef(channel.cube.data[deep], intensity(mm)[deep])[0, 1] < -0.75
    assert Image.open(io.BytesIO(channel.qc)).size[1] > 4 * 220


def test_shared_grid_is_sampled_as_the_t2w_is() -> None:
    made = prepared()
    # The T2w itself under another name: no offset is found, so voxels must agree.
    channel = prepare_channel(made.scan, "T1w", made, SETTINGS)
    inside = made.cube_mask.data > 0
    low, high = made.cube.data[inside].min(), made.cube.data[inside].max()
    assert not channel.moved
    assert np.allclose(channel.cube.data[inside], (made.cube.data[inside] - low) / (high - low), atol=1e-5)


def test_a_scan_without_contrast_is_named() -> None:
    made = prepared()
    flat = made.scan.with_data(np.full(SHAPE, 7.0))
    with pytest.raises(PrepareError, match=r"^T1w: "):
        prepare_channel(flat, "T1w", made, SETTINGS)


def test_t1w_below_zero_is_refused_by_name() -> None:
    made = prepared()
    inside = made.mask.data > 0
    shifted = made.scan.with_data(made.scan.data - np.median(made.scan.data[inside]))
    with pytest.raises(
        PrepareError, match=r"^T1w: intensity: [45]\d\.\d% of the brain's voxels are negative"
    ):
        prepare_channel(shifted, "T1w", made, SETTINGS)
