"""The embedded cohort on disk: a BIDS data set of synthetic subjects, and the demo's reference brain."""

from __future__ import annotations

import hashlib
import io
import json
import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from core.config import settings as app_settings
from core.demo import REFERENCE_BRAIN
from core.demo.anatomy import Shape, build
from core.demo.contrast import acquire, contrast_at, paint
from core.demo.subject import (
    DemoError,
    DemoSettings,
    Finding,
    Spec,
    SyntheticSubject,
    make_subject,
    make_t1w,
    spec_of,
)
from core.demo.template import TISSUE_ML
from core.io.atomic import write_bytes
from core.io.volume import Volume, file_hash, load_volume, save_volume

if TYPE_CHECKING:
    from core.preprocess.pipeline import Reference

__all__ = ["RECIPE", "DemoError", "DemoSettings", "Spec", "SubjectFiles", "SyntheticSubject", "cohort_specs"]
__all__ += ["demo_reference", "make_subject", "spec_of", "write_cohort"]

# Raise it when the same settings shall give other voxels: older files are then made anew.
RECIPE = "3"
T1_RECIPE = "1"  # the same for T1w scans
Which = Literal["test", "all"]
Progress = Callable[[int, int, str], None]
PARTICIPANT_COLUMNS = ("participant_id", "session_id", "age", "sex", "radiology_score", "split")

README = """\
Fontanelle synthetic newborn-like cohort
========================================

EVERYTHING HERE IS SYNTHETIC. No newborn was scanned. The pictures look like T2-weighted MRI of
newborns so that the software can be tried and tested; they say nothing about any patient and must
not be used to judge a method's clinical worth.

Anatomy: the grey and white matter maps of the ICBM 152 nonlinear symmetric 2009a template, as
carried by nilearn (adults; Fonov et al. 2011, NeuroImage 54:313-327), shrunk to newborn size,
deformed at random for each subject, given newborn T2 contrast that moves with postmenstrual age, and
imaged with bias field, blur and Rician noise; T1w scans, where made, show the same heads on the same grid.

The abnormal test subjects carry made-up lesions. derivatives/lesions has their exact masks (a label
map, and lesions.tsv with type, side, volume and centroid), derivatives/brainmask the brain masks.
"""
DESCRIPTION: dict[str, Any] = {
    "Name": "Fontanelle synthetic newborn-like cohort",
    "BIDSVersion": "1.9.0",
    "DatasetType": "raw",
    "Synthetic": True,
    "License": "CC0-1.0; the ICBM 152 template (McConnell Brain Imaging Centre) keeps its own licence",
    "Authors": ["Fontanelle (synthetic)"],
    "SourceDatasets": [
        {
            "URL": "https://www.bic.mni.mcgill.ca/ServicesAtlases/ICBM152NLin2009",
            "Version": "nonlinear symmetric 2009a",
        }
    ],
    "ReferencesAndLinks": [
        "Fonov V, Evans AC, Botteron K, et al. Unbiased average age-appropriate atlases for pediatric "
        "studies. NeuroImage 2011;54(1):313-327. doi:10.1016/j.neuroimage.2010.07.033"
    ],
    "GeneratedBy": [{"Name": "Fontanelle", "Description": f"core.demo, recipe {RECIPE}"}],
}
PARTICIPANTS = {
    "participant_id": {"Description": "Synthetic subject"},
    "session_id": {"Description": "Session; one each"},
    "age": {"Description": "Postmenstrual age at scan that the contrast and size imitate", "Units": "weeks"},
    "sex": {"Description": "Moves head size only", "Levels": {"F": "female", "M": "male"}},
    "radiology_score": {
        "Description": "What a radiologist would score; here known by construction",
        "Levels": {"1": "normal", "5": "abnormal: has a lesion mask"},
    },
    "split": {
        "Description": "Use",
        "Levels": {"train": "normals", "validation": "held-out normals", "test": "both"},
    },
}


@dataclass(frozen=True)
class SubjectFiles:
    """Where one subject lies below the cohort's root."""

    root: Path
    spec: Spec

    def _file(self, tail: str, derivative: str = "") -> Path:
        base = self.root / "derivatives" / derivative if derivative else self.root
        s = self.spec
        return base / s.subject / s.session / "anat" / f"{s.subject}_{s.session}_{tail}"

    @property
    def scan(self) -> Path:
        return self._file("T2w.nii.gz")

    @property
    def t1w(self) -> Path:
        """On the T2w's grid; written where asked for."""
        return self._file("T1w.nii.gz")

    @property
    def t1w_sidecar(self) -> Path:
        return self._file("T1w.json")

    @property
    def mask(self) -> Path:
        return self._file("desc-brain_mask.nii.gz", "brainmask")

    @property
    def lesions(self) -> Path:
        """Label map; abnormal subjects only."""
        return self._file("desc-lesion_mask.nii.gz", "lesions")

    @property
    def sidecar(self) -> Path:
        """Written last, so its presence says that the subject is whole."""
        return self._file("T2w.json")

    @property
    def images(self) -> list[Path]:
        return [self.scan, self.mask] + ([self.lesions] if self.spec.plans else [])


