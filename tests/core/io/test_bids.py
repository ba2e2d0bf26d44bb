"""BIDS and dHCP folders: which scans, whose mask, which row."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from core.io.bids import BidsError, Scan, read_dataset, scan_of_file


def touch(path: Path, content: str = "x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


@pytest.fixture
def demo(tmp_path: Path) -> Path:
    """Two subjects as the demo has them; masks in a folder of derivatives."""
    root = tmp_path / "demo"
    touch(root / "dataset_description.json", json.dumps({"Name": "demo", "Synthetic": True}))
    touch(
        root / "participants.tsv",
        "participant_id\tsession_id\tage\tsex\tradiology_score\tsplit\n"
        "sub-a\tses-01\t38.5\tF\t1\ttrain\n"
        "sub-b\tses-01\tn/a\tM\t5\ttest\n",
    )
    for name in ("sub-b", "sub-a"):
        touch(root / name / "ses-01" / "anat" / f"{name}_ses-01_T2w.nii.gz")
        touch(root / name / "ses-01" / "anat" / f"{name}_ses-01_T2w.json")
        touch(root / name / "ses-01" / "anat" / f"{name}_ses-01_T1w.nii.gz")
    mask = "sub-a/ses-01/anat/sub-a_ses-01_desc-brain_mask.nii.gz"
    touch(root / "derivatives" / "brainmask" / mask)
    return root


def test_demo(demo: Path) -> None:
    first, second = read_dataset(demo)
    anat = demo / "sub-a" / "ses-01" / "anat"
    assert first == Scan(
        "sub-a",
        "ses-01",
        anat / "sub-a_ses-01_T2w.nii.gz",
        demo / "derivatives/brainmask/sub-a/ses-01/anat/sub-a_ses-01_desc-brain_mask.nii.gz",
        38.5,
        "F",
        1,
        "train",
        True,
    )
    assert (second.subject, second.mask, second.age_weeks) == ("sub-b", None, None)
    assert (second.radiology_score, second.split) == (5, "test")


def test_a_file_of_a_data_set_knows_the_same(demo: Path) -> None:
    first, second = read_dataset(demo)
    assert scan_of_file(first.path) == first
    assert scan_of_file(second.path) == second


def test_dhcp(tmp_path: Path) -> None:
    """No "sub-" in the table; ages and scores by session; the mask beside the scan."""
    root = tmp_path / "dhcp"
    touch(root / "participants.tsv", "participant_id\tsex\nCC01\tMale\n")
    touch(
        root / "sub-CC01" / "sub-CC01_sessions.tsv",
        "session_id\tscan_age\tradiology_score\n101\t35.14\t2\n202\t41.0\t1\n",
    )
    for session in ("ses-101", "ses-202"):
        anat = root / "sub-CC01" / session / "anat"
        touch(anat / f"sub-CC01_{session}_T2w.nii.gz")
        touch(anat / f"sub-CC01_{session}_space-template_T2w.nii.gz")
        touch(anat / f"sub-CC01_{session}_desc-brain_mask.nii.gz")
    early, late = read_dataset(root)
    assert (early.session, early.age_weeks, early.radiology_score) == ("ses-101", 35.14, 2)
    assert (late.session, late.age_weeks, late.radiology_score) == ("ses-202", 41.0, 1)
    assert (early.sex, early.split, early.synthetic) == ("Male", "", False)
    assert early.mask == early.path.with_name("sub-CC01_ses-101_desc-brain_mask.nii.gz")


def test_without_sessions_or_tables(tmp_path: Path) -> None:
    path = touch(tmp_path / "sub-x" / "anat" / "sub-x_T2w.nii")
    assert read_dataset(tmp_path) == [Scan("sub-x", "ses-01", path)]
    assert scan_of_file(path) == Scan("sub-x", "ses-01", path)


def test_any_file(tmp_path: Path) -> None:
    one, other = touch(tmp_path / "a" / "T2 scan.nii.gz", "1"), touch(tmp_path / "b" / "T2 scan.nii.gz", "2")
    mask = touch(tmp_path / "a" / "T2 scan_mask.nii.gz")
    first, second = scan_of_file(one), scan_of_file(other)
    # SHA-256 of "1" and "2" begin 6b86b2 and d4735e.
    assert (first.subject, first.session, first.mask) == ("sub-T2scan6b86b2", "ses-01", mask)
    assert (second.subject, second.mask) == ("sub-T2scand4735e", None)


@pytest.mark.parametrize(
    ("name", "text"),
    [("x.dcm", "unknown format; expected .nii"), ("x_mask.nii.gz", "named as a mask; expected a scan")],
)
def test_files_that_are_no_scans(tmp_path: Path, name: str, text: str) -> None:
    with pytest.raises(BidsError, match=rf"{name}: {text}"):
        scan_of_file(touch(tmp_path / name))


def test_two_scans_of_one_session(demo: Path) -> None:
    touch(demo / "sub-a" / "ses-01" / "anat" / "sub-a_ses-01_run-2_T2w.nii.gz")
    with pytest.raises(BidsError, match="two T2w scans of one session"):
        read_dataset(demo)


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        ("participants.tsv", "subject\tage\na\t3\n", "columns subject, age; expected participant_id"),
        ("participants.tsv", "participant_id\tage\nsub-a\n", "line 2 has other columns"),
        ("participants.tsv", "participant_id\tage\nsub-a\t1\t2\n", "line 2 has other columns"),
        (
            "participants.tsv",
            "participant_id\tage\nsub-a\tforty\n",
            "age of sub-a is 'forty'; expected a number",
        ),
        ("participants.tsv", "participant_id\tage\nsub-a\tinf\n", "age of sub-a is 'inf'; expected a number"),
        ("dataset_description.json", "{", "expected JSON"),
    ],
)
def test_bad_tables(demo: Path, name: str, content: str, text: str) -> None:
    touch(demo / name, content)
    with pytest.raises(BidsError, match=text):
        read_dataset(demo)
