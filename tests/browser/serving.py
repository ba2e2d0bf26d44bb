"""The app in a process of its own on a free port: for the browser tests and for README's pictures."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from core.config import ROOT

START_SECONDS = 60.0


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as response:
            return bool(response.status == 200)
    except OSError:
        return False


@contextmanager
def served_app(
    environment: Mapping[str, str], log: Path, entry: str = "app/server.py", port: int = 0
) -> Iterator[str]:
    """Start the app with more environment, wait until it answers, give its address, and stop it.

    ``entry`` is another ASGI script below the repository, of a page made for a test; ``port`` that of a
    server of before.

    Raises
    ------
    RuntimeError
        Where it does not answer within a minute; the text holds its log.
    """
    port = port or _free_port()
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "streamlit", "run", entry, "--server.port", str(port)],
            cwd=ROOT,
            env={**os.environ, **environment},
            stdout=stream,
            stderr=stream,
        )
    url = f"http://127.0.0.1:{port}"
    try:
        end = time.monotonic() + START_SECONDS
        while not _answers(f"{url}/fontanelle/health"):
            if process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"the app did not start:\n{log.read_text()}")
            time.sleep(0.2)
        yield url
    finally:
        process.terminate()
        process.wait(20)
