"""What a T1w beside the T2w brings on the demo's test scans: networks of one and two channels, and none.

The lesions are synthetic, and so is how T1w shows them: mostly dark where T2w is bright. All normative maps
are fitted on the same nine validation normals. Needs the demo's T1w scans
(``python -m core demo --which all --t1w``) and the two-channel model (``python -m core train
vae_8x8_512_t1t2``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.measure import options
from core.anomaly.channels import joint, spreads, t2w
from core.anomaly.normative import Normative, fit_normative
from core.anomaly.residual import Array
from core.anomaly.score import normative_top
from core.cli.calibrating import prepare_split
from core.cli.prepare import Source
from core.cli.sources import model_named
from core.config import settings
from core.evaluation.baselines import HELD_OUT, Cube, Residual, Scorer, network_scorer
from core.evaluation.lesions import case_of, find_lesions, lesions_in_cube
from core.evaluation.measure import read_cube, z_map
from core.evaluation.metrics import auroc_estimate, average_precision
from core.evaluation.statistics import DRAWS, mean_estimate
from core.io.atomic import write_bytes
from core.io.bids import find_scans
from core.networks.config import T1T2
from core.predictor import predictor
from core.preprocess.pipeline import TWO_CHANNELS, settings_from_dict

ALONE, SEED = "vae_8x8_512", 0
Maps = list[Array]


def fitted(name: str, residual: Residual, held_out: Sequence[Cube]) -> Scorer:
    """A scorer that sees both channels, its normative map fitted as ``calibrate`` fits a model's."""
    rest = [residual(cube.seen(TWO_CHANNELS), cube.mask) for cube in held_out]
    masks = [cube.mask for cube in held_out]
    scale = {key: np.array(values) for key, values in spreads(rest, masks).items()}
    joined = [joint(one, scale) for one in rest]
    normative: Normative = replace(fit_normative(joined, masks, held_out[0].voxel_mm)[0], validation=scale)
    return Scorer(name, "", False, residual, {HELD_OUT: lambda: normative}, TWO_CHANNELS)


def maps_of(scorer: Scorer, cubes: Sequence[Cube]) -> dict[str, Maps]:
    """z maps of every scan by name."""
    found: dict[str, Maps] = {name: [] for name in scorer.maps}
    for cube in cubes:
        rest = scorer.residual(cube.seen(scorer.channels), cube.mask)
        for name, against in scorer.maps.items():
            found[name].append(z_map(rest, against(), cube))
    return found


def line_of(
    maps: Maps, cubes: Sequence[Cube], labels: Sequence[NDArray[np.int64]], base: NDArray[np.float64] | None
) -> tuple[dict[str, object], NDArray[np.float64]]:
    """Mean voxel AP over abnormal scans, its gain over ``base`` scan by scan, and case AUC; and each AP."""
    sick = [int(label.max()) > 0 for label in labels]
    every = list(zip(maps, cubes, labels, sick, strict=True))
    ap = np.array(
        [
            average_precision(np.abs(z[cube.mask]), label[cube.mask] > 0)
            for z, cube, label, ill in every
            if ill
        ]
    )
    top = np.array([normative_top(z, cube.mask) for z, cube, _, _ in every])
    value = mean_estimate(ap, SEED)
    gain = mean_estimate(ap * np.nan if base is None else ap - base, SEED)
    area = auroc_estimate(top[~np.array(sick)], top[np.array(sick)], SEED)
    line: dict[str, object] = {"ap": value.value, "ap_low": value.low, "ap_high": value.high}
    line |= {"gain": gain.value, "gain_low": gain.low, "gain_high": gain.high}
    line |= {"case_auc": area.value, "auc_low": area.low, "auc_high": area.high}
    return line | {"n_abnormal": len(ap), "n_normal": len(labels) - len(ap)}, ap


def main() -> None:
    chosen = options(__doc__ or "", rounds=1)
    alone, both = model_named(ALONE), model_named(T1T2)
    scans = find_scans(settings().demo_dir)
    source, wanted = Source(folder=both.folder, name=both.reference), settings_from_dict(both.preprocess)
    prepared = partial(prepare_split, source=source, options=wanted, root=settings().derivatives_dir, jobs=1)
    test = [scan for scan in scans if scan.split == "test"]
    held_out = [
        read_cube(paths, wanted.cube, TWO_CHANNELS)
        for paths in prepared([scan for scan in scans if scan.split == "validation"])
    ]
    cubes = [read_cube(paths, wanted.cube, TWO_CHANNELS) for paths in prepared(test)]
    lesions = find_lesions(scans)
    labels = [lesions_in_cube(lesions[case_of(scan)], cube) for scan, cube in zip(test, cubes, strict=True)]

    two = predictor(both, "cpu")
    scorers = [
        ("network, T2w alone", network_scorer(predictor(alone, "cpu"))),
        ("network, T1w and T2w", network_scorer(two)),
        (
            "network, T1w and T2w; residual of T2w alone",
            fitted(T1T2, lambda x, mask: t2w(x - two.reconstruct(x)), held_out),
        ),
        ("no network, intensity of T2w", fitted("intensity", lambda x, mask: t2w(x), held_out)),
        ("no network, intensity of T2w less T1w", fitted("intensity", lambda x, mask: x, held_out)),
    ]
    lines: list[dict[str, object]] = []
    base: dict[str, NDArray[np.float64]] = {}
    for label, scorer in scorers:
        for name, maps in maps_of(scorer, cubes).items():
            line, ap = line_of(maps, cubes, labels, base.get(name))
            base.setdefault(name, ap)
            lines.append({"score": label, "model": scorer.name, "map": name, **line})
    table = pd.DataFrame(lines)
    told = ", ".join(
        f"{info.name} {info.training['epochs']} epochs (weights of {info.training['kept_epoch']})"
        for info in (alone, both)
    )
    head = (
        f"# Voxel AP of |z| in the brain, T2w alone and with T1w, synthetic demo's test scans, {wanted.cube}³"
        f": mean over abnormal scans, gain over the first row of the same map scan by scan, case AUC of the "
        f"most extreme 0.1 %. Normative maps of {len(held_out)} validation normals. Trained: {told}. "
        f"Intervals: bootstrap 95 % over scans, {DRAWS} draws, seed {SEED}. "
        "Command: python -m benchmarks.t1t2\n"
    )
    print(table.to_string(index=False, float_format=lambda value: f"{value:.3g}"))
    if chosen.tables is not None:
        content = head + table.to_csv(index=False, float_format="%.4g", lineterminator="\n")
        write_bytes(chosen.tables / "t1t2.csv", content.encode())


if __name__ == "__main__":
    main()
