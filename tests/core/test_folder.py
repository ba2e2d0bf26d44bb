"""A case's folder: nothing but results is ever removed, and what is not whole is never trusted."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from core.folder import FolderError, JudgedError, claim, disowned, staging
from core.io.bids import Scan
from core.io.derivatives import CasePaths


@pytest.fixture
def paths(tmp_path: Path) -> CasePaths:
    found = CasePaths(tmp_path, "sub-one", "ses-01")
    found.folder.mkdir(parents=True)
    return found


def put(path: Path, document: object) -> Path:
    path.write_text(json.dumps(document))
    return path


def test_raw_scans_in_the_same_folder_stay(paths: CasePaths) -> None:
    raw = [
        paths.file("T2w.nii.gz"),
        paths.file("T1w.nii.gz"),
        paths.folder / "sub-two_ses-01_model-x_case.json",
    ]
    for path in (*raw, paths.mask, paths.acquired):
        path.write_bytes(b"voxels")
    put(paths.case_json("vae_8x8_512"), {"input_hash": "b" * 64, "schema": 1})
    scan = Scan("sub-one", "ses-01", raw[0], paths.mask)
    claim(paths, scan, "a" * 64, replace_scan=True)
    assert all(path.exists() for path in (*raw, paths.mask))
    assert not paths.acquired.exists()
    assert not paths.case_json("vae_8x8_512").exists()


def test_records_of_any_schema_say_whose_the_folder_is(paths: CasePaths) -> None:
    scan = Scan("sub-one", "ses-01", paths.file("T2w.nii.gz"))
    claim(paths, scan, "a" * 64)
    paths.case_json("std_8x8").write_text("{damaged")
    put(paths.prepared_json(64), {"inputs": {"scan": "a" * 64}})
    claim(paths, scan, "a" * 64)
    put(paths.case_json("vae_8x8_512"), {"input_hash": "b" * 64, "schema": 0})
    with pytest.raises(FolderError, match=r"\(sha256 bbbbbbbbbbbb…\), this one is aaaaaaaaaaaa…"):
        claim(paths, scan, "a" * 64)


def test_disown_takes_what_counts_on_other_contents(paths: CasePaths) -> None:
    mask = paths.mask.name
    same = put(paths.case_json("std_8x8"), {"files": {mask: "1", "z": "2"}})
    other = put(paths.case_json("vae_8x8_512"), {"files": {mask: "0"}})
    apart = put(paths.prepared_json(32), {"files": {"cube": "3"}})
    unsaid = put(paths.prepared_json(64), {"key": "k"})
    assert same not in (found := disowned(paths, {mask: "1"}))
    assert apart not in found
    assert set(found) == {other, unsaid}


def test_a_record_that_is_kept_stops_what_would_remove_it(paths: CasePaths) -> None:
    scan = Scan("sub-one", "ses-01", paths.file("T2w.nii.gz"))
    paths.mask.write_bytes(b"old")
    judged = put(
        paths.case_json("vae_8x8_512"),
        {"input_hash": "b" * 64, "model": "vae_8x8_512", "files": {paths.mask.name: "0"}},
    )
    names: list[object] = []

    def keep(document: Mapping[str, object]) -> bool:
        names.append(document["model"])
        return document["model"] == "vae_8x8_512"

    why = "^readers have judged its analysis by vae_8x8_512$"
    with pytest.raises(JudgedError, match=why):
        claim(paths, scan, "a" * 64, replace_scan=True, keep=keep)
    other = paths.case_json("std_8x8")
    with pytest.raises(JudgedError, match=why), staging(paths, "case", other, keep) as staged:
        staged.mask.write_bytes(b"new")
    assert (paths.mask.read_bytes(), judged.exists(), other.exists()) == (b"old", True, False)
    with staging(paths, "case", other, keep) as staged:  # touches nothing of the judged one
        staged.acquired.write_bytes(b"scan")
    assert judged.exists()
    claim(paths, scan, "a" * 64, replace_scan=True)
    assert not judged.exists()
    assert names == ["vae_8x8_512"] * 2


def test_staged_files_appear_together_or_not_at_all(paths: CasePaths) -> None:
    paths.mask.write_bytes(b"old")
    last = paths.case_json("std_8x8")
    put(last, {"files": {}})

    def interrupted() -> None:
        with staging(paths, "case", last) as staged:
            assert replace(staged, root=paths.root) == paths
            staged.mask.write_bytes(b"new")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert paths.mask.read_bytes() == b"old"
    assert last.exists()
    with staging(paths, "case", last) as staged:
        staged.mask.write_bytes(b"new")
        put(staged.case_json("std_8x8"), {"files": {}, "new": True})
    assert paths.mask.read_bytes() == b"new"
    assert json.loads(last.read_text())["new"]
    assert sorted(path.name for path in paths.folder.iterdir()) == sorted([paths.mask.name, last.name])
