"""Uploads are paired, checked by themselves, and kept without anything that names a person."""

from __future__ import annotations

import gzip
import os
import re
import threading
import time
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from app import uploads
from app.uploads import Sent, check, is_mask, keep, pair, preview, stem
from core.io.bids import scan_from_file
from core.io.volume import VolumeError, load_mask, load_volume
from tests.casefactory import SHAPE, phantom, phantom_affine, save_stored
from tests.core.io import dicomfactory as dicom

NAME = "Müller^Anna 2024.nii.gz"


def scan_bytes(folder: Path, stored: tuple[str, str, str] = ("R", "A", "S"), name: str = "x.nii.gz") -> bytes:
    folder.mkdir(exist_ok=True)
    save_stored(phantom()[0], phantom_affine(), folder / name, stored)
    return (folder / name).read_bytes()


def mask_bytes(folder: Path) -> bytes:
    folder.mkdir(exist_ok=True)
    save_stored(phantom()[1], phantom_affine(), folder / "m.nii.gz", ("R", "A", "S"), "uint8")
    return (folder / "m.nii.gz").read_bytes()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("sub-a_desc-brain_mask.nii.gz", True),
        ("A_MASK.NII", True),
        ("masked.nii", False),  # a skull-stripped scan, not a mask
        ("unmask.nii", False),
        ("mask.mha", True),
    ],
)
def test_masks_are_known_by_name(name: str, expected: bool) -> None:
    assert is_mask(name) is expected


def test_stem_is_what_scan_and_mask_share() -> None:
    assert stem("sub-01_ses-1_T2w.nii.gz") == stem("sub-01_ses-1_desc-brain_mask.nii.gz")
    assert stem("a.nii.gz") != stem("b_mask.nii.gz")
    assert stem("sub-01.zip") == stem("sub-01_mask.nii.gz")
    assert stem("scan.one.nii") != stem("scan.two.nii")


def test_pairs() -> None:
    assert pair(["scan.nii", "anything_mask.nii"]) == ([("scan.nii", "anything_mask.nii")], [])
    pairs, problems = pair(["a_T2w.nii", "b_T2w.nii", "b_mask.nii", "c_mask.nii"])
    assert pairs == [("a_T2w.nii", ""), ("b_T2w.nii", "b_mask.nii")]
    assert problems == ["c_mask.nii: no scan of this name; expected one scan such as c_T2w.nii.gz"]
    _, problems = pair(["a.nii", "a.mha", "a_mask.nii", "b.nii"])
    assert "more than one scan or mask of this name" in problems[0]


@pytest.mark.parametrize("stored", [("R", "A", "S"), ("L", "A", "S"), ("P", "S", "R")])
def test_good_scan_is_kept_in_its_own_grid(tmp_path: Path, stored: tuple[str, str, str]) -> None:
    content = scan_bytes(tmp_path / "sent", stored)
    root = tmp_path / "uploads"
    upload = check(Sent(NAME, content), Sent("mask.nii.gz", mask_bytes(tmp_path / "sent")), 200, root)
    if stored != ("R", "A", "S"):
        # Same grid in the world, other order of axes: still the scan's mask.
        assert upload.error == ""
    path = keep(upload, 40.5, root)
    label = upload.label(40.5)
    assert path == root / label / "ses-01" / "anat" / f"{label}_ses-01_T2w.nii.gz"
    volume, sent = load_volume(path), load_volume(tmp_path / "sent" / "x.nii.gz")
    np.testing.assert_array_equal(volume.data, sent.data)
    np.testing.assert_allclose(volume.affine, sent.affine, atol=1e-5)
    assert volume.stored == stored
    mask = load_mask(path.with_name(f"{label}_ses-01_desc-brain_mask.nii.gz"), volume)
    np.testing.assert_array_equal(mask.data, phantom()[1])
    rows = (root / "participants.tsv").read_text().splitlines()
    assert rows == ["participant_id\tsession_id\tage\tlabel", f"{label}\tses-01\t40.5\tn/a"]
    scan = scan_from_file(path)
    assert (scan.subject, scan.session, scan.age, scan.synthetic) == (label, "ses-01", 40.5, False)
    assert scan.mask == path.with_name(f"{label}_ses-01_desc-brain_mask.nii.gz")
    assert not [p for p in root.rglob("*") if "ller" in p.name or p.name.startswith(".incoming")]


