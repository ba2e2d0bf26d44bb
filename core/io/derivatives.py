"""The folder of derivatives: the contract between ``core``, which writes it, and ``app``, which shows it."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

SCHEMA = 2
MapName = Literal["volume", "normative", "fused"]
MAP_NAMES: tuple[MapName, ...] = ("volume", "normative", "fused")


class DerivativesError(ValueError):
    """A derivatives file that is missing, unreadable or of another schema."""


@dataclass(frozen=True)
class Region:
    """One flagged 3D region.

    Millimetres are RAS+ world coordinates of the scan; voxels index the scan's file as stored.
    """

    id: str
    map: MapName
    sign: int  # +1 brighter than expected, -1 darker
    band: str  # "2-3", "3-4" or "4+"
    volume_mm3: float
    peak_z: float  # signed
    mean_z: float  # signed
    x_mm: float  # centroid
    y_mm: float
    z_mm: float
    i: int  # centroid
    j: int
    k: int
    peak_x_mm: float  # voxel of the peak, always inside the region
    peak_y_mm: float
    peak_z_mm: float
    side: Literal["left", "right", "midline"]
    slice_axial: int  # index along the scan's inferior-to-superior axis (RAS+ order) of largest extent


@dataclass(frozen=True)
class BandRow:
    """One of the paper's six bands in one map: share of brain voxels, and slice-wise 2D clusters."""

    band: str  # "-4", "-4..-3", "-3..-2", "2..3", "3..4", "4"
    percent: float
    clusters: int
    mean_cluster_size: float  # voxels; 0 where there is no cluster


@dataclass(frozen=True)
class CaseRecord:
    """One scan analysed by one model: what ``*_case.json`` holds."""

    schema: int
    subject: str
    session: str
    model: str
    model_hash: str
    input_hash: str
    key: str  # content address: scan, mask, label, age, model, settings and code
    synthetic: bool
    age_weeks: float | None  # postmenstrual age at scan
    mask_source: str  # given, stripped, bet, command
    overlap: float  # Dice of the brain mask with the reference's after registration
    # mse (paper), cluster_size, normative_top, fused_score, each with *_percentile among validation_n
    # validation normals;
    # normative_uncovered: percentage of brain voxels where no normal has brain, so that z 0 says nothing;
    # fused_percent: of brain voxels at |z| ≥ 2 of the fused map; fused_percent_most: of a normal, at most
    scores: dict[str, float]
    bands: dict[str, list[BandRow]]  # by map name
    false_alarms: dict[str, dict[str, float]]  # map -> band -> regions a scan in validation normals
    settings: dict[str, Any]
    times: dict[str, float]  # seconds by step
    versions: dict[str, str]
    files: dict[str, str]  # file name -> sha256

    @property
    def case_id(self) -> str:
        """``sub-…_ses-…``."""
        return f"{self.subject}_{self.session}"


def model_slug(model: str) -> str:
    """Model name as a BIDS entity value: ``vae_8x8_512`` becomes ``vae8x8n512``."""
    head, *rest = model.split("_", 1)
    return head + rest[0].replace("_", "n") if rest else head


