"""``prepare``: what is left to do, and one bad scan among good ones."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from core.cli.prepare import Source, Task, waiting
from core.io.bids import Scan
from core.io.ledger import Line, read_ledger
from core.preprocess.pipeline import PrepareSettings
from tests.core.case_fakes import fake_prepare, reference, write_scan
from tests.core.conftest import Run


@pytest.fixture(autouse=True)
def phantom(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.prepared.prepare", fake_prepare)
    monkeypatch.setattr("core.cli.prepare.demo_reference", reference)


def test_a_file_that_is_gone_is_left_for_the_step_to_tell(tmp_path: Path) -> None:
    good = write_scan(tmp_path / "bids")
    gone = Scan("sub-gone", "ses-01", tmp_path / "gone_T2w.nii.gz")
    tasks = [Task(scan, Source(), tmp_path / "out", PrepareSettings(cube=16)) for scan in (gone, good)]
    assert waiting(tasks) == tasks


def test_a_bad_scan_is_reported_and_kept_in_the_ledger_until_it_goes_well(run: Run, tmp_path: Path) -> None:
    good, out = write_scan(tmp_path / "bids"), tmp_path / "out"
    bad = good.path.parents[3] / "sub-two" / "ses-01" / "anat" / "sub-two_ses-01_T2w.nii.gz"
    bad.parent.mkdir(parents=True)
    bad.write_bytes(b"no scan")
    asked = ("prepare", tmp_path / "bids", "--cube", 16, "--out", out, "--json")
    code, told, err = run(*asked)
    assert code == 1
    document = json.loads(told)
    assert [case["case"] for case in document["cases"]] == ["sub-one_ses-01"]
    assert [error["case"] for error in document["errors"]] == ["sub-two_ses-01"]
    assert "error: sub-two_ses-01: sub-two_ses-01_T2w.nii.gz: not a compressed image" in err
    one, two = read_ledger(out)
    assert one == Line("sub-one", "ses-01", "prepare", "cube16")
    assert two.reason.startswith("sub-two_ses-01_T2w.nii.gz: not a compressed image")
    bad.write_bytes(good.path.read_bytes())
    assert good.mask is not None
    mask = bad.with_name("sub-two_ses-01_desc-brain_mask.nii.gz")
    mask.write_bytes(good.mask.read_bytes())
    assert run(*asked)[0] == 0
    assert [line.reason for line in read_ledger(out)] == ["", ""]
