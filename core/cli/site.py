"""``calibrate --normals``: a copy of a model that knows another site's normals, without training."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from core.anomaly.normative import load_normative
from core.calibration import LANDMARKS
from core.case import AnalyzeSettings
from core.cli.calibrating import calibrated, prepare_split
from core.cli.console import UsageError, say
from core.cli.prepare import Source
from core.cli.sources import scans_of
from core.config import settings
from core.io.atomic import write_bytes
from core.io.bids import Scan
from core.io.derivatives import CasePaths
from core.io.volume import load_mask, load_volume
from core.networks.copies import check_copy, copy_model
from core.networks.zoo import CARD, CONFIG, NORMATIVE, ModelInfo, model_info
from core.preprocess.harmonise import Landmarks, landmarks, mean_landmarks
from core.preprocess.pipeline import settings_from_dict, settings_to_dict

LEAST, ADVISED = 3, 10


def site_normals(data: Path) -> list[Scan]:
    """Every scan of a folder or manifest that is not known to be abnormal.

    Raises
    ------
    UsageError
        Where there are fewer than ``LEAST``, or one has a radiology score other than 1.
    """
    scans = scans_of([data])
    if bad := [scan for scan in scans if scan.radiology_score not in (None, 1)]:
        score = bad[0].radiology_score
        raise UsageError(f"{data}: {bad[0].subject} has radiology score {score}; expected normals (1) only")
    if len(scans) < LEAST:
        raise UsageError(f"{data}: {len(scans)} normals; expected {LEAST} or more, better {ADVISED}")
    if len(scans) < ADVISED:
        say(
            f"warning: --normals {data}: {len(scans)} scans; below {ADVISED} normals percentiles and false "
            "alarms are coarse"
        )
    return scans


def landmarks_of(info: ModelInfo, normals: Sequence[CasePaths]) -> Landmarks:
    """The site's landmarks from its normals, prepared without a map, and those that the network knows.

    These are of the model's own held-out normals; of a copy that maps a site already, those it maps to.

    Raises
    ------
    UsageError
        Where the model's calibration does not hold them.
    """
    options = settings_from_dict(info.preprocess)
    each = []
    for paths in normals:
        volume = load_volume(paths.prepared(options.cube))
        each.append(landmarks(volume.data, load_mask(paths.prepared_mask(options.cube), volume).data))
    if options.landmarks != ():
        return mean_landmarks(each), options.landmarks[1]
    values = load_normative(info.folder / NORMATIVE).validation
    if LANDMARKS[0] not in values:
        raise UsageError(f"{info.folder}: calibrated without landmarks; calibrate the model again")
    table = np.stack([values[name] for name in LANDMARKS], axis=1)  # (normals, landmarks)
    return mean_landmarks(each), mean_landmarks(list(table))


def site_copy(
    info: ModelInfo, data: Path, out: Path, options: AnalyzeSettings, device: str, jobs: int, harmonise: bool
) -> ModelInfo:
    """Copy ``info`` to ``out`` and calibrate the copy on the site's own normals.

    With ``harmonise`` intensities are first brought to the model's by histogram landmarks, measured anew even
    where ``info`` maps a site's already; without it they are prepared as ``info`` does. The network stays as
    it is.

    Raises
    ------
    UsageError, ModelError
        Where the normals or the copy's name can't be used.
    """
    check_copy(info, out)
    scans = site_normals(data)
    wanted = settings_from_dict(info.preprocess)
    source = Source(folder=info.folder, name=info.reference)
    root = settings().derivatives_dir
    if harmonise:
        plain = prepare_split(scans, source, replace(wanted, landmarks=()), root, jobs)
        wanted = replace(wanted, landmarks=landmarks_of(info, plain))
    paths = prepare_split(scans, source, wanted, root, jobs)

    def change(copy: Path) -> None:
        raw = json.loads((copy / CONFIG).read_text())
        raw["preprocess"] = settings_to_dict(wanted)
        write_bytes(copy / CONFIG, (json.dumps(raw, indent=1) + "\n").encode())
        calibrated(model_info(copy), paths, options, device, jobs=jobs)
        synthetic = all(scan.synthetic for scan in scans)
        told = [
            (copy / CARD).read_text().rstrip(),
            "",
            "## Another site's normals",
            f"Calibrated on {len(scans)} {'synthetic ' if synthetic else ''}normals of {data.resolve().name}"
            + (
                ", intensities brought to the model's by histogram landmarks."
                if wanted.landmarks != ()
                else "."
            )
            + " The network was not trained on them.",
            "",
        ]
        write_bytes(copy / CARD, "\n".join(told).encode())

    return copy_model(info, out, change)
