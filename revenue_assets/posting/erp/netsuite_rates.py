"""Which exchange rate, if any, makes NetSuite derive exactly our functional amounts. Pure.

A NetSuite journal has one currency and one rate. Each line's base amount is its amount times the rate, rounded; where
the rounded lines do not balance, NetSuite changes the first line by the difference without a word (help page "GL Impact
Rounding on Journal Entries"). So a rate is fit only if every single line rounds to our figure, with no tie.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from fractions import Fraction

# Digits after the point; and in all, so that the number survives a server that keeps it as a double.
DECIMALS_MAX = 12
DIGITS_MAX = 15


def exact_rate(amounts: Iterable[tuple[int, int]], exponent_tc: int, exponent_fc: int) -> Decimal | None:
    """The rate with the fewest decimals that turns each transaction amount into its functional amount exactly.

    `amounts`: (transaction, functional) in minor units of `exponent_tc` and `exponent_fc` digits. None if there is no
    such rate: lines of several rates, an amount on one side only, sums too large for DIGITS_MAX.
    """
    low, high = Fraction(0), None
    for transaction, functional in amounts:
        if transaction * functional <= 0:
            return None
        unit = Fraction(abs(transaction)) * Fraction(10) ** (exponent_fc - exponent_tc)
        low = max(low, (abs(functional) - Fraction(1, 2)) / unit)
        top = (abs(functional) + Fraction(1, 2)) / unit
        high = top if high is None else min(high, top)
    if high is None:
        return None
    for decimals in range(DECIMALS_MAX + 1):
        scale = 10**decimals
        nearest = round((low + high) / 2 * scale)
        if len(str(nearest)) > DIGITS_MAX:
            return None
        if low < Fraction(nearest, scale) < high:
            return Decimal(nearest).scaleb(-decimals)
    return None
