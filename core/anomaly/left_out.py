"""A detector as if it did not know one of its own normals, to score that normal with a lesion in it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from core.anomaly.detector import Detector
from core.anomaly.library import fine, grid_factor, nonlocal_residual, without
from core.anomaly.normative import fit_once
from core.anomaly.residual import AnomalyError


def left_out_detectors(detector: Detector, count: int) -> list[Detector]:
    """For each of the library's first ``count`` normals, the detector whose mean and SD do not know it.

    A normal's own residual in the SD that it is divided by hides its extremes: of 16 normals none can be
    farther off than 3.75 SD. Fitted from the library itself, so that a stored detector serves. The library
    stays whole: name the normal to ``views_of`` as ``leave_out``. Scales and tail stay too, and
    so do local contrast and the deformed view, which the library does not hold (see ``DeformedFit``).

    Raises
    ------
    AnomalyError
        Where the library has fewer than ``count`` normals, or fewer than 3.
    """
    library = detector.library
    if not 0 < count <= len(library.values) or len(library.values) < 3:
        raise AnomalyError(
            f"{count} normals to leave out of a library of {len(library.values)}; "
            "expected 1 to all of 3 or more"
        )
    factor = grid_factor(detector.voxel_mm)
    pairs = [library.normal(index) for index in range(len(library.values))]
    matched = [nonlocal_residual(*pair, library, index) for index, pair in enumerate(pairs)]
    residuals, known = [one for one, _ in matched], [one for _, one in matched]
    coarse_mm = detector.voxel_mm * factor
    logs = [fine(log, factor, detector.shape) for log, _ in pairs]
    masks = [fine(mask.astype(np.float32), factor, detector.shape) > 0 for _, mask in pairs]
    found = []
    for index in range(count):
        nonlocal_map = fit_once(
            without(residuals, index), without(known, index), coarse_mm, detector.smooth_mm
        )
        log_map = detector.log_map
        if log_map is not None:
            log_map = fit_once(
                without(logs, index), without(masks, index), detector.voxel_mm, detector.smooth_mm
            )
        found.append(replace(detector, nonlocal_map=nonlocal_map, log_map=log_map))
    return found
