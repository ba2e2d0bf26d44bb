"""Errors of every size keep three significant digits."""

from __future__ import annotations

import pytest

from app.digits import digits


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (0.0, "0"),
        (0.5, "0.5000"),
        (0.02, "0.0200"),
        (0.0083466, "0.00835"),
        (0.001, "0.00100"),
        (0.00042749, "4.27 × 10⁻⁴"),
        (3.4695e-05, "3.47 × 10⁻⁵"),
        (9.999e-06, "1.00 × 10⁻⁵"),
        (2e-12, "2.00 × 10⁻¹²"),
    ],
)
def test_digits(value: float, said: str) -> None:
    assert digits(value) == said
