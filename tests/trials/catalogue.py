"""Every trial with its figures: how many in the default test run, and how many a night."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import NamedTuple

from ground import Ground, Outcome

SQLITE, POSTGRESQL = "sqlite", "postgresql"
BOTH = (SQLITE, POSTGRESQL)


class Trial(NamedTuple):
    """`module.function(ground, count) -> Outcome`. `counts`: what `count` counts. `dev` per server in `dev_on`."""

    promise: str
    module: str
    function: str
    counts: str
    dev: int
    night: int
    on: tuple[str, ...] = (SQLITE,)
    dev_on: tuple[str, ...] = (SQLITE,)

    @property
    def name(self) -> str:
        return f"{self.promise}-{self.function}".replace("_", "-")

    @property
    def run(self) -> Callable[[Ground, int], Outcome]:
        found: Callable[[Ground, int], Outcome] = getattr(import_module(self.module), self.function)
        return found


TRIALS: tuple[Trial, ...] = (
    Trial("P3", "p03_writers", "out_of_order", "rows committed by 8 writers", 300, 100_000, BOTH),
    Trial("P5", "p05_unknown", "unknown_outcomes", "unknown outcomes", 30, 10_000),
    Trial("P6", "p06_keys", "mutated_resends", "changed documents under one key", 200, 10_000, BOTH),
    Trial("P12", "p12_outage", "outage", "journals that wait for a day", 40, 50_000),
    Trial("P12", "p12_outage", "throttled", "journals past an ERP that answers 429", 20, 2_000),
    Trial("P14", "p14_balance", "raw_sql", "journals by plain SQL", 300, 100_000, BOTH),
)


def named(name: str) -> Trial:
    """The trial of this name; SystemExit with the names there are."""
    for trial in TRIALS:
        if trial.name == name:
            return trial
    raise SystemExit(f"There is no trial {name!r}; there are: {', '.join(t.name for t in TRIALS)}.")
