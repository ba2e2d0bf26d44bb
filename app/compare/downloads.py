"""Files of a comparison: numbers as CSV, consensus and difference as NIfTI that say what they hold."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import nibabel as nib
import numpy as np

from app.compare.analyses import Analyses
from app.compare.measures import Measure
from app.compare.palette import count_color
from app.viewer.volumes import Grid, read_grid
from core import __version__
from core.anomaly.consensus import Sign, Witness, count_flags
from core.io.derivatives import CaseRecord, MapName, Region, model_slug
from core.io.volume import Volume, save_volume

SIGNS: tuple[tuple[Sign, str, str], ...] = (
    (1, "Brighter", "brighter than expected"),
    (-1, "Darker", "darker than expected"),
)


def facts(analyses: Analyses, name: MapName, records: Sequence[CaseRecord]) -> dict[str, Any]:
    """What every file says of where it comes from."""
    return {
        "Case": analyses.case_id,
        "Synthetic": analyses.synthetic,
        "Map": name,
        "Models": [{"Name": r.model, "Hash": r.model_hash, "Analysis": r.key} for r in records],
        "InputHash": records[0].input_hash,
        "Convention": "voxels as in the scan's file; millimetres RAS+",
        "GeneratedBy": [{"Name": "Fontanelle", "Version": __version__}],
        "Notice": "Research software, not a medical device. A flag marks what a model did not expect.",
    }


def table_csv(analyses: Analyses, rows: Iterable[Measure]) -> bytes:
    """All numbers, one a line, with hashes of model and scan; empty percentile: not known."""
    stream = io.StringIO()
    names = [field.name for field in fields(Measure)]
    writer = csv.DictWriter(
        stream,
        ["case", "synthetic", *names, "model_hash", "input_hash", "floor_mm3", "fontanelle"],
        lineterminator="\n",
    )
    writer.writeheader()
    for row in rows:
        record = analyses.record(row.model)
        assert record is not None
        writer.writerow(
            {
                **asdict(row),
                "case": analyses.case_id,
                "synthetic": int(analyses.synthetic),
                "model_hash": record.model_hash,
                "input_hash": record.input_hash,
                "floor_mm3": record.settings.get("floor_mm3", ""),
                "fontanelle": __version__,
            }
        )
    return stream.getvalue().encode()


def witnesses_csv(analyses: Analyses, model: str, region: Region, found: dict[str, Witness]) -> bytes:
    """What each model shows where one region lies."""
    stream = io.StringIO()
    kept = [field.name for field in fields(Witness)]
    writer = csv.writer(stream, lineterminator="\n")
    head = ["case", "synthetic", "region", "region_model", "map", "sign", "region_band", "region_mm3"]
    writer.writerow([*head, "model", *kept])
    for name, one in found.items():
        values = {**asdict(one), "flagged": int(one.flagged), "regions": " ".join(one.regions)}
        writer.writerow(
            [
                *(analyses.case_id, int(analyses.synthetic), region.id, model, region.map, region.sign),
                *(region.band, region.volume_mm3, name, *(values[key] for key in kept)),
            ]
        )
    return stream.getvalue().encode()


def _z(analyses: Analyses, record: CaseRecord, name: MapName) -> Grid:
    return read_grid(analyses.paths.z(record.model, name))


def _nifti(grid: Grid, data: np.ndarray, like: Path, dtype: type[np.generic]) -> bytes:
    """``data`` on the grid of ``like``, its axes in the file's order, gzipped."""
    stored = "".join(nib.aff2axcodes(nib.Nifti1Image.from_filename(like).affine))
    volume = Volume(data, grid.affine, (stored[0], stored[1], stored[2]))
    with TemporaryDirectory() as folder:
        path = Path(folder) / "map.nii.gz"
        save_volume(volume, path, dtype)
        return path.read_bytes()


def _zip(files: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    return stream.getvalue()


def consensus_zip(analyses: Analyses, name: MapName, threshold: float) -> bytes:
    """Two count maps on the scan's grid, uint8, a table of their labels, and a JSON that says what they are.

    A voxel's value is the number of models whose |z| reaches ``threshold`` there on that side.

    Raises
    ------
    VolumeMissing
        Where a z map can't be read.
    """
    records = analyses.having(name)
    stem = f"{analyses.case_id}_map-{name}"
    grid = _z(analyses, records[0], name)
    like = analyses.paths.z(records[0].model, name)
    files: dict[str, bytes] = {}
    for sign, entity, words in SIGNS:
        counts = count_flags((_z(analyses, record, name).data for record in records), threshold, sign)
        label = f"{stem}_desc-consensus{entity}_dseg"
        files[f"{label}.nii.gz"] = _nifti(grid, counts, like, np.uint8)
        about = {
            **facts(analyses, name, records),
            "Description": f"Number of models (of {len(records)}) that find a voxel {words}",
            "Threshold": threshold,
            "ThresholdUnit": "SD of the map's z; |z| ≥ Threshold counts",
            "Labels": {str(k): _models(k, len(records)) for k in range(len(records) + 1)},
        }
        files[f"{label}.json"] = (json.dumps(about, indent=1, ensure_ascii=False) + "\n").encode()
        files[f"{label}.tsv"] = _labels(len(records), sign).encode()
    return _zip(files)


def _models(k: int, of: int) -> str:
    return f"{k} of {of} models flag the voxel"


def _labels(models: int, sign: int) -> str:
    """BIDS look-up table of a count map of one side."""
    lines = ["index\tname\tcolor"]
    lines += [f"{k}\t{_models(k, models)}\t{count_color(k, sign)}" for k in range(1, models + 1)]
    return "\n".join(lines) + "\n"


def difference_zip(analyses: Analyses, name: MapName, pair: tuple[str, str]) -> bytes:
    """z of the first model less z of the second, float32 on the scan's grid, and a JSON that says what it is.

    Raises
    ------
    VolumeMissing
        Where a z map can't be read.
    """
    records = [record for model in pair for record in analyses.having(name) if record.model == model]
    first, second = (_z(analyses, record, name) for record in records)
    like = analyses.paths.z(pair[0], name)
    slugs = "Less".join(model_slug(model) for model in pair)
    stem = f"{analyses.case_id}_map-{name}_desc-{slugs}_zdiff"
    about = {
        **facts(analyses, name, records),
        "Description": f"Signed z of {pair[0]} less signed z of {pair[1]}, in SD",
    }
    return _zip(
        {
            f"{stem}.nii.gz": _nifti(first, first.data - second.data, like, np.float32),
            f"{stem}.json": (json.dumps(about, indent=1, ensure_ascii=False) + "\n").encode(),
        }
    )
