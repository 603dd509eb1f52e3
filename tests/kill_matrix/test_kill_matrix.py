"""A short kill matrix in the default run: one seed of the hard cells. `make kill-matrix` plays hundreds of trials.

It runs in a process of its own: posters are forked, and a process that forks should have no threads.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SEEDS = "5" if os.environ.get("REVENUE_TRIALS") == "full" else "1"
RUN = Path(__file__).with_name("run.py")


def matrix(tmp_path: Path, *arguments: str) -> tuple[int, dict[str, Any]]:
    """Exit code and report of a run."""
    report = tmp_path / "report.json"
    command = [sys.executable, str(RUN), "--report", str(report), *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    print(done.stdout)
    return done.returncode, json.loads(report.read_text())


@pytest.mark.timeout(1_800)
def test_killed_posters_post_every_journal_once(tmp_path: Path) -> None:
    code, report = matrix(tmp_path, "--short", "--seeds", SEEDS)
    assert (code, report["broken"]) == (0, [])
    assert (report["duplicates"], report["lost"], report["stuck"]) == (0, 0, 0)
    assert {r["protocol"] for r in report["results"]} == {
        "generic_rest", "generic_rest_jobs", "generic_rest_details", "generic_csv", "netsuite", "netsuite_jobs",
        "netsuite_details",
    }  # fmt: skip
    assert report["kills"] >= report["trials"] / 2, "the kills came too late to mean anything"


def test_a_poster_stopped_past_its_lease_posts_nothing_twice(tmp_path: Path) -> None:
    code, report = matrix(tmp_path, "--short", "--duel", "--seeds", SEEDS)
    assert (code, report["broken"]) == (0, [])
    assert report["kills"] >= report["trials"] / 2, "nobody was stopped"


def test_the_matrix_can_turn_red(tmp_path: Path) -> None:
    """Without the settle time, a request that commits after its caller's death becomes a second document."""
    cell = ("--protocol", "generic_rest", "--behaviour", "no_key_late", "--from", "3", "--seeds", "3")
    code, report = matrix(tmp_path, *cell, "--settle", "0", "--late", "3")
    assert code == 1
    assert report["duplicates"] > 0
