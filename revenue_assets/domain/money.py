"""Money as whole minor units. Pure; no float ever enters or leaves.

An amount and its currency travel together; the number of minor-unit digits (`exponent`, ISO 4217) comes from the
company's state, not from here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Decimal, localcontext

INT64_MAX = 2**63 - 1
_DECIMAL_TEXT = re.compile(r"[+-]?\d{1,30}(\.\d{1,12})?")


class MoneyError(ValueError):
    """An amount that cannot be represented exactly; the message names the amount."""


def to_minor(text: str | int | Decimal, exponent: int) -> int:
    """Major units as text or Decimal -> minor units; `to_minor("10.05", 2) == 1005`.

    Refuses a float, a fraction of a minor unit, and anything outside a signed 64-bit integer: rounding money on
    the way in would hide a source's error.
    """
    if isinstance(text, float | bool):
        raise MoneyError(f"{text!r} is not an exact amount; pass text, int or Decimal.")
    value = text if isinstance(text, str) else str(text)
    if not _DECIMAL_TEXT.fullmatch(value):
        raise MoneyError(f"{value!r} is not an amount.")
    with localcontext() as context:
        context.prec = 60
        minor = Decimal(value).scaleb(exponent)
        if minor != minor.to_integral_value():
            raise MoneyError(f"{value} has more digits than a currency with {exponent} minor-unit digits.")
    return checked(int(minor))


def to_major(minor: int, exponent: int) -> Decimal:
    """Minor units -> Decimal in major units with exactly `exponent` digits; `to_major(1005, 2) == Decimal("10.05")`."""
    with localcontext() as context:
        context.prec = 60
        return Decimal(checked(minor)).scaleb(-exponent)


def checked(minor: int) -> int:
    """`minor` itself, if it is an int that fits BIGINT; MoneyError otherwise."""
    if isinstance(minor, bool) or not isinstance(minor, int):
        raise MoneyError(f"{minor!r} is not a whole number of minor units.")
    if abs(minor) > INT64_MAX:
        raise MoneyError(f"{minor} does not fit 64 bits.")
    return minor


def half_up(value: Decimal) -> int:
    """Rounds to a whole minor unit, ties away from zero, as invoices do."""
    return checked(int(value.quantize(Decimal(1), rounding=ROUND_HALF_UP)))


def allocate(total: int, weights: Sequence[int]) -> list[int]:
    """Splits `total` over `weights` (non-negative, not all zero) so that the parts add up to `total` exactly.

    Largest remainder; ties go to the earliest. The sign of `total` is kept: allocate(-x) == -allocate(x).
    """
    whole = sum(weights)
    if whole <= 0 or any(w < 0 for w in weights):
        raise MoneyError("weights must be non-negative and not all zero.")
    sign = -1 if checked(total) < 0 else 1
    shares = [divmod(abs(total) * w, whole) for w in weights]
    missing = abs(total) - sum(part for part, _ in shares)
    order = sorted(range(len(weights)), key=lambda i: (-shares[i][1], i))
    extra = set(order[:missing])
    return [sign * (part + (i in extra)) for i, (part, _) in enumerate(shares)]