def test_header_texts_are_not_kept(tmp_path: Path) -> None:
    image = nib.Nifti1Image(phantom()[0], phantom_affine())
    image.header["descrip"] = b"Anna Mueller 2024-01-01"
    image.header["aux_file"] = b"anna.dcm"
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"born in Ulm"))
    root = tmp_path / "uploads"
    upload = check(Sent("s.nii", image.to_bytes()), None, 200, root)
    content = gzip.decompress(keep(upload, None, root).read_bytes())
    for word in (b"Anna", b"anna", b"Ulm"):
        assert word in image.to_bytes()
        assert word not in content


def test_a_zip_of_one_dicom_series_is_kept_without_its_patient(tmp_path: Path) -> None:
    files = {f"DOE^JANE/{i}": dicom.content(one) for i, one in enumerate(dicom.series(dicom.oblique()))}
    content = dicom.zipped(tmp_path / "x.zip", files).read_bytes()
    root = tmp_path / "uploads"
    upload = check(Sent("Doe Jane.ZIP", content), None, 200, root)
    assert upload.error == ""
    path = keep(upload, 40.0, root)
    volume = load_volume(path)
    for k, row, column in ((0, 0, 0), (6, 11, 8), (2, 5, 1)):
        (at,) = np.argwhere(volume.data == dicom.voxels()[k, row, column])
        world = (volume.affine @ [*at, 1])[:3]
        assert np.linalg.norm(world - dicom.place(k, row, column, dicom.oblique())) < 0.1
    assert not [p for p in root.rglob("*") if "doe" in p.name.lower() or p.suffix in (".dcm", ".zip")]
    assert b"Doe" not in gzip.decompress(path.read_bytes())
    assert "Doe" not in (root / "participants.tsv").read_text()


def test_a_zip_that_is_no_series_says_why(tmp_path: Path) -> None:
    root = tmp_path / "uploads"
    two = {f"{n}": dicom.content(one) for n, one in enumerate([*dicom.series(), *dicom.series(number=4)])}
    content = dicom.zipped(tmp_path / "x.zip", two).read_bytes()
    error = check(Sent("export.zip", content), None, 200, root).error
    assert error.startswith("export.zip: 2 series (series 3: 7 images of 9×12; series 4: 7 images of 9×12)")
    bad = dicom.zipped(tmp_path / "y.zip", {"../../evil": b"x"}).read_bytes()
    assert "absolute path or '..'" in check(Sent("y.zip", bad), None, 200, root).error
    assert check(Sent("z.zip", b"no"), None, 200, root).error.startswith("z.zip: no zip file")
    assert list(root.rglob("*")) == []


