"""A folder that holds a model of another training is not overwritten without a word."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from core.cli.console import UsageError
from core.cli.prepare import source_of
from core.cli.seen import SEEN, seen_record
from core.cli.sources import reference_of_files
from core.cli.target import check_target, kept, recorded_reference
from core.io.bids import Scan
from core.io.volume import load_volume, save_volume
from core.networks.train_settings import TrainSettings
from core.networks.zoo import model_info
from core.preprocess.pipeline import settings_from_dict, settings_to_dict
from tests.core.case_fakes import write_scan
from tests.core.networks.test_zoo import write as write_model

OPTIONS = TrainSettings(epochs=3)


def scans(folder: Path, prefix: str, count: int, session: str = "ses-01") -> list[Scan]:
    """Scans whose files hold their labels."""
    found = []
    for number in range(count):
        path = folder / f"{prefix}{number}_{session}_T2w.nii.gz"
        path.write_text(path.name)
        found.append(Scan(subject=f"sub-{prefix}{number}", session=session, path=path, synthetic=True))
    return found


def written(folder: Path, seen: dict[str, object]) -> Path:
    """A model trained on five and three scans of "mine"."""
    write_model(folder)
    raw = json.loads((folder / "config.json").read_text())
    raw["preprocess"] = settings_to_dict(settings_from_dict({"cube": raw["network"]["cube"]}))
    raw["training"] = {"data": "mine", "n_train": 5, "n_validation": 3, "settings": asdict(OPTIONS), **seen}
    (folder / "config.json").write_text(json.dumps(raw))
    return folder


def test_training_again_needs_a_word_where_something_else_would_be_lost(tmp_path: Path) -> None:
    train, held_out = scans(tmp_path, "t", 5), scans(tmp_path, "v", 3)
    folder = written(tmp_path / "vae_8x8_256", {})
    info = model_info(folder)
    same = (info.config, OPTIONS, settings_from_dict(info.preprocess))
    reference = (info.reference, info.reference_hash)
    check_target(folder, *same, "mine", train, held_out, reference)
    check_target(tmp_path / "new", *same, "other", train, held_out, reference)
    # Where and how long it runs does not make it another training.
    check_target(
        folder,
        same[0],
        replace(OPTIONS, threads=7, max_minutes=2.0),
        same[2],
        "mine",
        train,
        held_out,
        reference,
    )
    with pytest.raises(UsageError, match=r"vae_8x8_256: holds .* on mine, .* other data\), .* --replace"):
        check_target(folder, *same, "other", train, held_out, reference)
    with pytest.raises(UsageError, match=r"other scans\)"):
        check_target(folder, *same, "mine", [*train, *held_out[:1]], held_out, reference)
    with pytest.raises(UsageError, match=r"other settings\)"):
        check_target(folder, same[0], replace(OPTIONS, seed=1), same[2], "mine", train, held_out, reference)
    with pytest.raises(UsageError, match=r"other reference\)"):
        check_target(folder, *same, "mine", train, held_out, (info.reference, "0" * 64))
    real = [replace(scan, synthetic=False) for scan in train]
    with pytest.raises(UsageError, match=r"other synthetic\)"):
        check_target(folder, *same, "mine", real, held_out, reference)
    (folder / "weights.safetensors").unlink()
    with pytest.raises(UsageError, match=r"holds a model already .*no weights.safetensors.*--replace"):
        check_target(folder, *same, "mine", train, held_out, reference)


def test_other_scans_of_one_name_and_number_are_another_training(tmp_path: Path) -> None:
    """Data were told apart by the last part of their path and the number of scans."""
    train, held_out = scans(tmp_path, "t", 5), scans(tmp_path, "v", 3)
    folder = written(tmp_path / "vae_8x8_256", {SEEN: seen_record(train, held_out)})
    info = model_info(folder)
    same = (info.config, OPTIONS, settings_from_dict(info.preprocess), "mine")
    reference = (info.reference, info.reference_hash)
    check_target(folder, *same, train[::-1], held_out[::-1], reference)
    for others, rest in (
        (scans(tmp_path, "x", 5), held_out),
        (train, scans(tmp_path, "v", 3, "ses-02")),
        ([*train[:4], held_out[0]], [train[4], *held_out[1:]]),
    ):
        with pytest.raises(UsageError, match=r"other scans\)"):
            check_target(folder, *same, others, rest, reference)


def test_the_record_names_nobody(tmp_path: Path) -> None:
    record = seen_record(scans(tmp_path, "t", 5), scans(tmp_path, "v", 3))
    assert "sub-" not in json.dumps(record)
    assert [len(record[name]) for name in ("splits", "subjects", "files")] == [64, 8, 8]
    assert record["subjects"] == sorted(record["subjects"])


def test_the_reference_is_known_before_training(tmp_path: Path) -> None:
    """Its hash is that of the files that the model folder will hold, not of those given."""
    scan, plain = write_scan(tmp_path), tmp_path / "plain.nii"
    save_volume(load_volume(scan.path), plain)
    source = source_of(plain, scan.mask)
    own = kept(source, tmp_path)
    assert own.scan is not None
    assert own.mask is not None
    assert recorded_reference(source) == (own.name, reference_of_files(own.scan, own.mask).hash)
    assert recorded_reference(source)[1] != reference_of_files(plain, own.mask).hash
