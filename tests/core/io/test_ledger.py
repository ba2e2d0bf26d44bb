"""The ledger keeps the last word on each scan and step, whoever writes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from core.io.ledger import NAME, Line, read_ledger, record
from core.io.tables import BidsError

BAD = Line("sub-b", "ses-1", "prepare", "cube64", "train", "register: overlap with\treference\nis 0.2")


def test_the_last_line_of_a_scan_and_step_stands(tmp_path: Path) -> None:
    assert read_ledger(tmp_path) == []
    record(tmp_path / "new", [])
    assert not (tmp_path / "new").exists()
    record(tmp_path, [BAD, Line("sub-a", "ses-1", "prepare", "cube64")])
    record(tmp_path, [Line("sub-b", "ses-1", "prepare", "cube256", "train")])
    text = (tmp_path / NAME).read_text().splitlines()
    assert text[0] == "participant_id\tsession_id\tstep\ttarget\tsplit\treason"
    assert text[1] == "sub-a\tses-1\tprepare\tcube64\tn/a\tn/a"
    assert text[3] == "sub-b\tses-1\tprepare\tcube64\ttrain\tregister: overlap with reference is 0.2"
    assert [line.reason for line in read_ledger(tmp_path)] == [
        "",
        "",
        "register: overlap with reference is 0.2",
    ]
    record(tmp_path, [Line("sub-b", "ses-1", "prepare", "cube64", "test")])
    assert read_ledger(tmp_path)[2] == Line("sub-b", "ses-1", "prepare", "cube64", "test", "")
    assert len(read_ledger(tmp_path)) == 3


def test_commands_side_by_side_lose_nothing(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda n: record(tmp_path, [Line(f"sub-{n}", "ses-1", "analyze", "m")]), range(40)))
    assert len(read_ledger(tmp_path)) == 40


def test_a_damaged_ledger_is_named_and_begun_anew(tmp_path: Path) -> None:
    (tmp_path / NAME).write_text("subject\tsplit\nsub-a\ttrain\n")
    with pytest.raises(BidsError, match=r"ledger\.tsv"):
        read_ledger(tmp_path)
    record(tmp_path, [BAD])
    assert [line.subject for line in read_ledger(tmp_path)] == ["sub-b"]
