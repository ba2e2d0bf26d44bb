"""A second contrast (T1w) beside a prepared T2w: the same head, cube and mask, a bias field of its own.

The paper's future work: T1 and T2 together. Nothing of the T2w's preparation changes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from core.io.volume import Volume
from core.preprocess import bias, intensity
from core.preprocess.align import align, carried
from core.preprocess.errors import PrepareError
from core.preprocess.pipeline import Prepared, PrepareSettings
from core.preprocess.qc import qc_picture
from core.preprocess.resample import bounding_box, index_map, resample_masked

VERSION = 1  # enters the channel's key; raise it when the same input gives other voxels
_MARGIN_MM = 6.0


@dataclass(frozen=True, eq=False)
class Channel:
    """One more channel of a prepared scan.

    name : "T1w"
    cube : (N, N, N) on the T2w's cube, in [0, 1] in its mask, 0 outside
    scan_to_channel : (4, 4) rigid, RAS+ mm of the T2w to RAS+ mm of the channel's scan
    moved : False where the headers' alignment held
    qc : PNG
    """

    name: str
    cube: Volume
    scan_to_channel: np.ndarray
    moved: bool
    qc: bytes


def prepare_channel(
    image: Volume, name: str, prepared: Prepared, settings: PrepareSettings, note: str = ""
) -> Channel:
    """Bring ``image``, of the same head on any grid, into the cube of ``prepared`` with one interpolation.

    Rigidly aligned with the T2w (``align``), bias field inside the T2w's brain mask on its own grid, then
    through rigid map and the T2w's affine at once, as the T2w is sampled; intensities to [0, 1] in the cube's
    mask. Voxels of that mask which the other grid's rounding leaves out take the nearest value.

    Raises
    ------
    PrepareError
        Where the two scans don't match, or a step finds no plausible result; the text names the channel.
    """
    inside = prepared.mask.data > 0
    to_channel, moved = align(prepared.scan, inside, image, name)
    brain = carried(prepared.mask, image, to_channel)
    if not brain.any():
        raise PrepareError(f"{name}: no brain voxel on its grid; expected the T2w's brain")
    box = bounding_box(brain, int(np.ceil(_MARGIN_MM / image.spacing.min())))
    affine = image.affine.copy()
    affine[:3, 3] = image.affine[:3] @ [*(axis.start for axis in box), 1.0]
    part = brain[box]
    try:
        intensity.check_magnitude(image.data, brain)
        corrected = bias.correct_bias(image.data[box], part, affine, settings.bias)
        to_scan = np.linalg.inv(prepared.scan_to_reference)
        to_image = index_map(affine, prepared.cube.affine, to_channel @ to_scan)
        cube_mask = prepared.cube_mask.data > 0
        sampled, there = resample_masked(corrected, part, to_image, cube_mask.shape)
        unit = intensity.to_unit(_filled(sampled, there > 0), cube_mask, settings.intensity)
    except PrepareError as error:
        raise PrepareError(f"{name}: {error}") from error
    cube = prepared.cube.with_data(unit)
    found = "registered to the T2w" if moved else "aligned with the T2w as stored"
    picture = qc_picture(
        [
            (f"{name} as acquired, brain mask of the T2w", image, brain),
            (f"{name}, bias field: {settings.bias}", Volume(corrected, affine), part),
            ("T2w in the cube", prepared.cube, cube_mask),
            (f"{name} in the cube, mask of the T2w", cube, cube_mask),
        ],
        f"{name}: {found}" + (f"   {note}" if note else ""),
    )
    return Channel(name, cube, to_channel, moved, picture)


def _filled(values: np.ndarray, there: np.ndarray) -> np.ndarray:
    """``values`` where they are ``there``, elsewhere that of the nearest voxel that is."""
    if not there.any():
        raise PrepareError("no voxel reaches the cube; expected the T2w's brain")
    nearest = ndimage.distance_transform_edt(~there, return_distances=False, return_indices=True)
    return values[tuple(nearest)]
