"""Small complete case folders for tests of ``app``: a lateralised phantom, analysed on paper.

World space is RAS+ millimetres with the origin in the middle of the head. The bright block lies on the
patient's left (x < 0), in front and above; the dark one on the right, behind and below. Every stored
orientation holds the same head.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from core.io.derivatives import (
    SCHEMA,
    BandRow,
    CasePaths,
    CaseRecord,
    MapName,
    Region,
    read_regions,
    write_record,
    write_regions,
)

Array = NDArray[np.float32]
MAP_NAMES: tuple[MapName, ...] = ("volume", "normative")  # those of an autoencoder


@dataclass(frozen=True)
class Block:
    """A box in RAS voxels, ``start`` inclusive and ``stop`` exclusive, with its signed z."""

    id: str
    start: tuple[int, int, int]
    stop: tuple[int, int, int]
    z: float

    @property
    def slices(self) -> tuple[slice, slice, slice]:
        return (
            slice(self.start[0], self.stop[0]),
            slice(self.start[1], self.stop[1]),
            slice(self.start[2], self.stop[2]),
        )


SHAPE = (20, 26, 22)
SPACING = (2.0, 2.0, 2.5)
BRIGHT_LEFT = Block("r01", (4, 15, 12), (8, 19, 16), 5.0)
DARK_RIGHT = Block("r02", (13, 7, 7), (15, 10, 9), -3.5)
BLOCKS = (BRIGHT_LEFT, DARK_RIGHT)
# Axis codes that a viewer must all show alike: identity, a mirrored axis, permuted and mirrored axes.
ORIENTATIONS = (("R", "A", "S"), ("L", "A", "S"), ("P", "S", "R"))


def phantom_affine(shape: tuple[int, int, int] = SHAPE) -> NDArray[np.float64]:
    """RAS+ affine (4, 4) in mm with the origin in the middle of the grid."""
    affine = np.diag((*SPACING, 1.0))
    affine[:3, 3] = -np.asarray(SPACING) * (np.asarray(shape) - 1) / 2
    return affine


def phantom(blocks: tuple[Block, ...] = BLOCKS, shape: tuple[int, int, int] = SHAPE) -> tuple[Array, Array]:
    """Scan and brain mask, (X, Y, Z) float32 in RAS: an ellipsoid of graded intensity with the blocks."""
    axes = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")
    mask = (np.sum(np.square(axes), axis=0) <= 0.85).astype(np.float32)
    scan = mask * (400 + 60 * axes[2] + 40 * axes[1]).astype(np.float32)
    for block in blocks:
        scan[block.slices] += 60 * block.z
    return np.asarray(scan, dtype=np.float32), mask


def save_stored(
    data: Array, affine: NDArray[np.float64], path: Path, stored: tuple[str, str, str], dtype: str = "float32"
) -> None:
    """Write an RAS array to NIfTI in the axis order ``stored``, same world space."""
    image = nib.Nifti1Image(data.astype(dtype), affine)
    change = nib.orientations.ornt_transform(
        nib.orientations.axcodes2ornt(("R", "A", "S")), nib.orientations.axcodes2ornt(stored)
    )
    nib.save(image.as_reoriented(change), path)


def block_region(
    block: Block, name: MapName, affine: NDArray[np.float64], stored_affine: NDArray[np.float64]
) -> Region:
    """The row that a correct analysis gives for ``block``."""
    start, stop = np.asarray(block.start), np.asarray(block.stop)
    centre = affine[:3, :3] @ ((start + stop - 1) / 2) + affine[:3, 3]
    peak = affine[:3, :3] @ start + affine[:3, 3]
    i, j, k = np.rint(np.linalg.inv(stored_affine) @ np.append(centre, 1.0))[:3].astype(int).tolist()
    size = abs(block.z)
    return Region(
        id=f"{name[0]}{block.id}",
        map=name,
        sign=1 if block.z > 0 else -1,
        band="4+" if size >= 4 else "3-4" if size >= 3 else "2-3",
        volume_mm3=float(np.prod(stop - start) * np.prod(SPACING)),
        peak_z=block.z,
        mean_z=block.z,
        x_mm=float(centre[0]),
        y_mm=float(centre[1]),
        z_mm=float(centre[2]),
        i=i,
        j=j,
        k=k,
        peak_x_mm=float(peak[0]),
        peak_y_mm=float(peak[1]),
        peak_z_mm=float(peak[2]),
        side="left" if centre[0] < -3 else "right" if centre[0] > 3 else "midline",
        slice_axial=int(start[2]),
    )


def band_rows(z: Array, mask: Array) -> list[BandRow]:
    """Percentages of brain voxels in the six bands; one cluster a slice that has any."""
    values = z[mask > 0]
    limits = {
        "-4": (-np.inf, -4.0),
        "-4..-3": (-4.0, -3.0),
        "-3..-2": (-3.0, -2.0),
        "2..3": (2.0, 3.0),
        "3..4": (3.0, 4.0),
        "4": (4.0, np.inf),
    }
    rows = []
    for band, (low, high) in limits.items():
        inside = (values >= low) & (values < high) if low > 0 else (values > low) & (values <= high)
        hits = (z >= low) & (z < high) & (mask > 0) if low > 0 else (z > low) & (z <= high) & (mask > 0)
        clusters = int(hits.any(axis=(0, 1)).sum())
        rows.append(
            BandRow(
                band, 100 * float(inside.mean()), clusters, float(hits.sum()) / clusters if clusters else 0.0
            )
        )
    return rows


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def seal(root: Path, record: CaseRecord) -> CaseRecord:
    """Record the files as they are now, as an analysis that wrote them would."""
    paths = CasePaths(root, record.subject, record.session)
    there = {name: sha256(paths.folder / name) for name in record.files if (paths.folder / name).exists()}
    sealed = replace(record, files=there)
    write_record(sealed, paths.case_json(record.model))
    return sealed


def turned(root: Path, record: CaseRecord, rigid: NDArray[np.float64]) -> CaseRecord:
    """A written case moved in the scanner's space by ``rigid`` (4, 4): its images and its regions' peaks."""
    paths = CasePaths(root, record.subject, record.session)
    for path in paths.folder.glob("*.nii.gz"):
        image = nib.Nifti1Image.from_filename(path)
        nib.save(nib.Nifti1Image(np.asarray(image.dataobj), rigid @ image.affine), path)
    moved = []
    for region in read_regions(paths.regions(record.model)):
        x, y, z = (rigid @ (region.peak_x_mm, region.peak_y_mm, region.peak_z_mm, 1.0))[:3].tolist()
        moved.append(replace(region, peak_x_mm=x, peak_y_mm=y, peak_z_mm=z))
    write_regions(moved, paths.regions(record.model))
    return seal(root, record)


def write_case(
    root: Path,
    subject: str = "sub-test001",
    session: str = "ses-01",
    *,
    model: str = "vae_8x8_512",
    stored: tuple[str, str, str] = ("R", "A", "S"),
    blocks: tuple[Block, ...] = BLOCKS,
    synthetic: bool = True,
    age_weeks: float | None = 40.0,
    percentile: float = 97.0,
) -> CaseRecord:
    """Write acquired scan, mask, reconstruction, both z maps, region table and record below ``root``.

    ``root`` is a derivatives root, for an app under test ``settings().derivatives_dir``. Both maps hold
    the same blocks; region ids start with the map's first letter (``vr01``, ``nr01``).
    """
    paths = CasePaths(root, subject, session)
    paths.folder.mkdir(parents=True, exist_ok=True)
    affine = phantom_affine()
    scan, mask = phantom(blocks)
    expected, _ = phantom(())
    z = np.zeros(SHAPE, dtype=np.float32)
    for block in blocks:
        z[block.slices] = block.z
    save_stored(scan, affine, paths.acquired, stored)
    save_stored(mask, affine, paths.mask, stored, "uint8")
    save_stored(expected / np.float32(1000), affine, paths.reconstruction(model), stored)
    for name in MAP_NAMES:
        save_stored(z, affine, paths.z(model, name), stored)
    stored_affine = nib.Nifti1Image.from_filename(paths.acquired).affine
    regions = [block_region(block, name, affine, stored_affine) for name in MAP_NAMES for block in blocks]
    write_regions(regions, paths.regions(model))
    written = [
        paths.acquired,
        paths.mask,
        paths.reconstruction(model),
        *(paths.z(model, name) for name in MAP_NAMES),
        paths.regions(model),
    ]
    files = {path.name: sha256(path) for path in written}
    input_hash = files[paths.acquired.name]
    model_hash = hashlib.sha256(model.encode()).hexdigest()
    record = CaseRecord(
        schema=SCHEMA,
        subject=subject,
        session=session,
        model=model,
        model_hash=model_hash,
        input_hash=input_hash,
        key=hashlib.sha256(f"{input_hash}{model_hash}".encode()).hexdigest(),
        synthetic=synthetic,
        age_weeks=age_weeks,
        mask_source="given",
        overlap=0.95,
        scores={
            "mse": 0.01 * len(blocks),
            "mse_percentile": percentile,
            "normative_top": 4.5,
            "normative_top_percentile": percentile,
        },
        bands={name: band_rows(z, mask) for name in MAP_NAMES},
        false_alarms={name: {"2-3": 2.1, "3-4": 0.6, "4+": 0.1} for name in MAP_NAMES},
        settings={"cube": 64},
        times={"prepare": 4.0, "reconstruct": 1.0},
        versions={"fontanelle": "0"},
        files=files,
    )
    write_record(record, paths.case_json(model))
    return record
