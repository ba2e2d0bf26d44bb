"""One scan analysed by three models that agree on some voxels and not on others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from app import routes
from app.cases import read_cases
from app.compare.analyses import Analyses, gather
from core.config import settings
from core.io.derivatives import CaseRecord
from tests.casefactory import BRIGHT_LEFT, DARK_RIGHT, Block, seal, write_case

SUBJECT = "sub-many"
# The bright block at 5, 3.25 and not at all; the dark one at −3.5, −3.5 and −2.5.
SEEN: dict[str, tuple[Block, ...]] = {
    "std_8x8": (BRIGHT_LEFT, DARK_RIGHT),
    "vae_8x8_512": (replace(BRIGHT_LEFT, z=3.25), DARK_RIGHT),
    "vae_16x16_1024": (replace(DARK_RIGHT, z=-2.5),),
}


def write_many(
    root: Path, subject: str = SUBJECT, stored: tuple[str, str, str] = ("R", "A", "S")
) -> list[CaseRecord]:
    """The scan of ``BLOCKS`` with the three models' analyses of it, in their order."""
    written = [write_case(root, subject, model=model, stored=stored, blocks=SEEN[model]) for model in SEEN]
    scan = write_case(root, subject, model="std_8x8", stored=stored, blocks=SEEN["std_8x8"])
    return [
        seal(root, replace(record, input_hash=scan.input_hash, settings={"floor_mm3": 10.0}))
        for record in written
    ]


@pytest.fixture
def many(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> list[CaseRecord]:
    """The scan in a process that serves the volume routes, unaided reads off."""
    monkeypatch.setenv("FONTANELLE_UNAIDED_READ", "false")
    settings.cache_clear()
    monkeypatch.setattr(routes._served, "on", True)
    return write_many(settings().derivatives_dir)


@pytest.fixture
def analyses(many: list[CaseRecord]) -> Analyses:
    root = settings().derivatives_dir
    return gather(root, many[0].case_id, read_cases(root)[0])
