"""The benchmark's command, from new business to update, over the smallest business there is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_command_measures_every_step_and_compares(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.run", "--rows", "1", "--home", str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    for words in ("reference ", "full ", "full / by hand", "incremental / full", "engine and hand-written SQL agree"):
        assert words in done.stdout
