"""A model as an analysis needs it: a name, a hash, and x → x̂. Torch only when x̂ is asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache

from core.anomaly.detector import Detector
from core.anomaly.detector_file import load_detector
from core.anomaly.normative import Normative, load_normative
from core.anomaly.operating import FILE as OPERATING
from core.anomaly.operating import OperatingPoint, load_point
from core.anomaly.residual import Array
from core.demo import REFERENCE_BRAIN
from core.networks.zoo import DETECTOR, NORMATIVE, Model, ModelError, ModelInfo, load_model, reconstruct
from core.preprocess.pipeline import PrepareSettings, settings_from_dict


@dataclass(frozen=True)
class Predictor:
    """``reconstruct`` maps x (N, N, N) in [0, 1] to x̂, and loads the weights when first called."""

    name: str
    hash: str  # of network, weights, normative model and detector
    prepare: PrepareSettings  # how its inputs are made
    reconstruct: Callable[[Array], Array]  # with C channels (C, N, N, N), as ``Prepared.x``
    normative: Normative | None = None
    detector: Detector | None = None  # joins the restoration with normals' patches; a restorer's alone
    operating: OperatingPoint = field(default_factory=dict)  # which regions count; empty: all
    reference: str = ""  # name or hash by which preparations tell the reference; empty: any

    @property
    def cube(self) -> int:
        """N."""
        return self.prepare.cube


def predictor(info: ModelInfo, device: str = "auto") -> Predictor:
    """Predictor of a model folder; ``reconstruct`` raises ModelError if the folder changed since ``info``.

    Raises
    ------
    AnomalyError
        Where the folder's normative.npz or detector.npz is damaged.
    """

    @cache
    def load() -> Model:
        model = load_model(info.folder, device)
        if model.info.hash != info.hash:
            raise ModelError(
                f"{info.folder}: the model was replaced while this ran (hash {info.hash[:12]}… before, "
                f"{model.info.hash[:12]}… now); start again"
            )
        return model

    path, joined = info.folder / NORMATIVE, info.folder / DETECTOR
    return Predictor(
        name=info.name,
        hash=info.hash,
        prepare=settings_from_dict(info.preprocess),
        reconstruct=lambda x: reconstruct(load(), x),
        normative=load_normative(path) if path.exists() else None,
        detector=load_detector(joined) if joined.exists() else None,
        operating=load_point(info.folder / OPERATING) if (info.folder / OPERATING).exists() else {},
        # The demo's hash there is that of its recipe: its files may be compressed otherwise elsewhere.
        reference=REFERENCE_BRAIN if info.reference == "demo" else info.reference_hash,
    )