@dataclass(frozen=True)
class CasePaths:
    """Where each file of one scan lies below a derivatives root."""

    root: Path
    subject: str  # with "sub-"
    session: str  # with "ses-"

    @property
    def folder(self) -> Path:
        return self.root / self.subject / self.session / "anat"

    @property
    def stem(self) -> str:
        return f"{self.subject}_{self.session}"

    def file(self, tail: str) -> Path:
        return self.folder / f"{self.stem}_{tail}"

    @property
    def acquired(self) -> Path:
        """The scan as acquired, its own grid."""
        return self.file("desc-acquired_T2w.nii.gz")

    @property
    def mask(self) -> Path:
        """Brain mask, scan grid."""
        return self.file("desc-brain_mask.nii.gz")

    def prepared(self, cube: int, channel: str = "T2w") -> Path:
        """Model input in [0, 1], ``cube``³ reference grid."""
        return self.file(f"space-cube{cube}_desc-prepared_{channel}.nii.gz")

    def prepared_mask(self, cube: int) -> Path:
        return self.file(f"space-cube{cube}_desc-brain_mask.nii.gz")

    def prepared_json(self, cube: int, channel: str = "T2w") -> Path:
        """Sidecar; written last, so its presence says that the channel's preparation is whole."""
        return self.file(f"space-cube{cube}_desc-prepared_{channel}.json")

    def qc(self, cube: int, channel: str = "T2w") -> Path:
        return self.file(f"space-cube{cube}_desc-qc_{channel}.png")

    def reconstruction(self, model: str) -> Path:
        """x̂ in [0, 1], scan grid."""
        return self.file(f"model-{model_slug(model)}_desc-reconstruction_T2w.nii.gz")

    def z(self, model: str, name: MapName) -> Path:
        """Signed z, float32, scan grid."""
        return self.file(f"model-{model_slug(model)}_desc-{name}Z_zmap.nii.gz")

    def regions(self, model: str) -> Path:
        return self.file(f"model-{model_slug(model)}_desc-flagged_regions.tsv")

    def case_json(self, model: str) -> Path:
        """Record; written last, so its presence says that the analysis is whole."""
        return self.file(f"model-{model_slug(model)}_case.json")


def write_record(record: CaseRecord, path: Path) -> None:
    """Write ``case.json`` atomically."""
    temporary = path.with_name(path.name + ".part")
    temporary.write_text(json.dumps(asdict(record), indent=1, sort_keys=True) + "\n")
    temporary.replace(path)


def read_record(path: Path) -> CaseRecord:
    """Read ``case.json``.

    Raises
    ------
    DerivativesError
        Where the file is missing, no JSON, of another schema, or has missing or unknown keys.
    """
    try:
        raw = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise DerivativesError(f"{path.name}: {error}; expected a Fontanelle case record") from error
    names = {field.name for field in fields(CaseRecord)}
    if not isinstance(raw, dict) or raw.get("schema") != SCHEMA or set(raw) != names:
        raise DerivativesError(f"{path.name}: not a case record of schema {SCHEMA}; analyse the scan again")
    raw["bands"] = {name: [BandRow(**row) for row in rows] for name, rows in raw["bands"].items()}
    return CaseRecord(**raw)


def write_regions(regions: list[Region], path: Path) -> None:
    """Write the region table as TSV, atomically; header only where there is none."""
    temporary = path.with_name(path.name + ".part")
    with temporary.open("w", newline="") as stream:
        writer = csv.DictWriter(
            stream, [field.name for field in fields(Region)], delimiter="\t", lineterminator="\n"
        )
        writer.writeheader()
        writer.writerows(asdict(region) for region in regions)
    temporary.replace(path)


def read_regions(path: Path) -> list[Region]:
    """Read the region table.

    Raises
    ------
    DerivativesError
        Where the file is missing or has other columns.
    """
    types: dict[str, Any] = {"str": str, "int": int, "float": float}
    columns = {field.name: types.get(str(field.type), str) for field in fields(Region)}
    try:
        with path.open(newline="") as stream:
            reader = csv.DictReader(stream, delimiter="\t")
            if tuple(reader.fieldnames or ()) != tuple(columns):
                raise DerivativesError(f"{path.name}: columns {reader.fieldnames}, expected {list(columns)}")
            return [Region(**{name: cast(row[name]) for name, cast in columns.items()}) for row in reader]
    except OSError as error:
        raise DerivativesError(f"{path.name}: {error}") from error


def iter_records(root: Path) -> Iterator[CaseRecord]:
    """All whole analyses below ``root``, by path; broken ones are left to ``read_record`` to name."""
    for path in sorted(root.glob("sub-*/ses-*/anat/*_case.json")):
        yield read_record(path)