def cohort_specs(which: Which, settings: DemoSettings) -> list[Spec]:
    """The subjects of a part of the cohort, by number.

    Raises
    ------
    DemoError
        On another ``which`` than "test" or "all".
    """
    if which not in ("test", "all"):
        raise DemoError(f'which: {which!r}; expected "test" or "all"')
    specs = [spec_of(number, settings) for number in range(1, settings.count + 1)]
    return [spec for spec in specs if which == "all" or spec.split == "test"]


def _recipe(settings: DemoSettings, spec: Spec) -> str:
    """Hash of all that a subject's voxels depend on."""
    content = [RECIPE, settings.seed, settings.coarsen, asdict(spec)]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def _read_whole(files: SubjectFiles, recipe: str) -> dict[str, Any] | None:
    """The sidecar, if all files stand as it says and the recipe is this one."""
    try:
        sidecar = json.loads(files.sidecar.read_text())
        hashes = {path.name: file_hash(path) for path in files.images}
    except (OSError, ValueError):
        return None
    whole = isinstance(sidecar, dict) and sidecar.get("Recipe") == recipe and sidecar.get("Files") == hashes
    return sidecar if whole else None


def _write_text(path: Path, text: str) -> None:
    """Write, unless the file says so already."""
    content = text.encode()
    if not path.is_file() or path.read_bytes() != content:
        write_bytes(path, content)


def _write_subject(number: int, root: Path, settings: DemoSettings) -> int:
    made = make_subject(number, settings)
    files = SubjectFiles(root, made.spec)
    files.sidecar.unlink(missing_ok=True)
    save_volume(made.volume, files.scan, np.int16)
    save_volume(made.mask, files.mask, np.uint8)
    files.lesions.unlink(missing_ok=True)
    if made.spec.plans:
        save_volume(made.lesions, files.lesions, np.uint8)
    sidecar = {
        "Modality": "MR",
        "Synthetic": True,
        "PostmenstrualAge": made.spec.age,
        "Recipe": _recipe(settings, made.spec),
        "Lesions": [asdict(finding) for finding in made.findings],
        "Files": {path.name: file_hash(path) for path in files.images},
    }
    _write_text(files.sidecar, json.dumps(sidecar, indent=1) + "\n")
    return number


def _write_t1w(number: int, root: Path, settings: DemoSettings) -> int:
    volume = make_t1w(number, settings)
    spec = spec_of(number, settings)
    files = SubjectFiles(root, spec)
    files.t1w_sidecar.unlink(missing_ok=True)
    save_volume(volume, files.t1w, np.int16)
    sidecar = {
        "Modality": "MR",
        "Synthetic": True,
        "PostmenstrualAge": spec.age,
        "Recipe": _t1w_recipe(settings, spec),
        "Files": {files.t1w.name: file_hash(files.t1w)},
    }
    _write_text(files.t1w_sidecar, json.dumps(sidecar, indent=1) + "\n")
    return number


def _t1w_recipe(settings: DemoSettings, spec: Spec) -> str:
    return hashlib.sha256(f"{T1_RECIPE} {_recipe(settings, spec)}".encode()).hexdigest()[:16]


def _t1w_whole(files: SubjectFiles, settings: DemoSettings) -> bool:
    try:
        sidecar = json.loads(files.t1w_sidecar.read_text())
        return bool(
            sidecar["Recipe"] == _t1w_recipe(settings, files.spec)
            and sidecar["Files"] == {files.t1w.name: file_hash(files.t1w)}
        )
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _table(rows: Sequence[dict[str, Any]], columns: Sequence[str]) -> str:
    stream = io.StringIO()
    pd.DataFrame(rows, columns=list(columns)).to_csv(stream, sep="\t", index=False, lineterminator="\n")
    return stream.getvalue()


def _write_tables(root: Path, settings: DemoSettings) -> None:
    """Data set files, and one row for each whole subject of the cohort."""
    people: list[dict[str, Any]] = []
    lesions: list[dict[str, Any]] = []
    for spec in cohort_specs("all", settings):
        sidecar = _read_whole(SubjectFiles(root, spec), _recipe(settings, spec))
        if sidecar is None:
            continue
        values = (spec.subject, spec.session, spec.age, spec.sex, spec.radiology_score, spec.split)
        people.append(dict(zip(PARTICIPANT_COLUMNS, values, strict=True)))
        lesions += [{"subject": spec.subject, **row} for row in sidecar["Lesions"]]
    derived = DESCRIPTION | {"DatasetType": "derivative"}
    _write_text(root / "dataset_description.json", json.dumps(DESCRIPTION, indent=1) + "\n")
    for name in ("brainmask", "lesions"):
        text = json.dumps(derived | {"Name": f"{DESCRIPTION['Name']}: {name}"}, indent=1) + "\n"
        _write_text(root / "derivatives" / name / "dataset_description.json", text)
    _write_text(root / "README", README)
    _write_text(root / ".bidsignore", "reference/\n")
    _write_text(root / "participants.json", json.dumps(PARTICIPANTS, indent=1) + "\n")
    columns = ["subject", *(field.name for field in fields(Finding))]
    _write_text(root / "derivatives" / "lesions" / "lesions.tsv", _table(lesions, columns))
    _write_text(root / "participants.tsv", _table(people, PARTICIPANT_COLUMNS))


