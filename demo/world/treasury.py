"""Exchange rates of the treasury file: daily spot, and closing at each month's end, per legal entity."""

from __future__ import annotations

import random
from datetime import date, timedelta
from decimal import Decimal

from demo.world.calendar import ENTITIES, Horizon, is_month_end
from demo.world.catalogue import entity_currencies

FX_COLUMNS = ("entity_id", "from_currency", "to_currency", "rate_date", "rate_type", "rate")
_START = {("EUR", "USD"): "1.0950", ("CAD", "USD"): "0.7320", ("JPY", "GBP"): "0.005210", ("GBP", "USD"): "1.2740"}
# Functional to group currency: closing rates only, for figures of the whole group.
_GROUP_CURRENCY = "USD"
_STEP = Decimal("0.00000001")
# What the processor keeps of a conversion, on top of its fee.
_PROCESSOR_SHARE = Decimal("0.99")


class Rates:
    """Spot rates by (entity, document currency, day); a random walk that stays within 15 % of where it began."""

    def __init__(self, seed: int, span: Horizon) -> None:
        self._spot: dict[tuple[str, str, date], Decimal] = {}
        self._span = span
        for entity, currency in entity_currencies():
            rng = random.Random(f"{seed}/fx/{entity}/{currency}")
            first = Decimal(_START[currency, ENTITIES[entity].currency])
            factor = Decimal(1)
            day = span.start
            while day <= span.end:
                step = Decimal(rng.randint(-60, 60)) / 10000 - (factor - 1) / 50
                factor = min(max(factor + step, Decimal("0.85")), Decimal("1.15"))
                self._spot[entity, currency, day] = (first * factor).quantize(Decimal("0.000001"))
                day += timedelta(days=1)

    def processor_rate(self, entity: str, currency: str, day: date) -> Decimal:
        """Rate at which the processor settles a foreign amount on a day."""
        return (self._spot[entity, currency, day] * _PROCESSOR_SHARE).quantize(_STEP).normalize()

    def rows(self) -> list[tuple[str, ...]]:
        """Rows of the rate file, columns `FX_COLUMNS`."""
        rows: list[tuple[str, ...]] = []
        for (entity, currency, day), rate in self._spot.items():
            row = (entity, currency, ENTITIES[entity].currency, day.isoformat())
            rows.append((*row, "spot", f"{rate:f}"))
            if is_month_end(day):
                rows.append((*row, "closing", f"{rate:f}"))
        return rows + self._group_rows()

    def _group_rows(self) -> list[tuple[str, ...]]:
        rows: list[tuple[str, ...]] = []
        quoted = {currency for entity, currency in entity_currencies() if ENTITIES[entity].currency == _GROUP_CURRENCY}
        for entity, facts in ENTITIES.items():
            if facts.currency == _GROUP_CURRENCY or facts.currency in quoted:
                continue
            first = Decimal(_START[facts.currency, _GROUP_CURRENCY])
            day = self._span.start
            while day <= self._span.end:
                if is_month_end(day):
                    wobble = Decimal((day.toordinal() * 37) % 121 - 60) / 2000
                    rate = (first * (1 + wobble)).quantize(Decimal("0.000001"))
                    pair = (entity, facts.currency, _GROUP_CURRENCY)
                    rows.append((*pair, day.isoformat(), "closing", f"{rate:f}"))
                day += timedelta(days=1)
        return rows
