"""What readers made of the flags, for the model: NIfTI label maps with a TSV and a JSON sidecar each.

``python -m app.feedback.labels --out DIR``; ``python -m core calibrate NAME --from-feedback DIR`` reads it.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np

from app.feedback.adjudications import Key, SavedDecision, decisions
from app.feedback.blinding import Answers, answers_closed, answers_finished
from app.feedback.database import Store, StoreError, open_store
from app.feedback.label_map import RULE, Analysis, LabelError, analyses, label_map
from core import __version__
from core.config import settings
from core.evaluation.feedback import COLUMNS, TAIL
from core.io.atomic import write_bytes
from core.io.derivatives import CasePaths, model_slug
from core.io.volume import file_hash, save_volume

LEGEND = {
    "0": "background, or flagged and not judged",
    "1": "accepted: a finding",
    "2": "rejected: a false alarm",
    "3": "missed: a sphere that a reader marked and no flag covers",
    "4": "unsure, or readers evenly split",
}


def write_labels(
    one: Analysis, answers: Answers, decided: Mapping[Key, SavedDecision], root: Path, out: Path
) -> list[Path]:
    """Write the label map, its TSV and its sidecar, the sidecar last.

    Raises
    ------
    LabelError
        As ``label_map``.
    """
    labels, flags, record = label_map(one, answers, decided, root)
    paths = CasePaths(out, record.subject, record.session)
    stem = f"model-{model_slug(one.model)}_desc-{one.map}Feedback"
    image, table, sidecar = (paths.file(f"{stem}_{tail}") for tail in ("dseg.nii.gz", TAIL, "dseg.json"))
    save_volume(labels, image, np.uint8)
    stream = io.StringIO()
    writer = csv.DictWriter(stream, COLUMNS, delimiter="\t", lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(flag) for flag in flags)
    write_bytes(table, stream.getvalue().encode())
    source = CasePaths(root, record.subject, record.session)
    about = {
        "Description": "Readers' verdicts on flagged regions, and findings that the flags miss",
        "Labels": LEGEND,
        "Rule": RULE,
        "Convention": "scan's own grid; x_mm, y_mm, z_mm are RAS+ world millimetres of the scan; sign +1 "
        "brighter and -1 darker than expected; band is the highest of |z| 2-3, 3-4, 4+",
        "Synthetic": record.synthetic,
        "CaseId": one.case_id,
        "Readers": len({row.reader_id for row in answers.reads if row.case_id == one.case_id}),
        "Model": one.model,
        "ModelHash": record.model_hash,
        "InputHash": record.input_hash,
        "CaseKey": record.key,
        "Map": one.map,
        "FloorMm3": record.settings["floor_mm3"],
        "Sources": {
            file.name: record.files[file.name]
            for file in (source.z(one.model, one.map), source.mask, source.regions(one.model))
        },
        "Files": {file.name: file_hash(file) for file in (image, table)},
        "Software": {"fontanelle": __version__, "analysis": record.versions},
        "SpatialReference": "orig",
    }
    write_bytes(sidecar, (json.dumps(about, indent=1, sort_keys=True) + "\n").encode())
    return [image, table, sidecar]


def export_labels(
    answers: Answers, decided: Mapping[Key, SavedDecision], root: Path, out: Path
) -> tuple[list[Path], dict[str, str]]:
    """Write every analysis that was read; the files, and why the others were refused, by name.

    ``root``: of the derivatives.
    """
    written: list[Path] = []
    refused: dict[str, str] = {}
    for one in analyses(answers):
        if (one.case_id, one.input_hash) not in answers.scans:
            continue
        try:
            written += write_labels(one, answers, decided, root, out)
        except LabelError as error:
            refused[f"{one.case_id} {one.model} {one.map}"] = str(error)
    if written:
        about = {
            "Name": "Readers' feedback on Fontanelle's flags",
            "BIDSVersion": "1.10.0",
            "DatasetType": "derivative",
            "GeneratedBy": [{"Name": "Fontanelle", "Version": __version__}],
        }
        path = out / "dataset_description.json"
        write_bytes(path, (json.dumps(about, indent=1) + "\n").encode())
        written.append(path)
    return written, refused


def _store() -> Store:
    return open_store(settings().store_url)


def main(arguments: list[str] | None = None) -> int:
    """Command line; 2 on a store that can't be read, 1 where an analysis was refused."""
    parser = argparse.ArgumentParser(
        prog="python -m app.feedback.labels",
        description="Write accepted, rejected and missed regions of closed scans as NIfTI label maps.",
        epilog="Example: python -m app.feedback.labels --out feedback/2026-01",
    )
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
    parser.add_argument(
        "--finished",
        action="store_true",
        help="also scans that are not closed yet, by readers who have finished them",
    )
    given = parser.parse_args(arguments)
    try:
        store = _store()
        answers = answers_finished(store) if given.finished else answers_closed(store)
        written, refused = export_labels(
            answers, decisions(store, answers), settings().derivatives_dir, given.out
        )
    except (StoreError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    for path in written:
        print(path)
    for name, why in refused.items():
        print(f"refused: {name}: {why}", file=sys.stderr)
    if not written and not refused:
        print("nothing to write: no scan is closed (see docs/agreement.md)", file=sys.stderr)
    return 1 if refused else 0


if __name__ == "__main__":
    sys.exit(main())
