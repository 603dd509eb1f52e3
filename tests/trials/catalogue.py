"""Every trial with its figures: how many in the default test run, and how many a night."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import NamedTuple

from ground import Ground, Outcome

SQLITE, POSTGRESQL = "sqlite", "postgresql"
BOTH = (SQLITE, POSTGRESQL)


class Trial(NamedTuple):
    """`module.function(ground, count) -> Outcome`; `counts`: what `count` counts. `by_default`: in the test run too."""

    promise: str
    module: str
    function: str
    counts: str
    dev: int
    night: int
    on: tuple[str, ...] = (SQLITE,)
    by_default: bool = True

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
    Trial("P6", "p06_keys", "mutated_resends", "changed documents under one key", 100, 10_000, BOTH),
    Trial("P11", "p11_duels", "stopped_past_the_lease", "duels", 1, 500, BOTH),
    Trial(
        "P11", "p11_duels", "late_document_is_found", "late documents of an ERP without keys", 1, 1, (SQLITE,), False
    ),
    Trial("P12", "p12_outage", "outage", "journals that wait for a day", 20, 50_000),
    Trial("P12", "p12_outage", "throttled", "journals past an ERP that answers 429", 20, 2_000),
    Trial("P13", "p13_money", "every_hop", "amounts", 400, 1_000_000, BOTH),
    Trial("P14", "p14_balance", "raw_sql", "journals by plain SQL", 300, 100_000, BOTH),
    Trial("P15", "p15_conservation", "one_row", "changed rows among 10,000", 40, 1_000),
    Trial("P20", "p20_lock", "lock_against_post", "races of a close with a post", 15, 500, BOTH),
    Trial("P21", "p21_roles", "matrix", "cells of roles and actions", 56, 56, BOTH),
    Trial("P25", "p25_queue", "replayed", "refused batches, replayed 100 times", 5, 200, BOTH),
)


def named(name: str) -> Trial:
    """The trial of this name; SystemExit with the names there are."""
    for trial in TRIALS:
        if trial.name == name:
            return trial
    raise SystemExit(f"There is no trial {name!r}; there are: {', '.join(t.name for t in TRIALS)}.")
