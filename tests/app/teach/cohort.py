"""A small cohort with known lesions around ``tests.casefactory``: raw scans, masks, and analyses of them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np

from app.cases import address
from app.feedback.lesson_rows import LessonCase
from core.io.derivatives import CasePaths, CaseRecord
from tests.casefactory import BRIGHT_LEFT, DARK_RIGHT, SHAPE, phantom_affine, save_stored, write_case

SICK, NORMAL, OTHER = "sub-sick", "sub-normal", "sub-other"
# Middle of the lesion on the left: voxels 4…7, 15…18, 12…15 of 2 × 2 × 2.5 mm.
LEFT_MM: tuple[float, float, float] = tuple(
    (phantom_affine() @ np.array([5.5, 16.5, 13.5, 1.0]))[:3].tolist()
)


def write_cohort(data: Path) -> dict[str, CaseRecord]:
    """Three analysed scans below ``data``: two lesions, none, and one that the cohort does not hold."""
    root, demo = data / "derivatives" / "fontanelle", data / "demo"
    cases = {
        SICK: write_case(root, SICK, stored=("L", "A", "S")),
        NORMAL: write_case(root, NORMAL, blocks=()),
        OTHER: write_case(root, OTHER, synthetic=False),
    }
    lines = ["participant_id\tsession_id\tage\tsex\tradiology_score\tsplit"]
    for subject, score in ((SICK, 4), (NORMAL, 1)):
        folder = demo / subject / "ses-01" / "anat"
        folder.mkdir(parents=True)
        shutil.copy(CasePaths(root, subject, "ses-01").acquired, folder / f"{subject}_ses-01_T2w.nii.gz")
        lines.append(f"{subject}\tses-01\t40.0\tF\t{score}\ttest")
    (demo / "participants.tsv").write_text("\n".join(lines) + "\n")
    (demo / "dataset_description.json").write_text(
        json.dumps({"Name": "test", "BIDSVersion": "1.9.0", "Synthetic": True})
    )
    lesions = demo / "derivatives" / "lesions"
    folder = lesions / SICK / "ses-01" / "anat"
    folder.mkdir(parents=True)
    labels = np.zeros(SHAPE, np.float32)
    labels[BRIGHT_LEFT.slices], labels[DARK_RIGHT.slices] = 1, 2
    path = folder / f"{SICK}_ses-01_desc-lesion_mask.nii.gz"
    save_stored(labels, phantom_affine(), path, ("L", "A", "S"), "uint8")
    (lesions / "lesions.tsv").write_text(f"subject\tlabel\ttype\n{SICK}\t1\tcyst\n{SICK}\t2\tpunctate_dark\n")
    return cases


def lesson_case(record: CaseRecord) -> LessonCase:
    return LessonCase(record.case_id, record.input_hash, address(record), record.model)
