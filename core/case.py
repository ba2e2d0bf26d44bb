"""One scan end to end: prepare, reconstruct, score, write derivatives; once per content, resumable."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from core.anomaly.bands import BANDS
from core.anomaly.channels import t2w
from core.anomaly.normative import SMOOTH_Z_MM, false_alarms
from core.anomaly.operating import kept, rates_kept
from core.anomaly.regions import FLOOR_MM3
from core.anomaly.score import volume_mse
from core.folder import Cancel, Cancelled, Keep, case_lock, claim, keep_nothing, never, spare, staging, whole
from core.io.bids import Scan
from core.io.derivatives import (
    MAP_NAMES,
    SCHEMA,
    BandRow,
    CasePaths,
    CaseRecord,
    DerivativesError,
    MapName,
    read_record,
    write_record,
    write_regions,
)
from core.io.volume import file_hash, save_volume
from core.predictor import Predictor
from core.prepared import (
    PACKAGES,
    Progress,
    channel_keys,
    content_key,
    input_hashes,
    no_progress,
    prepare_locked,
    prepared_key,
    versions,
)
from core.preprocess.pipeline import Reference, settings_to_dict, to_scan_grid
from core.scoring import ScoredMap, score_map, scores, z_map

SCORE_VERSION = 4  # enters the case's key; raise it when the same inputs give other maps, regions or scores
# Share of the time that is over when a step begins, measured at 64³ and 0.86 mm.
STEPS = {"prepare": 0.0, "reconstruct": 0.7, "score": 0.8, "write": 0.9, "done": 1.0}


class CaseError(ValueError):
    """Settings or a model with which a scan can't be analysed."""


@dataclass(frozen=True)
class AnalyzeSettings:
    """How a scan is analysed; how it is prepared is the model's to say, but for the brain mask."""

    maps: tuple[MapName, ...] = MAP_NAMES  # those that the model can give
    floor_mm3: float = FLOOR_MM3  # smallest flagged region
    smooth_z_mm: float = SMOOTH_Z_MM  # σ of the normative z; that of the model's calibration
    mask: str = "auto"  # PrepareSettings.mask

    def __post_init__(self) -> None:
        if unknown := sorted(set(self.maps) - set(MAP_NAMES)):
            raise CaseError(f"unknown map {', '.join(unknown)}; known are {', '.join(MAP_NAMES)}")
        if not self.maps:
            raise CaseError(f"no map asked for; known are {', '.join(MAP_NAMES)}")
        if not self.floor_mm3 > 0:
            raise CaseError(f"floor_mm3 is {self.floor_mm3}; expected more than 0")
        if not self.smooth_z_mm >= 0:
            raise CaseError(f"smooth_z_mm is {self.smooth_z_mm}; expected 0 or more")


def analyze_settings_from_dict(raw: Mapping[str, Any]) -> AnalyzeSettings:
    """Strict reading; keys left out take their defaults.

    Raises
    ------
    CaseError
        On an unknown key, or a value that does not fit.
    """
    known = {one.name for one in fields(AnalyzeSettings)}
    if unknown := sorted(set(raw) - known):
        raise CaseError(f"unknown setting {', '.join(unknown)}; known are {', '.join(sorted(known))}")
    return AnalyzeSettings(**{**raw, "maps": tuple(raw.get("maps", MAP_NAMES))})


def check_calibration(model: Predictor, settings: AnalyzeSettings) -> None:
    """Refuse a normative model of another grid or smoothing, or an operating point of another floor.

    Raises
    ------
    CaseError, AnomalyError
    """
    kept([], model.operating, settings.floor_mm3)
    normative = model.normative
    if normative is None or "normative" not in settings.maps:
        return
    if normative.mean.shape != (model.cube,) * 3:
        raise CaseError(
            f"model {model.name}: normative.npz has shape {normative.mean.shape}, "
            f"the network takes {model.cube}³; calibrate the model again"
        )
    if normative.smooth_z_mm != settings.smooth_z_mm:
        raise CaseError(
            f"model {model.name} is calibrated with smooth_z_mm {normative.smooth_z_mm:g}, "
            f"the analysis asks for {settings.smooth_z_mm:g}; calibrate the model with that"
        )


def maps_of(model: Predictor, settings: AnalyzeSettings) -> list[MapName]:
    """Maps asked for that the model can give: "normative" where it is calibrated, "fused" with a detector.

    Raises
    ------
    CaseError
        Where it can give none of them.
    """
    there = {"volume": True, "normative": model.normative is not None, "fused": model.detector is not None}
    found = [name for name in settings.maps if there[name]]
    if not found:
        raise CaseError(
            f"model {model.name} is not calibrated for {', '.join(settings.maps)}; it can give "
            f"{', '.join(name for name, possible in there.items() if possible)}"
        )
    return found


def case_key(
    scan: Scan, inputs: Mapping[str, str], model: Predictor, reference: Reference, settings: AnalyzeSettings
) -> str:
    """Content address of an analysis: files, whose they are, model, reference, settings, and the code.

    Raises
    ------
    PrepareError
        Where the scan lacks a channel that the model sees.
    """
    prepare_settings = replace(model.prepare, mask=settings.mask)
    prepared = prepared_key(scan, inputs, reference, prepare_settings)
    channels = channel_keys(scan, prepared, prepare_settings)
    return content_key(
        {
            "schema": SCHEMA,
            "score": SCORE_VERSION,
            "case": [scan.subject, scan.session, scan.age, scan.synthetic],
            "prepared": prepared,
            **({"channels": channels} if channels else {}),
            "model": [model.name, model.hash],
            "settings": {**asdict(settings), "maps": maps_of(model, settings)},
        }
    )


