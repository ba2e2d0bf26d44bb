"""Scans of the overlay sheets are chosen by rule, and figure 8 looks at the flagged place."""

from __future__ import annotations

import pandas as pd

from core.evaluation.baselines import Cube
from core.evaluation.sheets import choices, flagged_place, layer_of, sheets_of
from core.predictor import Predictor
from core.preprocess.pipeline import PrepareSettings
from tests.core.evaluation.fakes import SIDE, block, cube


def subjects() -> pd.DataFrame:
    lines = [
        # case, group, MSE, % above 4, % below −4
        ("t1", "train", 0.1, 1.0, 0.0),
        ("t2", "train", 0.2, 0.5, 0.9),
        ("v1", "validation", 0.9, 9.0, 9.0),
        ("v2", "validation", 0.2, 0.0, 0.0),
        ("v3", "validation", 0.3, 0.0, 0.0),
        ("a1", "test abnormal", 0.3, 2.0, 0.0),
        ("a2", "test abnormal", 0.3, 3.0, 0.0),
        ("n1", "test normal", 0.3, 8.0, 0.0),
    ]
    table = pd.DataFrame(lines, columns=["case", "group", "mse", "percent_4", "percent_-4"])
    return pd.concat([table.assign(model="vae_8x8_512"), table.assign(model="std_8x8", percent_4=0.0)])


def flat(name: str) -> Predictor:
    """Expects the ball without its block: what is brighter there is flagged."""
    expected = cube().x
    return Predictor(name, "h", PrepareSettings(cube=SIDE), lambda x: expected)


def test_rules() -> None:
    assert [(c.figure, c.case) for c in choices(subjects(), "vae_8x8_512")] == [
        ("5", "t2"),
        ("6", "v3"),
        ("7", "a2"),
    ]
    none = subjects()
    assert [c.figure for c in choices(none[none["group"] != "validation"], "vae_8x8_512")] == ["5", "7"]


def test_the_flagged_place_is_the_lesion() -> None:
    seen = layer_of(flat("vae_8x8_512"), cube(0, lesion=0.3))
    place = flagged_place(seen, cube().affine)
    assert place is not None
    assert all(part.start <= at < part.stop for at, part in zip(place, block(), strict=True))


def test_sheets_of_an_evaluation() -> None:
    def cube_of(case: str) -> Cube:
        return cube(0, lesion=0.3)

    models = [flat("std_8x8"), flat("vae_8x8_512"), flat("restorer")]
    found = sheets_of(subjects(), models, cube_of, synthetic=True)
    assert list(found) == ["figure_5", "figure_6", "figure_7", "figure_8"]
    title = "Figure 7: test abnormal scan with most voxels beyond 4 SD: a2, vae_8x8_512, volume z"
    assert found["figure_7"].layout.title.text == f"{title} (synthetic data)"
    labels = {note.text for note in found["figure_8"].layout.annotations}
    assert {"std_8x8", "vae_8x8_512"} <= labels, "the paper's architectures"
    assert "restorer" not in labels
