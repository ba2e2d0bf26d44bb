"""Tables for people: intervals in the cell of their value, repeated cells once."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from core.evaluation.readable import html_table, number, readable


def test_numbers() -> None:
    assert [number(value) for value in (0.41452, 12.0, 1234.5, 1e-5, float("nan"), 7, True, np.False_)] == [
        "0.415",
        "12",
        "1234",
        "1e-05",
        "–",
        "7",
        "yes",
        "no",
    ]


def test_intervals_join_their_value() -> None:
    table = pd.DataFrame(
        {
            "model": ["a", "b"],
            "n": [9, 3],
            "ap": [0.5, 0.25],
            "ap_low": [0.25, np.nan],
            "ap_high": [0.75, np.nan],
            "auc_mse": [0.9, np.nan],
            "ci_low": [0.8, np.nan],
            "ci_high": [1.0, np.nan],
        }
    )
    found = readable(table)
    assert found.columns.tolist() == ["model", "n", "ap", "auc mse"]
    assert found.to_numpy().tolist() == [
        ["a", "9", "0.5 (0.25 to 0.75)", "0.9 (0.8 to 1)"],
        ["b", "3", "0.25", "–"],
    ]


def test_a_group_names_itself_once_and_words_are_escaped() -> None:
    table = pd.DataFrame(
        {
            "method": ["m<1>", "m<1>", "m2"],
            "scorer": ["s"] * 3,
            "map": ["volume"] * 3,
            "fitted_on": ["normals"] * 3,
            "class": ["type", "type", "type"],
            "name": ["cyst", "spot", "cyst"],
        }
    )
    text = html_table("lesions", table)
    assert re.findall("<th>(.*?)</th>", text) == ["method", "fitted on", "class", "name"]
    cells = re.findall("<td>(.*?)</td>", text)
    assert [cells[first : first + 4] for first in range(0, 12, 4)] == [
        ["m&lt;1&gt;", "normals", "type", "cyst"],
        ["", "", "", "spot"],
        ["m2", "normals", "type", "cyst"],
    ]
    assert "scorer" in html_table("summary", table)


def test_an_interval_stays_on_one_line() -> None:
    table = pd.DataFrame({"ap": [0.48765], "ap_low": [0.32549], "ap_high": [1.0], "said": ["1 (a to b)"]})
    assert re.findall("<td>(.*?)</td>", html_table("localisation", table))[0] == (
        "0.488 (0.33\u00a0to\u00a01)"
    )
    assert readable(table)["ap"].tolist() == ["0.488 (0.33 to 1)"]
