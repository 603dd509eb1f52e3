"""Metered calls: quantities per window, their rating, and the meter's daily summaries.

Windows are calendar months of the entity, cut off at the deal's start and end. No calls happen within a day of a
window's edge, so a summary's UTC day lies in the same window on every clock.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta

from demo.world.calendar import Horizon, first_of_next_month
from demo.world.catalogue import USAGE_INCLUDED
from demo.world.model import Deal


@dataclass(frozen=True)
class Window:
    """Usage of one deal in one window [start, end): the total and the days it was metered on."""

    start: date
    end: date
    days: tuple[tuple[date, int], ...]

    @property
    def quantity(self) -> int:
        """Calls of the whole window."""
        return sum(count for _, count in self.days)


def usage_windows(deal: Deal, seed: int, span: Horizon) -> Iterator[Window]:
    """Every window of a metered deal that has begun, with what was metered up to the horizon's end."""
    if not deal.usage:
        return
    start = deal.start
    while start <= span.end and (deal.ended is None or start < deal.ended):
        end = first_of_next_month(start)
        if deal.ended is not None:
            end = min(end, deal.ended)
        yield Window(start, end, _metered(deal, seed, start, end))
        start = end


def _metered(deal: Deal, seed: int, start: date, end: date) -> tuple[tuple[date, int], ...]:
    rng = random.Random(f"{seed}/usage/{deal.key}/{start}")
    days = [start + timedelta(days=n) for n in range(2, (end - start).days - 2, 5)]
    if not days:
        return ()
    share = (end - start).days / 30
    total = int(USAGE_INCLUDED * deal.usage_scale * share * rng.uniform(0.6, 1.5))
    each, rest = divmod(total, len(days))
    return tuple((day, each + (rest if n == 0 else 0)) for n, day in enumerate(days) if each)
