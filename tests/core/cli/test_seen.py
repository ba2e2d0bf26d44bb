"""What a model's record tells of test scans."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from core.cli.console import UsageError
from core.cli.seen import SEEN, seen_record, splits_hash, told_of_tests
from core.io.bids import Scan
from core.networks.zoo import ModelInfo
from tests.core.networks.test_zoo import write as write_model


def scan(folder: Path, subject: str, content: str) -> Scan:
    path = folder / f"{subject}_{content}_T2w.nii.gz"
    path.write_text(content)
    return Scan(subject=subject, session="ses-01", path=path, split="test")


@pytest.fixture
def train(tmp_path: Path) -> list[Scan]:
    return [scan(tmp_path, "sub-1", "one"), scan(tmp_path, "sub-2", "two")]


@pytest.fixture
def model(tmp_path: Path, train: list[Scan]) -> ModelInfo:
    """Trained on sub-1, held out sub-2."""
    plain = write_model(tmp_path / "models" / "vae_8x8_256")
    return replace(plain, training={SEEN: seen_record(train[:1], train[1:])})


def test_files_that_a_model_has_seen_are_refused_under_any_label(model: ModelInfo, tmp_path: Path) -> None:
    """A network could be judged on its own training scans, and no page said so."""
    fresh = scan(tmp_path, "sub-3", "three")
    for content in ("one", "two"):
        other = scan(tmp_path, "sub-9", content)
        with pytest.raises(UsageError, match=r"vae_8x8_256: 1 of 2 test scans are among .* sub-9 ses-01"):
            told_of_tests([model], [fresh, other])


def test_labels_alone_are_told_and_warned_of(
    model: ModelInfo, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = replace(model, training={})
    fresh, again = scan(tmp_path, "sub-3", "three"), scan(tmp_path, "sub-1", "another session")
    assert told_of_tests([old, model], [fresh]) == ["not recorded", "none"]
    assert capsys.readouterr().err == ""
    assert told_of_tests([old, model], [fresh, again]) == ["not recorded", "sub-1"]
    assert "warning: vae_8x8_256: test subjects with labels that it was trained" in capsys.readouterr().err
    assert told_of_tests([old], [replace(fresh, path=tmp_path / "gone.nii")]) == ["not recorded"]


def test_a_scan_that_is_not_there_is_left_to_its_own_error(model: ModelInfo, tmp_path: Path) -> None:
    gone = Scan(subject="sub-3", session="ses-01", path=tmp_path / "gone.nii")
    assert told_of_tests([model], [gone]) == ["none"]


def test_splits_are_told_apart_by_subject_session_and_use(train: list[Scan]) -> None:
    one, two = train
    assert splits_hash([one, two], []) == splits_hash([two, one], [])
    others = [splits_hash([one], [two]), splits_hash([two], [one]), splits_hash([one, two], [])]
    others.append(splits_hash([replace(one, session="ses-02")], [two]))
    assert len(set(others)) == 4
