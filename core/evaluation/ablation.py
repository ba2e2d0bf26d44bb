"""Ideas for the overlay against each other, on lesions implanted into held-out normals.

Nothing here sees a test scan: what wins is chosen on these implants, and reported on test once, by
``evaluate``. A row that loses stays in the table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

import pandas as pd

from core.anomaly.deformed import DeformedFit, deform_factor, deformed_maps, small_log
from core.anomaly.detector import Detector, views_of
from core.anomaly.fusion import POWERS
from core.anomaly.left_out import left_out_detectors
from core.anomaly.library import fine_inside
from core.anomaly.residual import Array
from core.anomaly.views import Views, join, scales_of
from core.evaluation import ablation_contrast as by_contrast
from core.evaluation import ablation_deform as by_deformation
from core.evaluation import ablation_networks as by_network
from core.evaluation import ablation_patches as by_patches
from core.evaluation import ablation_variants as by_variant
from core.evaluation.ablation_joined import joined_rows, scale_rows
from core.evaluation.ablation_networks import Network, Reconstruct, Together
from core.evaluation.ablation_trials import (
    Advance,
    Bench,
    Line,
    Maps,
    Row,
    bench_of,
    line_of,
    precisions,
    trial_precision,
    trials,
)
from core.evaluation.ablation_voxels import Ages, component_rows, log_maps, voxel_rows
from core.evaluation.baselines import Cube

ROW_SECONDS = 0.035  # a trial at 64³, to score one row
Progress = Callable[[str, float], None]


def choose_power(
    detector: Detector,
    views: Sequence[Views],
    held_out: Sequence[Cube],
    reconstruct: Reconstruct | None,
    seed: int = 0,
    progress: Callable[[float], None] = lambda fraction: None,
    deformed: DeformedFit | None = None,
    jobs: int = 1,
) -> dict[float, float]:
    """Mean voxel average precision on implants by the power of the mean that joins the detector's maps.

    ``views``: of the held-out normals, as ``fit_detector`` returns them; they head the detector's library,
    and none of them is matched to itself with a lesion in it, nor in the mean and SD of its maps. Local
    contrast takes no part: it stands beside the joined map. ``deformed``: what the detector was fitted with;
    ``jobs``: scans deformed at a time.
    """
    cases = [one for one in trials(held_out, seed) if one.labels is not None]
    blind = left_out_detectors(replace(detector, fine=None, deformed=None), len(held_out))
    there: Iterator[Array] = iter(())
    if deformed is not None:
        smalls = [small_log(one.cube.x, one.cube.mask, detector.voxel_mm) for one in cases]
        own = [deformed.left_out[one.normal] for one in cases]
        there = deformed_maps(own, smalls, detector.smooth_mm, jobs)
    seen = []
    for index, one in enumerate(cases):
        progress(index / len(cases))
        x_hat = None if reconstruct is None else reconstruct(one.cube.x)
        found = views_of(blind[one.normal], one.cube.x, one.cube.mask, x_hat, one.normal)
        if deformed is not None:
            z = fine_inside(next(there), deform_factor(detector.voxel_mm), one.cube.mask)
            found = replace(found, deformed_z=z)
        seen.append(found)
    scales = scales_of(views)
    return {
        power: trial_precision(precisions([join(one, scales, power) for one in seen], cases), cases)
        for power in POWERS
    }


def _seconds(bench: Bench, networks: Sequence[Network], syn: bool) -> float:
    """What ``ablate`` takes, roughly, at 64³: the sum of all that ``Advance`` will hear."""
    cases = len(bench.cases)
    kinds = [network.kind for network in networks]
    restorers = kinds.count("restorer")
    auto, sampled = len(kinds) - restorers, "vae" in kinds
    rows = 31 + 10 * restorers + 2 * auto + (16 if restorers else 0) + (8 if auto > 1 else 0)
    rows += (11 if sampled else 0) + syn * (15 if restorers else 11)
    patches = (cases + min(by_patches.NORMALS, len(bench.training))) * by_patches.SECONDS * (1 + 1 / 8)
    passes = float(len(kinds)) + (by_variant.ROUNDS + by_variant.PARTS) * ((restorers > 0) + sampled)
    passes += by_variant.SAMPLES * by_variant.SAMPLE_SHARE * sampled
    deformed = (cases + min(by_deformation.NORMALS, len(bench.training))) * by_deformation.SECONDS * syn
    if bench.training[0].fine is not None:
        rows += 3 + restorers + syn * (7 if restorers else 1)
        patches += (cases + len(bench.training)) * by_contrast.SECONDS
    return cases * (rows * ROW_SECONDS + passes * by_network.SECONDS) + patches + deformed


def _meter(total: float, progress: Progress) -> Advance:
    done = 0.0

    def advance(what: str, seconds: float) -> None:
        nonlocal done
        progress(what, min(0.99, done / total))
        done += seconds

    return advance


def ablate(
    training: Sequence[Cube],
    held_out: Sequence[Cube],
    networks: Sequence[Network],
    seed: int = 0,
    ages: Ages | None = None,
    syn: bool = False,
    jobs: int = 1,
    progress: Progress = lambda what, fraction: None,
    told: Callable[[Line], None] = lambda line: None,
) -> pd.DataFrame:
    """Every idea on the same implants, best first.

    Maps that stand against normals are fitted on the training normals, so that no trial's own normal is in
    them; where a network took part, on the held-out normals less the trial's own. ``networks``: the first
    restorer and the first variational one are also tried with edges suppressed, refined, masked and sampled;
    all autoencoders together are the ensemble. ``ages``: of both groups, in weeks. ``syn``: with deformable
    registration, the slowest of the ideas without a network. ``jobs``: trials at a time; the table is the
    same. ``told`` hears each row when it is made.
    """
    bench = bench_of(training, held_out, seed, jobs)
    advance = _meter(_seconds(bench, networks, syn), progress)
    lines: list[Line] = []

    def take(rows: Iterable[Row]) -> None:
        for idea, name, maps in rows:
            advance(name, ROW_SECONDS * len(bench.cases))
            lines.append(line_of(idea, name, maps, bench.cases, seed, jobs))
            told(lines[-1])

    take(voxel_rows(bench, ages))
    take(component_rows(bench))
    views: dict[str, Maps] = {"log intensity": log_maps(bench)}
    if syn:
        deformed, sizes = by_deformation.deformed_maps(bench, advance)
        views["log intensity after SyN"] = deformed
        take(by_deformation.deformed_rows(bench, deformed, sizes))
    views["non-local"], wide = (by_patches.patch_maps(bench, factor, advance) for factor in (1, 2))
    take(by_patches.patch_rows(bench, views["non-local"], wide))

    restorers = [network.label for network in networks if network.kind == "restorer"]
    variational = [network.label for network in networks if network.kind == "vae"]
    joinable: dict[str, Maps] = {}

    def tried(network: Network) -> Maps:
        """Rows of one network; its residuals."""
        outputs = by_network.outputs_of(bench, network, advance)
        rows_of = by_network.restorer_rows if network.kind == "restorer" else by_network.autoencoder_rows
        take(rows_of(bench, network, outputs))
        if network.label in (*restorers[:1], *variational[:1]):
            found = by_variant.variants(bench, network, outputs, advance)
            take(by_variant.variant_rows(bench, network, found))
            if network.kind == "restorer":
                joinable.update({f"{network.label}, {wording}": maps for (_, wording), maps in found.items()})
        if network.label in variational[:1]:
            take(by_variant.sample_rows(bench, network, seed, advance))
        return by_network.residuals(bench, network, outputs)

    together: Together | None = None
    for network in networks:
        plain = tried(network)
        if network.kind == "restorer":
            views[network.label] = plain
        else:
            together = by_network.add(bench, together, plain)
    if together is not None and together.count > 1:
        take(by_network.ensemble_rows(bench, together))
        views[f"{together.count} autoencoders"] = by_network.mean_z(together)
    together = None  # a third of a gigabyte at 64³
    take(joined_rows(bench, views, restorers, joinable, wide))
    take(scale_rows(bench, views, restorers[0] if restorers else None))
    contrast = by_contrast.contrast_maps(bench, advance)
    if contrast is not None:
        firsts = [*restorers, *(name for name in views if name.startswith("log intensity"))]
        take(by_contrast.contrast_rows(bench, contrast, views, firsts))
        if syn and restorers:
            take(by_contrast.deformed_contrast_rows(bench, contrast, views, restorers[0]))
    table = pd.DataFrame(lines)
    return table.sort_values("ap", ascending=False, kind="stable", ignore_index=True)
