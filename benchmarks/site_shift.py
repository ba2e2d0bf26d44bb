"""What another site's scanner breaks, and what ten of its own normals repair: on a shifted copy of the demo.

The demo's test scans are imaged anew by another synthetic scanner (``core.demo.site``). Ten synthetic normals
of that scanner, of other heads than the cohort's, calibrate a copy of each model, without training: with the
maps alone, and with intensities brought to the model's first.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.measure import keep, options
from core.case import AnalyzeSettings
from core.cli.calibrating import prepare_split
from core.cli.prepare import Source
from core.cli.site import site_copy
from core.cli.sources import model_named
from core.config import PREFIX, settings
from core.demo.site import SiteShift, shifted
from core.demo.subject import DemoSettings, make_subject
from core.evaluation import localisation
from core.evaluation.baselines import network_scorer
from core.evaluation.cohort import Measured, auc_table, subject_table
from core.evaluation.lesions import case_of, find_lesions
from core.evaluation.measure import MeasureSettings, measure, read_cube
from core.evaluation.statistics import mean_estimate
from core.evaluation.wording import VARIANTS
from core.io.bids import Scan, find_scans
from core.io.volume import Volume, load_mask, load_volume, save_volume
from core.networks.zoo import ModelInfo
from core.predictor import predictor
from core.preprocess.pipeline import settings_from_dict

MODELS = ("vae_8x8_512", "restorer")
SEED, NORMALS = 20240, 10
MAPS = ("normative", "fused")


def write(root: Path, subject: str, volume: Volume, mask: Volume, score: int, split: str) -> str:
    """One subject's files; its line of participants.tsv."""
    folder, name = root / subject / "ses-01" / "anat", f"{subject}_ses-01"
    save_volume(volume, folder / f"{name}_T2w.nii.gz", np.int16)
    save_volume(mask, folder / f"{name}_desc-brain_mask.nii.gz", np.uint8)
    return f"{subject}\tses-01\t{score}\t{split}"


def finish(root: Path, lines: Sequence[str]) -> None:
    header = "participant_id\tsession_id\tradiology_score\tsplit"
    (root / "participants.tsv").write_text("\n".join([header, *lines]) + "\n")
    (root / "dataset_description.json").write_text('{"Name": "shifted demo", "Synthetic": true}\n')


def site_folders(demo: Path, scratch: Path, shift: SiteShift) -> tuple[Path, Path]:
    """The shifted test scans, with the demo's lesion masks, and the site's own normals."""
    tests, own = scratch / "shifted", scratch / "own"
    lines = []
    for number, scan in enumerate(one for one in find_scans(demo) if one.split == "test"):
        assert scan.mask is not None
        volume = load_volume(scan.path)
        mask = load_mask(scan.mask, volume)
        seen = shifted(volume, mask, shift, np.random.default_rng([SEED, number]))
        subject = scan.subject.replace("synth", "shift")
        lines.append(write(tests, subject, seen, mask, scan.radiology_score or 1, "test"))
        for path in (demo / "derivatives" / "lesions" / scan.subject).rglob("*lesion_mask.nii.gz"):
            there = tests / "derivatives" / "lesions" / subject / "ses-01" / "anat"
            there.mkdir(parents=True, exist_ok=True)
            (there / path.name.replace(scan.subject, subject)).symlink_to(path.resolve())
    table = (demo / "derivatives" / "lesions" / "lesions.tsv").read_text()
    (tests / "derivatives" / "lesions" / "lesions.tsv").write_text(table.replace("synth", "shift"))
    finish(tests, lines)
    lines = []
    heads = DemoSettings(seed=SEED)  # none of the cohort's
    for number in range(1, NORMALS + 1):
        made = make_subject(number, heads, lesions=False)
        seen = shifted(made.volume, made.mask, shift, np.random.default_rng([SEED, 1000 + number]))
        lines.append(write(own, f"sub-site{number:02d}", seen, made.mask, 1, "validation"))
    finish(own, lines)
    return tests, own


def measured(info: ModelInfo, scans: Sequence[Scan]) -> list[Measured]:
    """Rows of the scans by one model."""
    preprocess = settings_from_dict(info.preprocess)
    source = Source(folder=info.folder, name=info.reference)
    paths = prepare_split(scans, source, preprocess, settings().derivatives_dir, 1)
    known = find_lesions(scans)
    scorer = network_scorer(predictor(info))
    return [
        Measured(
            scan, measure(read_cube(one, preprocess.cube), scorer, known[case_of(scan)], MeasureSettings())
        )
        for scan, one in zip(scans, paths, strict=True)
    ]


def lines_of(setting: str, model: str, rows: Sequence[Measured]) -> Iterator[dict[str, object]]:
    """One line a map: voxel AP, lesions found, regions in a normal scan; case AUC by its best-known score."""
    scored = localisation.scored_maps(rows)
    table = localisation.localisation_table(scored, {}, SEED).set_index("map")
    areas = auc_table(subject_table(rows), SEED, variants=list(VARIANTS)[:1]).set_index("score")
    for name in MAPS:
        if name not in table.index:
            continue
        normal = [
            sum(one.row["maps"][name]["regions"][band] for band in ("3-4", "4+"))
            for one in rows
            if one.scan.radiology_score == 1
        ]
        false = mean_estimate(normal, SEED)
        line: dict[str, object] = {"setting": setting, "model": model, "map": name, "n_normal": len(normal)}
        line["n_abnormal"] = len(rows) - len(normal)
        line |= {"regions_a_normal": false[0], "regions_low": false[1], "regions_high": false[2]}
        for column in ("ap", "sensitivity"):
            for end in ("", "_low", "_high"):
                line[f"{column}{end}"] = table.loc[name, f"{column}{end}"]
        score = f"{name}_score" if f"{name}_score" in areas.index else f"{name}_top"
        if score in areas.index:
            line |= {"case_score": score, "case_auc": areas.loc[score, "auc"]}
            line |= {"auc_low": areas.loc[score, "ci_low"], "auc_high": areas.loc[score, "ci_high"]}
        yield line


def main() -> None:
    chosen = options(__doc__ or "", rounds=1)
    demo = settings().demo_dir
    found: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory(prefix="fontanelle-site-") as folder:
        os.environ[f"{PREFIX}DATA_DIR"] = folder
        settings.cache_clear()
        (Path(folder) / "demo").symlink_to(demo.resolve())
        tests, own = site_folders(demo, Path(folder), SiteShift())
        home = [scan for scan in find_scans(demo) if scan.split == "test"]
        away = find_scans(tests)
        for name in MODELS:
            info = model_named(name)
            found += lines_of("the demo itself", name, measured(info, home))
            found += lines_of("shifted, model as it is", name, measured(info, away))
            for harmonise, label in (
                (False, "shifted, maps of ten own normals"),
                (True, "shifted, intensities harmonised, maps of ten own normals"),
            ):
                out = Path(folder) / "models" / f"{name}_{'harmonised' if harmonise else 'maps'}"
                copy = site_copy(info, own, out, AnalyzeSettings(), "cpu", 1, harmonise)
                found += lines_of(label, name, measured(copy, away))
    table = pd.DataFrame(found)
    table.insert(0, "data", f"synthetic demo and its shifted copy, seed {SEED}")
    print(table.to_string(index=False, float_format=lambda value: f"{value:.3g}"))
    keep(table, "site_shift", chosen.tables)


if __name__ == "__main__":
    main()