def test_label_comes_from_content_and_age(tmp_path: Path) -> None:
    content = scan_bytes(tmp_path / "sent")
    first = check(Sent("a.nii.gz", content), None, 200, tmp_path / "u")
    second = check(Sent("b.nii.gz", content), None, 200, tmp_path / "u")
    masked = check(
        Sent("a.nii.gz", content), Sent("m.nii.gz", mask_bytes(tmp_path / "sent")), 200, tmp_path / "u"
    )
    assert first.label(None) == second.label(None)
    assert len({first.label(None), first.label(40.0), masked.label(None)}) == 3
    assert first.label(None).startswith("sub-up")
    assert first.label(None).removeprefix("sub-").isalnum()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("notes.nii", b"hello, this is no image at all" * 40, "notes.nii"),
        ("empty.nii.gz", b"", "empty.nii.gz: empty file"),
        ("scan.dcm", b"x", "unknown extension .dcm"),
        ("../../etc/passwd.nii", b"", "passwd.nii: empty file"),
    ],
)
def test_bad_file_is_named(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    upload = check(Sent(name, content), None, 200, tmp_path / "uploads")
    assert message in upload.error
    assert upload.volume is None
    with pytest.raises(VolumeError, match=re.escape(upload.error)):
        keep(upload, None, tmp_path / "uploads")
    assert list((tmp_path / "uploads").rglob("*")) == []


def test_no_sent_name_is_on_disk_while_a_check_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A check that is killed can't clean up, and a file's name can be a patient's."""
    seen: list[list[str]] = []

    def look(path: Path) -> None:
        seen.append(sorted(file.name for file in (tmp_path / "u").rglob("*") if file.is_file()))
        raise VolumeError(f"{path.name}: bad, unlike sent-mask.nii; expected a scan, not SMITH")

    monkeypatch.setattr(uploads, "load_volume", look)
    content = scan_bytes(tmp_path / "sent")
    mask = Sent("SMITH_JOHN_mask.nii", b"x")
    upload = check(Sent("SMITH_JOHN 1961.nii.gz", content), mask, 200, tmp_path / "u")
    assert seen == [["sent-mask.nii", "sent-scan.nii.gz"]]
    assert upload.error == (
        "SMITH_JOHN 1961.nii.gz: bad, unlike SMITH_JOHN_mask.nii; expected a scan, not SMITH"
    )


def test_what_a_killed_check_left_is_swept_after_an_hour(tmp_path: Path) -> None:
    for name, age in ((".incoming-old", 3700.0), (".incoming-new", 60.0), ("sub-upold", 3700.0)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.nii").touch()
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    uploads.sweep(tmp_path)
    uploads.sweep(tmp_path / "nothing")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".incoming-new", "sub-upold"]


def test_truncated_scan_and_foreign_mask_are_refused(tmp_path: Path) -> None:
    content = scan_bytes(tmp_path / "sent")
    assert (
        "cut.nii.gz"
        in check(Sent("cut.nii.gz", content[: len(content) // 2]), None, 200, tmp_path / "u").error
    )
    inside = np.zeros((4, 5, 6), np.uint8)
    inside[1:3, 1:4, 1:5] = 1
    other = nib.Nifti1Image(inside, np.eye(4)).to_bytes()
    error = check(Sent("a.nii.gz", content), Sent("a_mask.nii", other), 200, tmp_path / "u").error
    assert error.startswith("a_mask.nii")
    assert "4×5×6" in error


def test_size_and_age_have_limits(tmp_path: Path) -> None:
    upload = check(Sent("big.nii", b"0" * (2**20 + 1)), None, 1, tmp_path / "u")
    assert upload.error == "big.nii: 1 MB; expected at most 1 MB"
    good = check(Sent("a.nii.gz", scan_bytes(tmp_path / "sent")), None, 200, tmp_path / "u")
    with pytest.raises(VolumeError, match="age 3; expected 20 to 60 postmenstrual weeks"):
        keep(good, 3.0, tmp_path / "u")


def test_concurrent_uploads_all_enter_the_table(tmp_path: Path) -> None:
    upload = check(Sent("a.nii.gz", scan_bytes(tmp_path / "sent")), None, 200, tmp_path / "u")
    ages = [30.0 + n / 2 for n in range(12)]
    threads = [threading.Thread(target=keep, args=(upload, age, tmp_path / "u")) for age in ages]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rows = (tmp_path / "u" / "participants.tsv").read_text().splitlines()[1:]
    assert sorted(float(row.split("\t")[2]) for row in rows) == ages


def test_a_label_is_kept_beside_the_scan_and_in_no_path(tmp_path: Path) -> None:
    root = tmp_path / "u"
    upload = check(Sent("a.nii.gz", scan_bytes(tmp_path / "sent")), None, 200, root)
    root.mkdir(exist_ok=True)
    # A table of before, without labels.
    (root / "participants.tsv").write_text("participant_id\tsession_id\tage\nsub-old\tses-01\t40\n")

    def last(given: str) -> list[str]:
        path = keep(upload, None, root, given)
        assert "twelve" not in str(path)
        return (root / "participants.tsv").read_text().splitlines()[1:]

    name = upload.label(None)
    assert last("  case\ttwelve ") == ["sub-old\tses-01\t40\tn/a", f"{name}\tses-01\tn/a\tcase twelve"]
    assert last("")[1].endswith("\tcase twelve"), "sent again without one, it stays"
    assert last("x" * 99)[1].endswith("\t" + "x" * 60)


def test_preview_is_small_and_in_place(tmp_path: Path) -> None:
    upload = check(
        Sent("a.nii.gz", scan_bytes(tmp_path / "sent", ("P", "S", "R"))), None, 200, tmp_path / "u"
    )
    assert upload.volume is not None
    image = nib.Nifti1Image.from_bytes(gzip.decompress(preview(upload.volume)))
    assert image.get_data_dtype() == np.uint8
    assert image.shape == SHAPE
    data = np.asarray(image.dataobj)
    assert (data.min(), data.max()) == (0, 255)
    np.testing.assert_allclose(image.affine, phantom_affine(), atol=1e-4)
    big = upload.volume.__class__(np.random.default_rng(0).random((300, 4, 4)), np.eye(4))
    assert nib.Nifti1Image.from_bytes(gzip.decompress(preview(big))).shape == (150, 4, 4)
