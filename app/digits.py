"""Numbers that span orders of magnitude, as people read them."""

from __future__ import annotations

EXPONENT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def digits(value: float) -> str:
    """A mean squared error, 0 or more: three significant digits at least, ``0.0200`` or ``3.47 × 10⁻⁵``."""
    if value == 0:
        return "0"
    if value >= 0.01:
        return f"{value:.4f}"
    if value >= 0.001:
        return f"{value:.5f}"
    mantissa, exponent = f"{value:.2e}".split("e")
    return f"{mantissa} × 10{str(int(exponent)).translate(EXPONENT)}"
