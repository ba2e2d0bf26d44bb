"""A manifest says the same when it is read back, and names what is wrong with it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from core.io.bids import Scan
from core.io.manifest import COLUMNS, Entry, read_manifest, write_manifest
from core.io.tables import BidsError

HEADER = "participant_id\tsession_id\tpath\tsplit\tleft_out\n"


def entries(folder: Path) -> list[Entry]:
    full = Scan(
        subject="sub-a",
        session="ses-1",
        path=folder / "bids" / "sub-a" / "a_T2w.nii.gz",
        mask=folder / "bids" / "a mask.nii.gz",
        age=42.7142857142857,
        sex="F",
        radiology_score=1,
        split="train",
        synthetic=True,
        segmentation=folder / "seg.nii.gz",
        family="sub-a",
        t1w=folder / "bids" / "sub-a" / "a_T1w.nii.gz",
    )
    poor = Scan("sub-b", "ses-2", folder.parent / "far" / "b.nii.gz", poor_quality=True)
    return [Entry(full), Entry(poor, "radiology score Q (poor image quality)")]


def test_round_trip_and_dictionary(tmp_path: Path) -> None:
    path = tmp_path / "cohort" / "manifest.tsv"
    written = entries(path.parent)
    write_manifest(written, path, {"Seed": 3})
    assert read_manifest(path) == written
    rows = [line.split("\t") for line in path.read_text().splitlines()]
    assert rows[0] == list(COLUMNS)
    assert rows[1][2:4] == ["bids/sub-a/a_T2w.nii.gz", "bids/a mask.nii.gz"]  # moves with its folder
    assert rows[2][2] == str(tmp_path / "far" / "b.nii.gz")
    assert rows[2][5:10] == ["n/a", "n/a", "Q", "n/a", "n/a"]
    told = json.loads(path.with_suffix(".json").read_text())
    assert set(told) == set(rows[0])
    assert told["split"]["Seed"] == 3
    assert set(told["split"]["Levels"]) == {"train", "validation", "test"}


def test_paths_move_with_the_folder(tmp_path: Path) -> None:
    path = tmp_path / "one" / "manifest.tsv"
    write_manifest(entries(path.parent)[:1], path, {})
    (tmp_path / "one").rename(tmp_path / "two")
    assert read_manifest(tmp_path / "two" / "manifest.tsv")[0].scan.path.is_relative_to(tmp_path / "two")


def test_a_link_keeps_its_name(tmp_path: Path) -> None:
    (tmp_path / "annex").mkdir()
    (tmp_path / "annex" / "SHA256--0").write_text("x")
    (tmp_path / "a_T2w.nii.gz").symlink_to(tmp_path / "annex" / "SHA256--0")
    entry = replace(
        entries(tmp_path)[0], scan=Scan("sub-a", "ses-1", tmp_path / "a_T2w.nii.gz", split="test")
    )
    write_manifest([entry], tmp_path / "m.tsv", {})
    assert "\ta_T2w.nii.gz\t" in (tmp_path / "m.tsv").read_text()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("participant_id\tpath\n", r"m\.tsv: columns .* expected session_id, split, left_out among them"),
        (HEADER + "sub-a\tses-1\tx.nii\tholdout\tn/a\n", "sub-a ses-1: split holdout, left_out n/a"),
        (HEADER + "sub-a\tses-1\tx.nii\tn/a\tn/a\n", "split n/a, left_out n/a; expected one of train"),
        (HEADER + "sub-a\tses-1\tx.nii\ttrain\tno score\n", "split train, left_out no score"),
        (HEADER + "sub-a\tses-1\tn/a\ttrain\tn/a\n", "sub-a ses-1: no path; expected the scan's"),
        (HEADER + "../a\tses-1\tx\ttrain\tn/a\n", r"m\.tsv: \.\./a ses-1: label '\.\./a'; expected sub-"),
        (HEADER + "sub-a\tses-1\tx\ttrain\tn/a\n" * 2, "sub-a ses-1 stands in two lines"),
    ],
)
def test_wrong_manifests(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "m.tsv"
    path.write_text(text)
    with pytest.raises(BidsError, match=message):
        read_manifest(path)


def test_no_manifest(tmp_path: Path) -> None:
    with pytest.raises(BidsError, match=r"m\.tsv: no such file; expected a manifest"):
        read_manifest(tmp_path / "m.tsv")
    with pytest.raises(BidsError, match=r"m\.csv: extension \.csv; expected \.tsv"):
        write_manifest([], tmp_path / "m.csv", {})
