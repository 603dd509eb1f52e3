"""Each trial at its small figure, on SQLite; `make night` runs the large ones, on PostgreSQL too (docs/promises.md)."""

from __future__ import annotations

import pytest
from catalogue import TRIALS, Trial
from ground import Ground


@pytest.mark.parametrize("trial", [t for t in TRIALS if t.by_default], ids=lambda trial: trial.name)
def test_the_promise_holds(tmp_path, trial: Trial) -> None:
    outcome = trial.run(Ground(tmp_path / "ground"), trial.dev)
    assert outcome.broken == []
    assert outcome.reached >= trial.dev, "the trial ended before its figure"
