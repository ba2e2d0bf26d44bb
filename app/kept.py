"""Analyses that the app never does anew, since readers have judged them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from app import state
from app.feedback.judged import judged_analyses
from core.config import settings
from core.io.bids import labels_in
from core.io.derivatives import CasePaths, DerivativesError, read_record
from core.networks.zoo import CONFIG, ModelError, model_info


def paths_of(scan: Path) -> CasePaths | None:
    """Where a scan's analyses lie, by its BIDS name; None where the name is none."""
    named = labels_in(scan.name)
    return None if named is None else CasePaths(settings().derivatives_dir, *named)


def kept_models(paths: CasePaths, models: Sequence[str]) -> list[str]:
    """Those of ``models``, by folder, whose analysis of the scan is on disk and has answers.

    Raises
    ------
    StoreError
        Where it can't be told.
    """
    judged = judged_analyses(state.feedback(), paths.stem)
    return [model for model in models if _is_judged(paths, _name(model), judged)]


def sentence(models: Sequence[str]) -> str:
    """Says which models are left as they are; empty where none is."""
    if not models:
        return ""
    if len(models) == 1:
        return f"{models[0]} is kept: readers have judged it."
    return f"{', '.join(models[:-1])} and {models[-1]} are kept: readers have judged them."


def _name(model: str) -> str:
    """The name under which a model's results are kept."""
    folder = settings().models_dir / model
    try:
        return model_info(folder).name if (folder / CONFIG).is_file() else model
    except ModelError:
        return model


def _is_judged(paths: CasePaths, model: str, judged: frozenset[tuple[str, str]]) -> bool:
    path = paths.case_json(model)
    if not path.exists():
        return False
    try:
        key = read_record(path).key
    except (DerivativesError, TypeError, KeyError, AttributeError):  # it can't be told from the judged one
        return any(name == model for name, _ in judged)
    return (model, key) in judged
