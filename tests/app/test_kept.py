"""What the app leaves as it is, since readers have judged it."""

from __future__ import annotations

from pathlib import Path

from app import kept
from app.feedback.store import open_store
from core.config import settings
from core.io.derivatives import CasePaths
from tests.app.feedback.readings import first, reader
from tests.casefactory import write_case


def test_a_scan_is_found_by_its_file(data_dir: Path) -> None:
    found = kept.paths_of(Path("/uploads/sub-a/ses-01/anat/sub-a_ses-01_T2w.nii.gz"))
    assert found == CasePaths(settings().derivatives_dir, "sub-a", "ses-01")
    assert kept.paths_of(Path("/in/site-b")) is None
    assert kept.paths_of(Path("/in/sub-a_T2w.nii.gz")) is None


def test_what_has_answers_and_is_on_disk_is_kept(data_dir: Path) -> None:
    root = settings().derivatives_dir
    record, _ = write_case(root, "sub-a"), write_case(root, "sub-a", model="std_8x8")
    paths = CasePaths(root, "sub-a", "ses-01")
    assert kept.kept_models(paths, ["vae_8x8_512", "std_8x8"]) == []
    store = open_store(settings().store_url)
    first(store, reader(store, "Ada"), record=record)
    assert kept.kept_models(paths, ["std_8x8", "vae_8x8_512", "restorer"]) == ["vae_8x8_512"]
    paths.case_json("vae_8x8_512").unlink()
    assert kept.kept_models(paths, ["vae_8x8_512"]) == []


def test_says_which_and_why() -> None:
    assert kept.sentence([]) == ""
    assert kept.sentence(["a"]) == "a is kept: readers have judged it."
    assert kept.sentence(["a", "b", "c"]) == "a, b and c are kept: readers have judged them."
