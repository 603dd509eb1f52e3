"""A few daemons killed and wiped in the default run. `make daemon-trials` plays hundreds.

It runs in a process of its own: daemons are forked, and a process that forks should have no threads.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

# Of two faults each; seed 12: dead at any time, a wipe. Eight more in the full trials.
SEEDS = (12,) if os.environ.get("REVENUE_TRIALS") != "full" else range(8, 16)


@pytest.mark.timeout(1_800)
def test_a_dagster_that_is_killed_and_forgets_loses_nothing_and_repeats_nothing(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    run = [sys.executable, str(Path(__file__).with_name("run.py")), "--report", str(report), "--defs", "posting"]
    seeds = [text for seed in SEEDS for text in ("--seed", str(seed))]
    done = subprocess.run(
        [*run, *seeds, "--faults", "2", "--jobs", "2"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    print(done.stdout)
    facts = json.loads(report.read_text())
    assert (done.returncode, facts["broken"]) == (0, [])
    assert (facts["duplicates"], facts["lost"], facts["stuck"]) == (0, 0, 0)
    assert facts["kills"] >= len(SEEDS), "nobody was killed"
    assert facts["wipes"] >= 1
    assert facts["journals"] == 6 * len(SEEDS), "two stages of three journals"
