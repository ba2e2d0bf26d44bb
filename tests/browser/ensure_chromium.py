"""Find a Chromium for the browser tests, or install one.

Debian's package where apt and root are there, else Playwright's own download.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def find_chromium() -> str | None:
    """Path of a usable browser, from PATH or from Playwright's cache; None where there is none."""
    for name in NAMES:
        found = shutil.which(name)
        if found is not None:
            return found
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if path != "" and Path(path).exists() else None


def install() -> None:
    """Install a browser; the package manager's own error goes to the terminal."""
    if shutil.which("apt-get") is not None and os.geteuid() == 0:
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run(["apt-get", "update", "-qq"], check=True, env=environment)
        subprocess.run(
            ["apt-get", "install", "-y", "-qq", "--no-install-recommends", "chromium", "fonts-dejavu-core"],
            check=True,
            env=environment,
            stdout=subprocess.DEVNULL,
        )
    else:
        subprocess.run([sys.executable, "-m", "playwright", "install", "chromium"], check=True)


def main() -> int:
    """Print the browser's path; exit 1 with one clear line where none can be had."""
    if find_chromium() is None:
        print("No Chromium found; installing one for the browser tests ...", flush=True)
        try:
            install()
        except (subprocess.CalledProcessError, OSError) as error:
            print(
                f"Chromium could not be installed: {error}. Install it by hand and try again.",
                file=sys.stderr,
            )
            return 1
    found = find_chromium()
    if found is None:
        print("Chromium is still not found after its installation.", file=sys.stderr)
        return 1
    print(f"Browser tests use {found}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
