"""A subject or family in two splits is refused wherever the splits come from."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.io.bids import Scan
from core.io.manifest import read_manifest
from core.io.splits import check_splits
from core.io.tables import BidsError

HEADER = "participant_id\tsession_id\tpath\tfamily\tsplit\tleft_out\n"


def scan(subject: str, session: str, split: str | None, family: str | None = None) -> Scan:
    return Scan(subject=subject, session=session, path=Path("x.nii"), split=split, family=family)


def test_who_straddles_is_named_with_both_splits() -> None:
    one = scan("sub-a", "ses-1", "train", "f1")
    check_splits([one, scan("sub-a", "ses-2", "train", "f1"), scan("sub-b", "ses-1", "train", "f1")], "m.tsv")
    check_splits([one, scan("sub-a", "ses-2", None, "f1"), scan("sub-c", "ses-1", "test", "f2")], "m.tsv")
    check_splits([scan("sub-c", "ses-1", "train"), scan("sub-d", "ses-1", "test")], "m.tsv")
    with pytest.raises(BidsError, match=r"^m\.tsv: sub-a is in train \(ses-1\) and in validation \(ses-2\)"):
        check_splits([one, scan("sub-a", "ses-2", "validation")], "m.tsv")
    with pytest.raises(BidsError, match=r"sub-a in train and sub-b in test are of one family"):
        check_splits([one, scan("sub-b", "ses-1", "test", "f1")], "m.tsv")


def test_a_manifest_with_a_straddling_subject_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.tsv"
    rows = "sub-a\tses-1\ta.nii\tn/a\ttrain\tn/a\nsub-a\tses-2\tb.nii\tn/a\t{}\t{}\n"
    path.write_text(HEADER + rows.format("n/a", "earlier session"))
    assert [entry.scan.split for entry in read_manifest(path)] == ["train", None]
    path.write_text(HEADER + rows.format("test", "n/a"))
    with pytest.raises(BidsError, match=r"m\.tsv: sub-a is in train \(ses-1\) and in test \(ses-2\)"):
        read_manifest(path)
