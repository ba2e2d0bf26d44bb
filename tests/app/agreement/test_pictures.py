"""The ring lies on the region's peak in every plane."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from app.agreement.pictures import aspect, ringed
from app.review.slices import Plane, cut


@pytest.mark.parametrize("plane", ["axial", "coronal", "sagittal"])
def test_the_ring_is_centred_on_the_voxel_as_the_slice_is_cut(plane: Plane) -> None:
    shape, voxel = (20, 26, 22), (4, 19, 6)
    data = np.zeros(shape, np.uint8)
    data[voxel] = 255
    index = {"axial": voxel[2], "coronal": voxel[1], "sagittal": voxel[0]}[plane]
    picture = Image.fromarray(cut(data, plane, index)).resize((400, 400), Image.Resampling.NEAREST)
    stream = BytesIO()
    picture.save(stream, "PNG")
    assert aspect(stream.getvalue()) == 1.0
    drawn = np.asarray(Image.open(BytesIO(ringed(stream.getvalue(), plane, voxel, shape, 40.0))))
    white = np.argwhere((drawn == 255).all(axis=2))
    yellow = np.argwhere((drawn[..., 0] == 255) & (drawn[..., 2] < 120))
    np.testing.assert_allclose(yellow.mean(axis=0), white.mean(axis=0), atol=1.0)