def write_cohort(
    root: Path,
    which: Which = "test",
    settings: DemoSettings | None = None,
    jobs: int = 2,
    progress: Progress | None = None,
    t1w: bool = False,
) -> list[SubjectFiles]:
    """Write the cohort, or its test part, as a BIDS data set; whole subjects of the same recipe are kept.

    Parameters
    ----------
    root: folder of the data set; made where it is missing.
    which: "test" or "all".
    settings: the cohort; its default is the demo's.
    jobs: processes; 1 works in this one.
    progress: called with (scans done, scans in all, name of the last one's subject).
    t1w: a T1w scan beside each T2w; those that are there stay where it is False.

    Raises
    ------
    DemoError
        On another ``which``.
    """
    settings = settings or DemoSettings()
    specs = cohort_specs(which, settings)
    files = {spec.number: SubjectFiles(root, spec) for spec in specs}
    write = partial(_write_subject, root=root, settings=settings)
    write_t1w = partial(_write_t1w, root=root, settings=settings)
    missing = [(write, s.number) for s in specs if _read_whole(files[s.number], _recipe(settings, s)) is None]
    if t1w:
        missing += [(write_t1w, s.number) for s in specs if not _t1w_whole(files[s.number], settings)]
    total = len(specs) * (2 if t1w else 1)
    done = total - len(missing)

    def tell(number: int) -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, total, files[number].spec.subject)

    if jobs == 1 or len(missing) <= 1:
        for make, number in missing:
            tell(make(number))
    else:
        # spawn: forking a process with running threads can hang.
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(min(jobs, len(missing)), mp_context=context) as pool:
            for future in as_completed([pool.submit(make, number) for make, number in missing]):
                tell(future.result())
    _write_tables(root, settings)
    return list(files.values())


def _reference_volumes() -> tuple[Volume, Volume]:
    """The template as a 40-week newborn: no deformation, noise or bias; skull-stripped, 1 mm."""
    size = (375 / TISSUE_ML) ** (1 / 3)
    shape = Shape(scale=(size, size, size), deformation=0.0)
    grid, affine = (104, 124, 108), np.eye(4)
    affine[:3, 3] = [-51.5, -61.5, -53.5]
    tissues = build(shape, grid, affine)
    contrast = contrast_at(40, texture=0.0, bias=0.0, noise=0.0)
    rng = np.random.default_rng(0)
    signal = acquire(paint(tissues, contrast, rng, 1.0), contrast, rng, np.ones(3))
    mask = tissues.volume(tissues.brain.astype(np.float32))
    volume = Volume(np.round(signal * mask), affine)
    return volume, volume.with_data(mask)


def reference_recipe() -> str:
    """What makes the demo's reference scan and mask, hashed: the same on all machines.

    Their voxels are rounded from floating point, which other processors may round otherwise, and their files
    are compressed, which other versions of zlib may do otherwise.
    """
    return hashlib.sha256(json.dumps(["reference", RECIPE]).encode()).hexdigest()


def demo_reference() -> Reference:
    """The demo's reference brain, made on first use, kept in the data folder, made anew if damaged."""
    from core.preprocess.pipeline import Reference

    folder = app_settings().demo_dir / "reference"
    scan, mask, sidecar = folder / "T2w.nii.gz", folder / "brain_mask.nii.gz", folder / "T2w.json"
    try:
        hashes = {path.name: file_hash(path) for path in (scan, mask)}
        whole = json.loads(sidecar.read_text()) == {"Synthetic": True, "Recipe": RECIPE, "Files": hashes}
    except (OSError, ValueError):
        whole = False
    if not whole:
        volume, brain = _reference_volumes()
        save_volume(volume, scan, np.int16)
        save_volume(brain, mask, np.uint8)
        hashes = {path.name: file_hash(path) for path in (scan, mask)}
        _write_text(sidecar, json.dumps({"Synthetic": True, "Recipe": RECIPE, "Files": hashes}) + "\n")
    return Reference(
        volume=load_volume(scan),
        mask=load_volume(mask),
        hash=hashlib.sha256((hashes[scan.name] + hashes[mask.name]).encode()).hexdigest(),
        name=REFERENCE_BRAIN,
    )
