"""A scheduler or workers that would give other results, or hide them, are refused before they start."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from core import scheduler
from core.config import settings
from core.scheduler import ClusterError, Terms, elsewhere, facts, terms


def a_cluster(scheduler: dict[str, str], worker: Any, threads: int = 1) -> Any:
    """A Dask client whose scheduler and only worker say these versions of themselves."""
    packages = {**facts(), "python": f"{facts()['python']}.99.final.0", **scheduler}
    answer = {**facts(), **worker} if isinstance(worker, dict) else worker
    return SimpleNamespace(
        get_versions=lambda: {"scheduler": {"packages": packages}},
        scheduler_info=lambda n_workers: {"workers": {"tcp://n7:1": {"host": "n7", "nthreads": threads}}},
        run=lambda work, *_, **__: {"tcp://n7:1": answer if work is facts else True},
    )


@pytest.mark.parametrize(
    ("made", "text"),
    [
        (a_cluster({"distributed": "1.0"}, {}), r"the scheduler has distributed 1\.0 \(expected 20"),
        (a_cluster({"python": "2.7.1"}, {}), r"the scheduler has python 2\.7 \(expected 3"),
        (a_cluster({}, {"antspyx": "0.1"}), r"worker on n7 has antspyx 0\.1 \(expected \d"),
        (
            a_cluster({}, ImportError("No module named 'core'")),
            "worker on n7 can't use Fontanelle .No module",
        ),
        (a_cluster({}, {}, threads=2), "worker on n7 has 2 threads; expected 1"),
    ],
)
def test_what_would_give_other_results_is_refused(made: Any, text: str) -> None:
    with pytest.raises(ClusterError, match=text):
        scheduler._check(made, "tcp://head:8786", None)
    scheduler._check(a_cluster({}, {}), "tcp://head:8786", None)


def test_workers_must_see_what_is_written_here(tmp_path: Path) -> None:
    there: Any = SimpleNamespace(run=lambda test, place: {"tcp://a:1": True, "tcp://b:1": False})
    assert scheduler._blind(there, tmp_path / "new", written=True) == ["tcp://b:1"]
    assert list((tmp_path / "new").iterdir()) == []
    here: Any = SimpleNamespace(run=lambda test, place: {"tcp://a:1": test(place)})
    assert scheduler._blind(here, tmp_path, written=True) == []
    assert scheduler._blind(here, tmp_path / "gone", written=False) == ["tcp://a:1"]


def settings_here(item: str) -> tuple[str, str, str]:
    return os.getcwd(), str(settings().data_dir), settings().scheduler


def test_a_worker_works_in_the_commands_folder_with_its_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FONTANELLE_DATA_DIR", "mine")  # relative: the command's folder counts
    monkeypatch.setenv("FONTANELLE_SCHEDULER", "tcp://head:8786")
    monkeypatch.setenv("FONTANELLE_MODELS_DIR", str(tmp_path / "models"))
    monkeypatch.setenv("FONTANELLE_BRAIN_EXTRACTOR", "")
    monkeypatch.setenv("FONTANELLE_SECRET", "s3cret")
    settings.cache_clear()
    told = terms()
    assert "s3cret" not in str(told)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    monkeypatch.setenv("FONTANELLE_DATA_DIR", "theirs")
    settings.cache_clear()
    try:
        assert elsewhere(told, settings_here, "x") == (str(tmp_path), str(tmp_path / "mine"), "")
        late = Terms(told.folder, {**facts(), "antspyx": "0"}, told.environment)
        with pytest.raises(ClusterError, match="'antspyx': '0'"):
            elsewhere(late, settings_here, "x")
    finally:
        settings.cache_clear()
