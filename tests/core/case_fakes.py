"""A phantom head and stand-ins for preparation and network, for tests of what lies around them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from scipy import ndimage

from core.anomaly.normative import Normative
from core.anomaly.residual import Array
from core.io.bids import Scan
from core.io.volume import Volume, save_volume
from core.predictor import Predictor
from core.preprocess.pipeline import Prepared, PrepareSettings, Reference
from core.preprocess.register import cube_affine

CUBE = 32  # 4 mm over 128 mm
SHAPE, SPACING = (44, 52, 40), (2.0, 2.0, 2.5)
# Left, anterior, superior of the head's centre; 12 × 12 × 12 mm.
BLOB_MM = (-22.0, 12.0, 10.0)
BLOB_HALF_MM = 6.5


def phantom(stored: tuple[str, str, str] = ("R", "A", "S"), blob: float = 0.0) -> tuple[Volume, Volume]:
    """Scan and mask: an ellipsoid of even brightness with a ramp, and a cube that is ``blob`` brighter."""
    affine = np.diag([*SPACING, 1.0])
    affine[:3, 3] = -np.array(SPACING) * (np.array(SHAPE) - 1) / 2
    i, j, k = np.meshgrid(*(np.arange(n) for n in SHAPE), indexing="ij")
    x, y, z = (affine[a, a] * index + affine[a, 3] for a, index in enumerate((i, j, k)))
    mask = (x / 40) ** 2 + (y / 48) ** 2 + (z / 45) ** 2 < 1
    data = 400 + 2 * y + z
    inside = np.max([np.abs(x - BLOB_MM[0]), np.abs(y - BLOB_MM[1]), np.abs(z - BLOB_MM[2])], axis=0)
    data = np.where(inside < BLOB_HALF_MM, data + 1000 * blob, data) * mask
    return Volume(data, affine, stored), Volume(mask, affine, stored)


def reference() -> Reference:
    """The phantom without a blob."""
    scan, mask = phantom()
    return Reference(scan, mask, "reference-hash", "phantom")


def fake_prepare(
    scan: Volume, mask: Volume | None, reference: Reference, settings: PrepareSettings, note: str = ""
) -> Prepared:
    """The scan has the reference's voxels, perhaps not its origin: only the cube and the range are made."""
    assert mask is not None
    affine = cube_affine(reference, settings.cube, settings.fov_mm)
    scan_to_reference = np.eye(4)
    scan_to_reference[:3, 3] = reference.volume.affine[:3, 3] - scan.affine[:3, 3]
    to_scan = np.linalg.inv(scan_to_reference @ scan.affine) @ affine

    def moved(data: Array, order: int) -> Array:
        shape = (settings.cube,) * 3
        return ndimage.affine_transform(data, to_scan[:3, :3], to_scan[:3, 3], shape, order=order)

    inside = moved(mask.data, 0) > 0
    cube = np.where(inside, np.clip(moved(scan.data, 1) / 2000, 0, 1), 0)
    return Prepared(
        scan=scan,
        mask=mask,
        cube=Volume(cube, affine),
        cube_mask=Volume(inside, affine),
        scan_to_reference=scan_to_reference,
        mask_source="given",
        overlap=1.0,
        times={"register": 0.01},
        qc=b"\x89PNG",
    )


def write_scan(
    folder: Path, stored: tuple[str, str, str] = ("R", "A", "S"), blob: float = 0.25, seed: int = 1
) -> Scan:
    """The phantom as a BIDS scan with its mask, noise and all."""
    scan, mask = phantom(stored, blob)
    noise = np.random.default_rng(seed).normal(0, 4, SHAPE).astype(np.float32)
    anat = folder / "sub-one" / "ses-01" / "anat"
    path, mask_path = anat / "sub-one_ses-01_T2w.nii.gz", anat / "sub-one_ses-01_desc-brain_mask.nii.gz"
    save_volume(scan.with_data((scan.data + noise) * mask.data), path)
    save_volume(mask, mask_path, np.uint8)
    return Scan(subject="sub-one", session="ses-01", path=path, mask=mask_path, age=40.0, synthetic=True)


@dataclass
class CountingNetwork:
    """x̂ is the reference's cube: what differs from it stays in the residual."""

    calls: int = 0
    fail: bool = False
    expected: Array = field(default_factory=lambda: expected_cube())

    def __call__(self, x: Array) -> Array:
        self.calls += 1
        if self.fail:
            raise RuntimeError("the network broke")
        return self.expected


def expected_cube() -> Array:
    """The prepared phantom without blob and noise."""
    scan, mask = phantom()
    return fake_prepare(scan, mask, reference(), PrepareSettings(cube=CUBE)).cube.data


def fake_predictor(network: Callable[[Array], Array], normative: Normative | None = None) -> Predictor:
    """A model named as one of the eight."""
    return Predictor("vae_8x8_512", "model-hash", PrepareSettings(cube=CUBE), network, normative)