@contextmanager
def timed(times: dict[str, float], step: str) -> Iterator[None]:
    """Record the seconds of the block as ``times[step]``."""
    start = time.perf_counter()
    yield
    times[step] = round(time.perf_counter() - start, 4)


def cached_record(paths: CasePaths, model: str, key: str) -> CaseRecord | None:
    """The record of an analysis with this ``key`` whose files are all as they were written."""
    path = paths.case_json(model)
    if not path.exists():
        return None
    try:
        record = read_record(path)
    except DerivativesError:
        return None  # another schema, or damaged: computed again
    return record if record.key == key and whole(paths.folder, record.files) else None


def analyze(
    scan: Scan,
    model: Predictor,
    reference: Reference,
    out_root: Path,
    settings: AnalyzeSettings | None = None,
    progress: Progress = no_progress,
    cancel: Cancel = never,
    replace_scan: bool = False,
    keep: Keep = keep_nothing,
) -> CaseRecord:
    """Analyse one scan and write its derivatives; the same content is never computed twice.

    Files appear together, ``case.json`` last; a killed run leaves no half result, and the next goes on from
    the prepared scan. ``progress`` hears each step of ``STEPS``, or ``cached``. Of two processes on one case
    the second waits.

    Raises
    ------
    VolumeError, PrepareError, CaseError, AnomalyError
        Where scan, mask, model or settings can't be used; the model may need a T1w that the scan lacks.
    FolderError
        Where another scan of this label has results there, and ``replace_scan`` does not say to remove them.
    JudgedError
        Where an analysis would go that ``keep`` says to keep: asked before the work and before writing. The
        same content made whole again does not count as gone.
    Cancelled
        Where ``cancel`` turns true between two steps.
    """
    settings = AnalyzeSettings() if settings is None else settings
    check_calibration(model, settings)
    names = maps_of(model, settings)
    prepare_settings = replace(model.prepare, mask=settings.mask)
    points = {name: asdict(one) for name, one in model.operating.items()}
    operating = {"operating_point": points} if points else {}
    paths = CasePaths(out_root, scan.subject, scan.session)
    times: dict[str, float] = {}

    def begin(step: str) -> None:
        if cancel():
            raise Cancelled(f"{paths.stem}: cancelled before the step {step!r}")
        progress(step, STEPS[step])

    with case_lock(paths, cancel):
        inputs = input_hashes(scan)
        claim(paths, scan, inputs["scan"], replace_scan, keep)
        key = case_key(scan, inputs, model, reference, settings)
        if (record := cached_record(paths, model.name, key)) is not None:
            progress("cached", 1.0)
            return record
        record_path = paths.case_json(model.name)
        held: Keep = keep if keep == keep_nothing else (lambda one: one.get("key") != key and keep(one))
        spare(paths, [record_path], held)
        begin("prepare")
        with timed(times, "prepare"):
            prepared = prepare_locked(scan, inputs, paths, reference, prepare_settings, held)
        times |= {f"prepare_{step}": seconds for step, seconds in prepared.times.items()}
        begin("reconstruct")
        with timed(times, "reconstruct"):
            x_hat = model.reconstruct(prepared.x)
        begin("score")
        with timed(times, "score"):
            maps: dict[MapName, ScoredMap] = {}
            for name in names:
                z = z_map(name, model, prepared, x_hat)
                maps[name] = score_map(name, z, prepared, key, settings.floor_mm3)
            expected = to_scan_grid(prepared.cube.with_data(t2w(x_hat)), prepared)
            mse = volume_mse(prepared.cube.data, t2w(x_hat))
        begin("write")
        start = time.perf_counter()
        with staging(paths, record_path.name, record_path, held) as staged:
            save_volume(expected, staged.reconstruction(model.name))
            for name, scored in maps.items():
                save_volume(scored.scan, staged.z(model.name, name))
            listed = [region for scored in maps.values() for region in scored.regions]
            regions = kept(listed, model.operating, settings.floor_mm3)
            write_regions(regions, staged.regions(model.name))
            cubes = [paths.prepared(model.cube, channel) for channel in prepare_settings.channels]
            shared = (paths.acquired, paths.mask, *cubes, paths.prepared_mask(model.cube))
            files = {file.name: file_hash(file) for file in sorted([*staged.folder.iterdir(), *shared])}
            times["write"] = round(time.perf_counter() - start, 4)
            record = CaseRecord(
                schema=SCHEMA,
                subject=scan.subject,
                session=scan.session,
                model=model.name,
                model_hash=model.hash,
                input_hash=inputs["scan"],
                key=key,
                synthetic=scan.synthetic,
                age_weeks=scan.age,
                mask_source=prepared.mask_source,
                overlap=prepared.overlap,
                scores=scores(model, mse, maps, prepared),
                bands={
                    name: [BandRow(b.name, scored.percent[b.name], *scored.clusters[b.name]) for b in BANDS]
                    for name, scored in maps.items()
                },
                false_alarms=rates_kept(
                    false_alarms(model.normative, tuple(maps), settings.floor_mm3), model.operating
                ),
                settings={
                    **asdict(settings),
                    "prepare": settings_to_dict(prepare_settings),
                    "reference": {"name": reference.name, "hash": reference.hash},
                    **operating,
                },
                times=times,
                versions=versions("torch", "numpy", *PACKAGES),
                files=files,
            )
            write_record(record, staged.case_json(model.name))
        progress("done", STEPS["done"])
        return read_record(record_path)
