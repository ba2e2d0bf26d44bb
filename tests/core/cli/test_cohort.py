"""``cohort import`` from the command line, and a manifest in place of a folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from core.cli.calibrating import split_of
from core.cli.console import UsageError
from core.cli.sources import scans_of
from core.io.volume import load_volume
from tests.core.conftest import Run
from tests.core.io import dicomfactory as dicom
from tests.core.io.test_cohort import release


@pytest.mark.parametrize("command", ["import", "dicom"])
def test_help_has_examples(run: Run, command: str) -> None:
    code, out, _ = run("cohort", command, "--help")
    assert code == 0
    assert f"Example: python -m core cohort {command}" in " ".join(out.split())


def test_import_writes_a_manifest_and_tells_the_counts(run: Run, tmp_path: Path) -> None:
    root, manifest = release(tmp_path / "dhcp"), tmp_path / "manifest.tsv"
    code, out, err = run("cohort", "import", root, "--out", manifest, "--train", 6, "--validation", 2)
    assert code == 0
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert lines[:3] == [
        "train 6 (6 with score 1, 0 with score 5)",
        "validation 2 (2 with score 1, 0 with score 5)",
        "test 5 (3 with score 1, 2 with score 5)",
    ]
    assert "left out 1 (radiology score 3)" in lines
    assert "the 3 normals that are in neither train nor validation are test normals" in " ".join(err.split())
    told = json.loads(manifest.with_suffix(".json").read_text())["split"]
    assert (told["Seed"], told["Train"], told["Validation"]) == (0, 6, 2)
    # 18 scans in the tree, one line each.
    assert len(manifest.read_text().splitlines()) == 1 + 18
    again = tmp_path / "again.tsv"
    assert run("cohort", "import", root, "--out", again, "--train", 6, "--validation", 2)[0] == 0
    assert again.read_bytes() == manifest.read_bytes()


def test_json_is_the_only_thing_on_stdout(run: Run, tmp_path: Path) -> None:
    root, manifest = release(tmp_path / "dhcp"), tmp_path / "manifest.tsv"
    code, out, _ = run(
        "cohort", "import", root, "--out", manifest, "--train", 0.5, "--validation", 0.2, "--json"
    )
    assert code == 0
    told = json.loads(out)
    assert told["splits"]["train"] == {"1": 5, "2": 0, "3": 0, "4": 0, "5": 0}
    assert told["left_out"]["no radiology score"] == 1
    assert told["given"] is False


def test_a_manifest_stands_for_a_folder(run: Run, tmp_path: Path) -> None:
    root, manifest = release(tmp_path / "dhcp"), tmp_path / "manifest.tsv"
    run("cohort", "import", root, "--out", manifest, "--train", 6, "--validation", 2)
    scans = scans_of([manifest])
    assert len(scans) == 13  # 18 less 5 left out
    assert len(split_of(scans, "train", manifest, 6)) == 6
    assert len(split_of(scans, "validation", manifest, 2)) == 2
    assert all(scan.path.is_file() and scan.mask is not None and scan.mask.is_file() for scan in scans)
    with pytest.raises(UsageError, match=r"2 scans with split 'validation'; expected 3 or more"):
        split_of(scans, "validation", manifest, 3)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["import", "gone", "--out", "m.tsv"], "gone: no such folder; expected a BIDS data set"),
        (["import", "gone", "--out", "m.csv"], "--out m.csv: expected a name that ends in .tsv"),
        (["import", "gone"], "Missing option '--out'"),
        (["dicom", "gone", "--out", "x.nii"], "gone: no such file or folder; expected a folder or .zip"),
        (["dicom", "gone", "--out", "x.mha"], "--out x.mha: expected a name that ends in .nii or .nii.gz"),
    ],
)
def test_bad_input_is_one_line(run: Run, arguments: list[str], text: str) -> None:
    code, out, err = run("cohort", *arguments)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert text in err


def test_dicom_to_nifti(run: Run, tmp_path: Path) -> None:
    folder = dicom.write(tmp_path / "in", [*dicom.series(), dicom.report()])
    out = tmp_path / "sub-x_ses-01_T2w.nii.gz"
    code, text, _ = run("cohort", "dicom", folder, "--out", out)
    assert code == 0
    assert text.startswith("7 slices, a grid of 9×12×7 voxels of 0.8×1.5×2 mm")
    assert "skipped files: 1 DICOM without a placed image" in text
    assert "Doe" not in text
    assert load_volume(out).shape == (9, 12, 7)
    code, text, _ = run("cohort", "dicom", folder, "--out", out, "--json")
    told = json.loads(text)
    assert (told["series"], told["slices"], told["stored"]) == (3, 7, "LPS")
    assert told["spacing_mm"] == [0.8, 1.5, 2.0]
    assert told["skipped"] == {"not_dicom": 0, "not_image": 1, "copies": 0}


def test_one_of_several_series(run: Run, tmp_path: Path) -> None:
    folder = dicom.write(tmp_path / "in", [*dicom.series(number=1), *dicom.series(number=2)])
    out = tmp_path / "out.nii"
    code, text, err = run("cohort", "dicom", folder, "--out", out)
    assert (code, text, err.count("\n"), out.exists()) == (2, "", 1, False)
    assert "in: 2 series (series 1: 7 images of 9×12; series 2: 7 images of 9×12)" in err
    assert run("cohort", "dicom", folder, "--out", out, "--series", 2)[0] == 0
    assert out.exists()
