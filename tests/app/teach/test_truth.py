"""The cohort's known answers, and nobody else's."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path

import numpy as np
import pytest

from app.teach.truth import truth
from core.config import settings
from core.evaluation.statistics import EvaluationError
from tests.app.teach.cohort import LEFT_MM, NORMAL, OTHER, SICK, write_cohort


def test_lesions_of_the_cohort(data_dir: Path) -> None:
    record = write_cohort(data_dir)[SICK]
    known = truth(settings().demo_dir, record.case_id, record.input_hash)
    assert known is not None
    # 4 × 4 × 4 and 2 × 3 × 2 voxels of 10 mm³.
    told = [(one.label, one.type, one.volume_mm3) for one in known.lesions]
    assert told == [(1, "Cyst", 640.0), (2, "Punctate dark", 120.0)]
    assert np.abs(np.subtract(known.lesions[0].mm, LEFT_MM)).max() <= 1.25, "within half a voxel"
    assert len(known.targets[0].voxels) == 64
    assert known.wire is not None
    voxels = np.frombuffer(gzip.decompress(known.wire.data)[352:], np.uint8)
    assert np.bincount(voxels).tolist()[1:] == [64, 12]


def test_a_normal_of_the_cohort_has_none(data_dir: Path) -> None:
    record = write_cohort(data_dir)[NORMAL]
    known = truth(settings().demo_dir, record.case_id, record.input_hash)
    assert known is not None
    assert (known.lesions, known.targets, known.wire) == ((), (), None)


def test_nothing_is_known_of_other_scans(data_dir: Path) -> None:
    cases = write_cohort(data_dir)
    demo = settings().demo_dir
    assert truth(demo, cases[OTHER].case_id, cases[OTHER].input_hash) is None
    # An upload may bear the name of a scan of the cohort: another's lesions are not its own.
    assert truth(demo, cases[SICK].case_id, cases[OTHER].input_hash) is None
    assert truth(data_dir / "nowhere", cases[SICK].case_id, cases[SICK].input_hash) is None


def test_without_masks_a_normal_is_not_known_to_be_one(data_dir: Path) -> None:
    record = write_cohort(data_dir)[NORMAL]
    shutil.rmtree(settings().demo_dir / "derivatives")
    assert truth(settings().demo_dir, record.case_id, record.input_hash) is None


def test_a_damaged_table_is_told(data_dir: Path) -> None:
    record = write_cohort(data_dir)[SICK]
    (settings().demo_dir / "derivatives" / "lesions" / "lesions.tsv").write_text("subject\tlabel\ttype\n")
    with pytest.raises(EvaluationError, match="no label 1"):
        truth(settings().demo_dir, record.case_id, record.input_hash)
