"""BIDS and dHCP layouts, bare files, and labels that must not become paths."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest

from core.io.bids import BidsError, anat_path, check_label, find_scans, is_synthetic, scan_from_file


def touch(path: Path, text: str = "x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def cohort(root: Path) -> Path:
    touch(
        root / "dataset_description.json", json.dumps({"Name": "A synthetic cohort", "BIDSVersion": "1.9.0"})
    )
    touch(
        root / "participants.tsv",
        "participant_id\tsession_id\tage\tsex\tradiology_score\tsplit\n"
        "sub-b\tses-01\t40.5\tF\t5\ttest\nsub-a\tses-02\t37\tM\t1\ttrain\nsub-a\tses-01\tn/a\tM\tn/a\ttrain\n",
    )
    for subject, session in (("sub-b", "ses-01"), ("sub-a", "ses-02"), ("sub-a", "ses-01")):
        touch(anat_path(root, subject, session))
    return root


def test_participants_and_order(tmp_path: Path) -> None:
    found = find_scans(cohort(tmp_path))
    assert [(s.subject, s.session) for s in found] == [
        ("sub-a", "ses-01"),
        ("sub-a", "ses-02"),
        ("sub-b", "ses-01"),
    ]
    assert [s.age for s in found] == [None, 37.0, 40.5]
    assert [s.radiology_score for s in found] == [None, 1, 5]
    assert [s.split for s in found] == ["train", "train", "test"]
    assert [s.sex for s in found] == ["M", "M", "F"]
    assert all(s.synthetic and s.mask is None for s in found)


def test_masks_beside_and_in_derivatives_but_not_our_own(tmp_path: Path) -> None:
    root = cohort(tmp_path)
    beside = touch(anat_path(root, "sub-a", "ses-01", "desc-brain_mask.nii.gz"))
    derived = touch(anat_path(root / "derivatives" / "masks", "sub-a", "ses-02", "brainmask.nii.gz"))
    touch(anat_path(root / "derivatives" / "masks", "sub-a", "ses-01", "brainmask.nii.gz"))
    touch(anat_path(root / "derivatives" / "fontanelle", "sub-b", "ses-01", "desc-brain_mask.nii.gz"))
    assert [scan.mask for scan in find_scans(root)] == [beside, derived, None]


def test_our_own_masks_are_not_given_ones_whatever_the_folder(tmp_path: Path) -> None:
    root = cohort(tmp_path)
    for run in ("a", "run1"):
        for subject in ("sub-a", "sub-b"):
            place = root / "derivatives" / run
            touch(anat_path(place, subject, "ses-01", "desc-brain_mask.nii.gz"))
            touch(anat_path(place, subject, "ses-01", "space-cube64_desc-prepared_T2w.json"))
    theirs = touch(anat_path(root / "derivatives" / "theirs", "sub-b", "ses-01", "desc-brain_mask.nii.gz"))
    assert [scan.mask for scan in find_scans(root)] == [None, None, theirs]


@pytest.mark.parametrize("kind", ["desc-brain_mask.nii.gz", "desc-drawem9_dseg.nii.gz"])
def test_masks_of_another_grid_are_not_the_scans(tmp_path: Path, kind: str) -> None:
    root = cohort(tmp_path)
    field = "mask" if "mask" in kind else "segmentation"
    for subject, session in (("sub-a", "ses-01"), ("sub-b", "ses-01")):
        touch(anat_path(root, subject, session, f"T1w_{kind}"))
        touch(anat_path(root / "derivatives" / "masks", subject, session, f"space-T1w_{kind}"))
        touch(anat_path(root / "derivatives" / "masks", subject, session, f"space-extdhcp40wk_{kind}"))
    own = touch(anat_path(root / "derivatives" / "masks", "sub-b", "ses-01", f"acq-haste_run-1_{kind}"))
    assert [getattr(scan, field) for scan in find_scans(root)] == [None, None, own]


def test_dhcp_layout(tmp_path: Path) -> None:
    touch(
        tmp_path / "participants.tsv",
        "participant_id\tsex\tbirth_age\tage\nCC00050XX01\tfemale\t38.1\t0.06\n",
    )
    touch(
        tmp_path / "sub-CC00050XX01" / "sub-CC00050XX01_sessions.tsv",
        "session_id\tscan_age\tradiology_score\n7201\t41.25\t2\n9999\t44\t4\n",
    )
    plain = touch(anat_path(tmp_path, "sub-CC00050XX01", "ses-7201"))
    touch(anat_path(tmp_path, "sub-CC00050XX01", "ses-7201", "desc-restore_T2w.nii.gz"))
    moved = touch(anat_path(tmp_path, "sub-CC00050XX01", "ses-7201", "desc-restore_space-T2w_T1w.nii.gz"))
    touch(anat_path(tmp_path, "sub-CC00050XX01", "ses-7201", "T1w.nii.gz"))
    segmentation = touch(anat_path(tmp_path, "sub-CC00050XX01", "ses-7201", "desc-drawem9_dseg.nii.gz"))
    mask = touch(anat_path(tmp_path, "sub-CC00050XX01", "ses-7201", "brainmask_drawem.nii.gz"))
    (scan,) = find_scans(tmp_path)
    assert (scan.path, scan.t1w) == (plain, moved)
    assert (scan.mask, scan.segmentation, scan.family, scan.poor_quality) == (mask, segmentation, None, False)
    assert find_scans(tmp_path, "birth_age")[0].family == "38.1"
    assert (scan.age, scan.radiology_score, scan.sex, scan.synthetic) == (41.25, 2, "female", False)


def test_t1w_beside_t2w(tmp_path: Path) -> None:
    for name in "abc":
        touch(anat_path(tmp_path, f"sub-{name}", "ses-1"))
    touch(anat_path(tmp_path, "sub-a", "ses-1", "acq-mprage_T1w.nii.gz"))
    own = touch(anat_path(tmp_path, "sub-a", "ses-1", "T1w.nii.gz"))
    touch(anat_path(tmp_path, "sub-b", "ses-1", "space-MNI_T1w.nii.gz"))  # on a grid of neither
    assert [scan.t1w for scan in find_scans(tmp_path)] == [own, None, None]


def test_poor_quality_is_no_score(tmp_path: Path) -> None:
    touch(tmp_path / "participants.tsv", "participant_id\nCC1\n")
    touch(tmp_path / "sub-CC1" / "sub-CC1_sessions.tsv", "session_id\tradiology_score\n7\tQ\n")
    touch(anat_path(tmp_path, "sub-CC1", "ses-7"))
    (scan,) = find_scans(tmp_path)
    assert (scan.radiology_score, scan.poor_quality) == (None, True)


def test_no_session_folder_counts_as_the_first(tmp_path: Path) -> None:
    path = touch(tmp_path / "sub-x" / "anat" / "sub-x_T2w.nii")
    mask = touch(tmp_path / "sub-x" / "anat" / "sub-x_desc-brain_mask.nii.gz")
    (scan,) = find_scans(tmp_path)
    assert (scan.subject, scan.session, scan.path, scan.mask) == ("sub-x", "ses-01", path, mask)


def test_bare_file_is_named_by_its_content(tmp_path: Path) -> None:
    path = touch(tmp_path / "Jane Doe 1970.nii.gz", "voxels")
    scan = scan_from_file(path, tmp_path / "m.nii.gz")
    assert scan.subject == "sub-" + hashlib.sha256(b"voxels").hexdigest()[:12]
    assert (scan.session, scan.mask) == ("ses-01", tmp_path / "m.nii.gz")
    assert "Jane" not in scan.subject


def test_bids_name_outside_a_data_set_keeps_its_labels(tmp_path: Path) -> None:
    path = touch(tmp_path / "sub-q_ses-3_T2w.nii.gz")
    mask = touch(tmp_path / "sub-q_ses-3_desc-brain_mask.nii.gz")
    scan = scan_from_file(path)
    assert (scan.subject, scan.session, scan.mask) == ("sub-q", "ses-3", mask)


def test_file_inside_a_data_set_brings_its_facts(tmp_path: Path) -> None:
    root = cohort(tmp_path)
    scan = scan_from_file(anat_path(root, "sub-b", "ses-01"))
    assert (scan.age, scan.radiology_score, scan.synthetic) == (40.5, 5, True)
    other = scan_from_file(anat_path(root, "sub-b", "ses-01"), tmp_path / "mine.nii.gz")
    assert other.mask == tmp_path / "mine.nii.gz"
    assert other.age == 40.5


def test_datalad_link_given_as_a_file_brings_its_facts(tmp_path: Path) -> None:
    root = cohort(tmp_path / "set")
    stored = touch(root / ".git" / "annex" / "objects" / "aa" / "bb" / "MD5E-s1--x.nii.gz", "the same")
    files = [anat_path(root, "sub-a", "ses-02"), anat_path(root, "sub-b", "ses-01")]
    for file in files:  # of one content, so one target
        file.unlink()
        file.symlink_to(os.path.relpath(stored, file.parent))
    mask = touch(anat_path(root / "derivatives" / "masks", "sub-b", "ses-01", "brainmask.nii.gz"))
    first, second = (scan_from_file(file) for file in files)
    assert (first.subject, first.session, first.age, first.mask) == ("sub-a", "ses-02", 37.0, None)
    assert (second.subject, second.path, second.mask, second.age) == ("sub-b", files[1], mask, 40.5)
    assert first.synthetic
    assert second.synthetic


def test_a_link_to_a_data_sets_file_brings_its_facts(tmp_path: Path) -> None:
    root = cohort(tmp_path / "set")
    link = tmp_path / "elsewhere.nii.gz"
    link.symlink_to(anat_path(root, "sub-b", "ses-01"))
    assert (scan_from_file(link).subject, scan_from_file(link).age) == ("sub-b", 40.5)


@pytest.mark.parametrize(
    "label", ["sub-../x", "sub-", "ses-01", "sub-a_b", "sub-a/b", "sub-ä", "sub-a\n", ""]
)
def test_labels_that_are_no_labels(label: str) -> None:
    with pytest.raises(BidsError, match=r"expected sub- followed by letters and digits"):
        check_label(label, "sub")


def test_paths_stay_below_the_root(tmp_path: Path) -> None:
    with pytest.raises(BidsError, match="file name tail"):
        anat_path(tmp_path, "sub-a", "ses-01", "../../x.nii.gz")
    with pytest.raises(BidsError, match=r"label 'ses-\.\.'"):
        anat_path(tmp_path, "sub-a", "ses-..")


def test_broken_tables_and_folders(tmp_path: Path) -> None:
    with pytest.raises(BidsError, match="gone: no such folder; expected a BIDS data set"):
        find_scans(tmp_path / "gone")
    with pytest.raises(BidsError, match=r"x\.nii: no such file"):
        scan_from_file(tmp_path / "x.nii")
    root = cohort(tmp_path)
    table = root / "participants.tsv"
    table.write_text("participant_id\tage\nsub-a\told\n")
    with pytest.raises(BidsError, match=r"s\.tsv: sub-a ses-01: age is 'old'; expected a number or n/a"):
        find_scans(root)
    table.write_text("participant_id\tradiology_score\nsub-a\t9\n")
    with pytest.raises(BidsError, match="sub-a ses-01: radiology_score is '9'; expected 1 to 5, Q or n/a"):
        find_scans(root)
    table.write_text("participant_id\tage\nsub-a\t40\nsub-a\t41\n")
    with pytest.raises(
        BidsError, match="sub-a ses-01: age is '40' in one row, '41' in another; expected one"
    ):
        find_scans(root)
    table.write_text("participant_id\tage\nsub-a\t40\tF\n")
    with pytest.raises(BidsError, match=r"participants\.tsv: line 2 has 3 cells; expected 2"):
        find_scans(root)
    table.write_text("participant_id\tage\nsub-a\t40\n\tF\n")
    with pytest.raises(BidsError, match=r"participants\.tsv: line 3 has no participant_id"):
        find_scans(root)
    table.write_text("participant_id\tage\nsub-a\t40\n")
    with pytest.raises(BidsError, match=r"columns \['age', 'participant_id'\] in .* expected mother among"):
        find_scans(root, "mother")
    table.write_text("id\tage\nsub-a\t40\n")
    with pytest.raises(
        BidsError, match=r"participants\.tsv: columns \['id', 'age'\]; expected participant_id"
    ):
        find_scans(root)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{"Name": "x", "Synthetic": true}', True),
        ('{"Name": "x", "Synthetic": false}', False),
        ('{"Name": "x", "GeneratedBy": [{"Name": "synthetic cohort"}]}', True),
        ('{"Name": "dHCP"}', False),
    ],
)
def test_synthetic_is_told_by_the_description(tmp_path: Path, text: str, found: bool) -> None:
    touch(tmp_path / "dataset_description.json", text)
    assert is_synthetic(tmp_path) is found


def test_broken_description(tmp_path: Path) -> None:
    touch(tmp_path / "dataset_description.json", "[]")
    with pytest.raises(BidsError, match="a list; expected a JSON object"):
        is_synthetic(tmp_path)
    touch(tmp_path / "dataset_description.json", "{")
    with pytest.raises(BidsError, match=r"dataset_description\.json: .*; expected JSON"):
        is_synthetic(tmp_path)
