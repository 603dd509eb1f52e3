"""Money in the pretend company: integers of minor units, half-up rounding (away from zero on ties)."""

from __future__ import annotations

from decimal import Decimal

EXPONENTS = {"USD": 2, "EUR": 2, "GBP": 2, "CAD": 2, "JPY": 0}


def half_up(numerator: int, denominator: int) -> int:
    """Round `numerator / denominator` half up, away from zero on ties; `denominator` is positive."""
    rounded = (2 * abs(numerator) + denominator) // (2 * denominator)
    return rounded if numerator >= 0 else -rounded


def major(amount: int, currency: str) -> Decimal:
    """Minor units as an exact decimal of major units (`12345`, USD -> `123.45`)."""
    return Decimal(amount).scaleb(-EXPONENTS[currency])


def major_text(amount: int, currency: str) -> str:
    """Minor units as text with the currency's own number of decimals, for CSV files and reports."""
    return f"{major(amount, currency):f}"


def major_number(amount: int, currency: str) -> float:
    """Minor units as the JSON number a vendor would send; the shortest text of it is exact to the cent."""
    return float(major(amount, currency))


def convert(amount: int, source: str, target: str, rate: Decimal) -> int:
    """Convert minor units of `source` to minor units of `target`; `rate` is target per one source, major units."""
    numerator, denominator = rate.as_integer_ratio()
    return half_up(
        amount * numerator * 10 ** EXPONENTS[target],
        denominator * 10 ** EXPONENTS[source],
    )
