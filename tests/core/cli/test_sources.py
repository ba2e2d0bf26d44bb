"""Scans that commands are given by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.cli.sources import split_scans_of
from core.io.tables import BidsError
from tests.core.conftest import Run
from tests.core.networks.test_zoo import write as write_model


def folder_of(root: Path, lines: list[tuple[str, str, str]]) -> Path:
    """A BIDS folder of (subject, session, split)."""
    rows = ["participant_id\tsession_id\tradiology_score\tsplit"]
    for subject, session, split in lines:
        path = root / subject / session / "anat" / f"{subject}_{session}_T2w.nii.gz"
        path.parent.mkdir(parents=True)
        path.write_bytes(b"x")
        rows.append(f"{subject}\t{session}\t1\t{split}")
    (root / "participants.tsv").write_text("\n".join(rows) + "\n")
    return root


def test_sessions_and_twins_stay_in_one_split(tmp_path: Path) -> None:
    """Splits were checked by `cohort import` alone: a folder's own could share subjects."""
    whole = [("sub-1", "ses-1", "train"), ("sub-1", "ses-2", "train"), ("sub-2", "ses-1", "test")]
    assert len(split_scans_of(folder_of(tmp_path / "whole", whole))) == 3
    parted = [*whole, ("sub-2", "ses-2", "validation")]
    with pytest.raises(BidsError, match=r"^parted: sub-2 is in test \(ses-1\) and in validation \(ses-2\)"):
        split_scans_of(folder_of(tmp_path / "parted", parted))
    twins = [("sub-CC00087AN14", "ses-1", "train"), ("sub-CC00087BN14", "ses-1", "test")]
    with pytest.raises(
        BidsError, match=r"sub-CC00087AN14 in train and sub-CC00087BN14 in test are of one fam"
    ):
        split_scans_of(folder_of(tmp_path / "twins", twins))


@pytest.mark.parametrize("command", [("train", "std_8x8", "--data"), ("evaluate", "--models", "std_8x8")])
def test_commands_that_learn_or_judge_refuse_them(run: Run, tmp_path: Path, command: tuple[str, ...]) -> None:
    write_model(tmp_path / "models" / "std_8x8", "std_8x8")
    lines = [
        (f"sub-{n}", f"ses-{m}", split) for n in range(3) for m, split in enumerate(("train", "validation"))
    ]
    code, _, err = run(*command, folder_of(tmp_path / "bids", lines))
    assert code == 2
    assert "bids: sub-0 is in train (ses-0) and in validation (ses-1); expected one split a subject" in err
