"""A model's copy under another name, changed before it appears: no model is changed in place."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from core.io.atomic import write_bytes
from core.io.derivatives import model_slug
from core.networks.zoo import CARD, CONFIG, ModelError, ModelInfo, model_info


def check_copy(info: ModelInfo, out: Path) -> None:
    """Refuse a place or name that a copy of ``info`` can't have.

    Raises
    ------
    ModelError
        Where ``out`` is there already, or its name is none for a model.
    """
    if out.exists():
        raise ModelError(f"{out}: already there; expected a new folder, since no model is changed in place")
    same = model_slug(out.name) == model_slug(info.name)  # of a scan they would share their files
    if re.fullmatch(r"[A-Za-z]\w*", out.name, re.ASCII) is None or same:
        raise ModelError(
            f"{out.name}: no name for a copy of {info.name}; expected another one, of letters, digits and _"
        )


def copy_model(info: ModelInfo, out: Path, change: Callable[[Path], None]) -> ModelInfo:
    """Copy a model folder to ``out``, named after it, and let ``change`` work on the copy.

    The name tells the copy's analyses from the model's own. The folder appears whole or not at all.

    Raises
    ------
    ModelError
        As ``check_copy``.
    """
    check_copy(info, out)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as scratch:
        copy = Path(scratch) / out.name
        shutil.copytree(info.folder, copy)
        raw = json.loads((copy / CONFIG).read_text())
        raw["network"]["name"] = out.name
        write_bytes(copy / CONFIG, (json.dumps(raw, indent=1) + "\n").encode())
        title, _, rest = info.card.partition("\n")
        if title.startswith("# "):
            told = f"# {out.name}\n\nCopy of {info.name}, changed as told below.\n{rest}"
            write_bytes(copy / CARD, told.encode())
        change(copy)
        copy.rename(out)
    return model_info(out)
