"""The command line, called in the test's own process."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from core.__main__ import main
from core.config import settings

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Run]:
    """Call a command in this process, in folders of its own: exit code, stdout, stderr."""
    monkeypatch.setenv("FONTANELLE_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("FONTANELLE_MODELS_DIR", str(tmp_path / "models"))
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    settings.cache_clear()
    before = signal.getsignal(signal.SIGTERM)

    def call(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as exit_:
            main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return int(exit_.value.code or 0), out, err

    yield call
    signal.signal(signal.SIGTERM, before)
    settings.cache_clear()
