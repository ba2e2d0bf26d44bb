"""``calibrate --normals``: a copy of a model that knows another site's normals, without training."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from core.anomaly.normative import load_normative
from core.calibration import LANDMARKS
from core.case import AnalyzeSettings
from core.cli.calibrating import calibrated, check_normals, prepare_split
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
from core.preprocess.harmonise import landmarks, mean_landmarks
from core.preprocess.pipeline import PrepareSettings, settings_from_dict, settings_to_dict

LEAST, ADVISED = 3, 10
KNOWN = "landmarks"  # in config.json under "training", of a copy that maps nothing


def site_normals(data: Path) -> list[Scan]:
    """Every scan of a folder or manifest that is not known to be abnormal.

    Raises
    ------
    UsageError
        Where there are fewer than ``LEAST``, or one has a radiology score other than 1.
    """
    scans = scans_of([data])
    check_normals(scans, data)
    if len(scans) < LEAST:
        raise UsageError(f"{data}: {len(scans)} normals; expected {LEAST} or more, better {ADVISED}")
    if len(scans) < ADVISED:
        say(
            f"warning: --normals {data}: {len(scans)} scans; below {ADVISED} normals percentiles and false "
            "alarms are coarse"
        )
    return scans


def known_landmarks(info: ModelInfo) -> tuple[float, ...]:
    """The landmarks that the network knows: of the model's own held-out normals, which its copies hand on.

    Empty where no calibration has kept them.
    """
    options = settings_from_dict(info.preprocess)
    if len(options.landmarks) == 2:
        return options.landmarks[1]
    if KNOWN in info.training:
        return tuple(info.training[KNOWN])
    file = info.folder / NORMATIVE
    values = load_normative(file).validation if file.exists() else {}
    if LANDMARKS[0] not in values:
        return ()
    table = np.stack([values[name] for name in LANDMARKS], axis=1)  # (normals, landmarks)
    return mean_landmarks(list(table))


def site_landmarks(normals: Sequence[CasePaths], cube: int) -> tuple[float, ...]:
    """The site's landmarks from its normals, prepared without a map."""
    each = []
    for paths in normals:
        volume = load_volume(paths.prepared(cube))
        each.append(landmarks(volume.data, load_mask(paths.prepared_mask(cube), volume).data))
    return mean_landmarks(each)


def prepared_normals(
    info: ModelInfo, scans: Sequence[Scan], root: Path, jobs: int, harmonise: bool
) -> tuple[PrepareSettings, list[CasePaths]]:
    """The site's normals prepared below ``root`` as the copy will prepare scans, and how that is.

    Raises
    ------
    UsageError
        Where they are to be harmonised and it is not kept what the network knows, or one can't be prepared.
    """
    wanted = settings_from_dict(info.preprocess)
    source = Source(folder=info.folder, name=info.reference)
    if harmonise:
        if (known := known_landmarks(info)) == ():
            raise UsageError(f"{info.folder}: calibrated without landmarks; calibrate the model again")
        plain = prepare_split(scans, source, replace(wanted, landmarks=()), root, jobs)
        wanted = replace(wanted, landmarks=(site_landmarks(plain, wanted.cube), known))
    return wanted, prepare_split(scans, source, wanted, root, jobs)


def site_words(scans: Sequence[Scan], data: str, preprocess: PrepareSettings) -> str:
    """What the copy's card says of the site."""
    synthetic = "synthetic " if all(scan.synthetic for scan in scans) else ""
    mapped = (
        ", intensities brought to the model's by histogram landmarks" if preprocess.landmarks != () else ""
    )
    return (
        f"## Another site's normals\nCalibrated on {len(scans)} {synthetic}normals of {data}{mapped}. "
        "The network was not trained on them.\n"
    )


def site_copy(
    info: ModelInfo, data: Path, out: Path, options: AnalyzeSettings, device: str, jobs: int, harmonise: bool
) -> ModelInfo:
    """Copy ``info`` to ``out`` and calibrate the copy on the site's own normals.

    With ``harmonise`` intensities are first brought to the model's by histogram landmarks, measured anew even
    where ``info`` maps a site's already; without it they are prepared as ``info`` does. The network stays as
    it is, and so do results that the scans have already.

    Raises
    ------
    UsageError, ModelError
        Where the normals or the copy's name can't be used.
    """
    check_copy(info, out)
    scans = site_normals(data)
    cache = settings().data_dir / "cache" / "site"
    cache.mkdir(parents=True, exist_ok=True)
    # Apart from the derivatives: another preparation there would remove analyses of the same scans.
    with tempfile.TemporaryDirectory(prefix=f"{out.name}-", dir=cache) as root:
        wanted, paths = prepared_normals(info, scans, Path(root), jobs, harmonise)

        def change(copy: Path) -> None:
            raw = json.loads((copy / CONFIG).read_text())
            raw["preprocess"] = settings_to_dict(wanted)
            if wanted.landmarks == ():
                raw["training"][KNOWN] = known_landmarks(info)  # the copy's own normals are the site's
            write_bytes(copy / CONFIG, (json.dumps(raw, indent=1) + "\n").encode())
            calibrated(model_info(copy), paths, options, device, jobs=jobs)
            told = site_words(scans, data.resolve().name, wanted)
            write_bytes(copy / CARD, f"{(copy / CARD).read_text().rstrip()}\n\n{told}".encode())

        return copy_model(info, out, change)
