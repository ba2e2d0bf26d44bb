"""What readers have judged is kept by every command, and asked for when a scan's turn comes."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from core.config import settings
from core.io.derivatives import CasePaths, read_record
from core.judged import JudgedUnknown, judged_analyses
from tests.core.case_fakes import CountingNetwork, write_scan
from tests.core.conftest import Run
from tests.core.test_cli import network

__all__ = ["network"]  # a fixture
CASE = "sub-one_ses-01"


def judge(data: Path, key: str, model: str = "vae_8x8_512", case: str = CASE) -> None:
    """One row as the app writes it, in the columns that are read."""
    data.mkdir(exist_ok=True)
    with sqlite3.connect(data / "feedback.sqlite") as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS verdict (case_id TEXT, model TEXT, case_key TEXT)")
        connection.execute("INSERT INTO verdict VALUES (?, ?, ?)", (case, model, key))
    connection.close()


def stored() -> CasePaths:
    return CasePaths(settings().derivatives_dir, "sub-one", "ses-01")


def key() -> str:
    return read_record(stored().case_json("vae_8x8_512")).key


def test_a_judged_analysis_is_kept_until_told_otherwise(
    run: Run, network: CountingNetwork, tmp_path: Path
) -> None:
    scan, data = write_scan(tmp_path / "bids"), tmp_path / "data"
    assert run("analyze", scan.path)[0] == 0
    first, progress = key(), tmp_path / "progress.json"
    judge(data, first)
    changed = ("analyze", scan.path, "--floor-mm3", "600", "--progress-file", progress)
    code, out, err = run(*changed)
    assert (code, out, network.calls, key()) == (0, "", 1, first)
    assert f"kept: {CASE}: readers have judged its analysis by vae_8x8_512\n" in err
    assert "--redo-judged does what is kept anew; readers' answers then point at nothing" in err
    assert json.loads(progress.read_text())["state"] == "done"
    said = json.loads(run(*changed, "--json")[1])
    assert said == {
        "cases": [],
        "errors": [],
        "kept": {CASE: "readers have judged its analysis by vae_8x8_512"},
    }
    # The same content is there, not kept; in another folder nothing is shown to readers.
    assert run("analyze", scan.path)[1].startswith(CASE)
    assert run(*changed, "--out", tmp_path / "other")[1].startswith(CASE)
    assert run(*changed, "--redo-judged")[1].startswith(CASE)
    assert (key() == first, network.calls) == (False, 3)
    # Another's answer says nothing of this one.
    judge(data, key(), case="sub-two_ses-01")
    assert run("analyze", scan.path, "--floor-mm3", "700")[1].startswith(CASE)


def test_a_damaged_judged_analysis_is_made_whole(run: Run, network: CountingNetwork, tmp_path: Path) -> None:
    scan = write_scan(tmp_path / "bids")
    assert run("analyze", scan.path)[0] == 0
    first = key()
    judge(tmp_path / "data", first)
    stored().z("vae_8x8_512", "volume").unlink()
    assert run("analyze", scan.path)[1].startswith(CASE)
    assert (key(), network.calls) == (first, 2)
    assert stored().z("vae_8x8_512", "volume").is_file()


def test_an_answer_given_while_a_scan_waits_counts(
    run: Run, network: CountingNetwork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scan = write_scan(tmp_path / "bids")
    assert run("analyze", scan.path)[0] == 0
    first = key()
    from core.cli import analyze

    begun = analyze.run_all

    def judged_meanwhile(*arguments: object) -> object:
        judge(tmp_path / "data", first)
        return begun(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(analyze, "run_all", judged_meanwhile)
    assert run("analyze", scan.path, "--floor-mm3", "600")[0] == 0
    assert (key(), network.calls) == (first, 1)


def test_no_other_step_removes_what_is_judged(run: Run, network: CountingNetwork, tmp_path: Path) -> None:
    scan, other = write_scan(tmp_path / "bids"), write_scan(tmp_path / "b", seed=2)
    assert run("analyze", scan.path)[0] == 0
    judge(tmp_path / "data", key())
    for command in (("prepare", other.path, "--cube", "16"), ("analyze", other.path)):
        code, out, err = run(*command, "--replace")
        assert (code, out) == (0, "")
        assert f"kept: {CASE}: readers have judged its analysis by vae_8x8_512\n" in err
    assert stored().case_json("vae_8x8_512").is_file()
    assert run("prepare", other.path, "--cube", "16", "--replace", "--redo-judged")[0] == 0
    assert not stored().case_json("vae_8x8_512").exists()


def test_a_database_that_cannot_be_read_stops_the_scan(
    run: Run, network: CountingNetwork, tmp_path: Path
) -> None:
    scan = write_scan(tmp_path / "bids")
    assert run("analyze", scan.path)[0] == 0
    (tmp_path / "data" / "feedback.sqlite").write_bytes(b"no database, and long enough to be looked at" * 9)
    code, _, err = run("analyze", scan.path, "--floor-mm3", "600")
    assert code == 2
    assert "the feedback database can't be read (file is not a database)" in err
    assert run("analyze", scan.path, "--floor-mm3", "600", "--redo-judged")[0] == 0


def test_a_database_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    assert judged_analyses(f"sqlite:///{tmp_path / 'a # b' / 'x.sqlite'}", CASE) == frozenset()
    assert not list(tmp_path.iterdir())
    (tmp_path / "a # b").mkdir()
    judge(tmp_path / "a # b", "k")
    url = f"sqlite:///{tmp_path / 'a # b' / 'feedback.sqlite'}"
    assert judged_analyses(url, CASE) == {("vae_8x8_512", "k")}
    assert judged_analyses(url, "sub-two_ses-01") == frozenset()
    with pytest.raises(JudgedUnknown, match="FONTANELLE_DATABASE_URL"):
        judged_analyses("nonsense", CASE)
