"""What commands are given by name: scans by file, BIDS folder or manifest; models; reference brains."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

from core.cli.console import UsageError
from core.config import settings
from core.io.bids import Scan, find_scans, scan_from_file
from core.io.cohort import families
from core.io.manifest import read_manifest
from core.io.splits import check_splits
from core.io.volume import READ, file_hash, load_mask, load_volume
from core.networks.zoo import ModelInfo, list_models, model_info
from core.predictor import Predictor, predictor
from core.preprocess.pipeline import Reference

DEMO, REFERENCE_NAME = "demo", "reference"
REFERENCE, REFERENCE_MASK = "reference_T2w.nii.gz", "reference_mask.nii.gz"


def scans_of(inputs: Sequence[Path], mask: Path | None = None) -> list[Scan]:
    """Scans of files, BIDS folders and manifests, in their order; of a manifest those that have a split.

    ``mask`` is the brain mask of a single file.

    Raises
    ------
    UsageError
        For a path that is not there, holds no scan, a scan named twice, or a mask for several.
    """
    if mask is not None and (len(inputs) != 1 or not inputs[0].is_file() or not mask.is_file()):
        raise UsageError(f"--brain-mask {mask}: expected a file, and a single scan file that it belongs to")
    found: list[Scan] = []
    for path in inputs:
        if path.is_dir():
            found += find_scans(path)
        elif path.suffix == ".tsv":
            found += [entry.scan for entry in read_manifest(path) if entry.left_out == ""]
        elif path.is_file():
            found.append(scan_from_file(path, mask))
        else:
            raise UsageError(
                f"{path}: no such file or folder; expected {', '.join(READ)}, a BIDS folder or a manifest.tsv"
            )
    if not found:
        raise UsageError(f"{', '.join(map(str, inputs))}: no T2w scan found; expected one or more")
    seen: dict[str, Scan] = {}
    for scan in found:
        case = f"{scan.subject}_{scan.session}"
        if case in seen:
            raise UsageError(
                f"{scan.path} and {seen[case].path} are both {case}; their results would share one folder"
            )
        seen[case] = scan
    return found


def split_scans_of(data: Path) -> list[Scan]:
    """Scans of one data set to learn from or be judged on: no subject, twin or family straddles splits.

    Raises
    ------
    UsageError, BidsError
        As ``scans_of``, and naming subjects and splits where one does.
    """
    scans = scans_of([data])
    family = families(scans)
    check_splits((replace(scan, family=family[scan.subject]) for scan in scans), data.name)
    return scans


def model_named(name: str) -> ModelInfo:
    """A model by its name in the models folder, or by its own folder.

    Raises
    ------
    UsageError
        For a name that is not there.
    """
    folder = settings().models_dir / name
    if re.fullmatch(r"[\w.-]+", name) and (folder / "config.json").is_file():
        return model_info(folder)
    if (Path(name) / "config.json").is_file():
        return model_info(Path(name))
    there = ", ".join(info.name for info in list_models(settings().models_dir)) or "none yet"
    raise UsageError(f"no model {name!r}; there are: {there}")


def reference_of_files(scan: Path, mask: Path) -> Reference:
    """A reference brain from a normal scan and its mask; their names, which may be a patient's, stay out."""
    volume = load_volume(scan)
    digest = hashlib.sha256((file_hash(scan) + file_hash(mask)).encode()).hexdigest()
    return Reference(volume=volume, mask=load_mask(mask, volume), hash=digest, name=REFERENCE_NAME)


def demo_reference() -> Reference:
    """The demo's reference brain; made at first use."""
    from core.demo.cohort import demo_reference as made  # nilearn's templates, only where they are wanted

    return made()


def recorded_hash(name: str, reference: Reference) -> str:
    """What config.json holds as ``reference_hash``: that of the files, or of the demo's recipe."""
    if name != DEMO:
        return reference.hash
    from core.demo.cohort import reference_recipe

    return reference_recipe()


@cache
def reference_of_model(folder: Path, name: str) -> Reference:
    """The reference that a model's inputs are registered to: the demo's, or the model's own.

    Raises
    ------
    UsageError
        Where it is not the one that the model was trained with.
    """
    own = folder / name, folder / REFERENCE_MASK
    reference = demo_reference() if name == DEMO else reference_of_files(*own)
    found, expected = recorded_hash(name, reference), model_info(folder).reference_hash
    if found != expected:
        raise UsageError(
            f"{folder}: reference {name} has hash {found[:12]}…, the model was trained with "
            f"{expected[:12]}…; train the model again, or restore its folder"
        )
    return reference


@cache
def predictor_of(folder: Path, device: str) -> Predictor:
    """Predictor of a model folder, once a process."""
    return predictor(model_info(folder), device)
