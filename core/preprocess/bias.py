"""Bias field correction inside the brain mask: N4 (default) or N3."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from core.preprocess.errors import PrepareError

METHODS = ("n4", "n3", "none")
# Three levels, the finest with a knot about every 3 cm: a fourth follows folds and takes contrast away
# (on a fetal brain with a planted field of SD 0.12, 0.05 was left instead of 0.03), and takes longer.
ITERATIONS = [30, 20, 10]
TOLERANCE = 1e-5


FIT_MM = 5.0  # the field is fitted on every voxel or on every n-th, at most this far apart
_LEAST = 12  # voxels that an axis keeps where it has them


def fit_steps(shape: tuple[int, ...], spacing: np.ndarray) -> tuple[int, int, int]:
    """Every how many voxels the field is sampled along each axis: 4 or 5 at 1 mm, 1 across thick slices."""
    steps = np.minimum(FIT_MM / spacing, np.array(shape) / _LEAST)
    i, j, k = (int(step) for step in np.maximum(np.floor(steps + 1e-6), 1))
    return i, j, k


def correct_bias(data: np.ndarray, mask: np.ndarray, affine: np.ndarray, method: str) -> np.ndarray:
    """Divide out the slowly varying receive field, estimated inside ``mask``.

    Parameters
    ----------
    data, mask : (X, Y, Z); crop to the brain first, the cost grows with the grid
    affine : (4, 4) voxel to RAS+ mm
    method : "n4" (Tustison et al. 2010), "n3" (Sled et al. 1998) or "none"

    Returns
    -------
    (X, Y, Z) float32, same scale

    Raises
    ------
    PrepareError
        On an unknown method, or a mask without a positive voxel.
    """
    if method not in METHODS:
        raise PrepareError(f"bias: {method!r}; expected one of {', '.join(METHODS)}")
    if method == "none":
        return data.astype(np.float32)
    positive = data[(mask > 0) & (data > 0)]
    if positive.size == 0:
        raise PrepareError("bias: no positive voxel in the brain mask; expected image intensities")
    # ANTs shrinks all axes alike, which thick slices can't bear: sample here, axis by axis.
    steps = np.array(fit_steps(data.shape, np.linalg.norm(affine[:3, :3], axis=0)))
    first = steps // 2
    some = tuple(slice(int(a), None, int(n)) for a, n in zip(first, steps, strict=True))
    if not (mask[some] > 0).any():
        steps, first, some = np.ones(3, int), np.zeros(3, int), (slice(None),) * 3
    coarse = affine.copy()
    coarse[:3, :3] = affine[:3, :3] * steps
    coarse[:3, 3] = affine[:3] @ [*first, 1.0]
    # Both methods take the logarithm; interpolated scans hold a few zeros and negatives.
    floor = 1e-3 * float(np.median(positive))
    log_field = np.log(_field(np.maximum(data[some], floor), mask[some], coarse, method))
    full = ndimage.affine_transform(
        log_field, np.diag(1 / steps), -first / steps, output_shape=data.shape, order=1, mode="nearest"
    )
    return (data / np.exp(full)).astype(np.float32)


def _field(data: np.ndarray, mask: np.ndarray, affine: np.ndarray, method: str) -> np.ndarray:
    """(X, Y, Z) factor by which the receive field raised each voxel."""
    from core.io.itk import ants, to_ants

    image, where = to_ants(data, affine), to_ants(mask > 0, affine)
    if method == "n4":
        plan = {"iters": ITERATIONS, "tol": TOLERANCE}
        field = ants.n4_bias_field_correction(
            image, mask=where, shrink_factor=1, convergence=plan, return_bias_field=True
        )
    else:
        field = ants.n3_bias_field_correction2(
            image,
            mask=where,
            shrink_factor=1,
            number_of_fitting_levels=len(ITERATIONS),
            convergence={"iters": ITERATIONS[0], "tol": TOLERANCE},
            return_bias_field=True,
        )
    return field.numpy()
