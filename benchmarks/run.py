"""`python -m benchmarks.run --rows 1M`: cost of the subledger as ratios within one run (docs/performance.md).

CPU seconds (user and system), not wall clock: the figures stand on a busy machine, too. The full build is dbt's run
of the models; its start-up (import, parse, a fixed cost per model) is measured on ten customers and taken off.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import generate

SIZES = {"K": 1_000, "M": 1_000_000}


@dataclass(frozen=True)
class Result:
    """Every step's CPU seconds, wall seconds and peak megabytes; `differences` between engine and reference."""

    steps: dict[str, dict[str, Any]]
    differences: list[str]

    def cpu(self, step: str) -> float:
        """CPU seconds of the work itself: of dbt's runs, what it costs over no data is taken off."""
        fixed = self.steps["start-up"]["cpu"] if step == "full" and "start-up" in self.steps else 0.0
        return max(float(self.steps[step]["cpu"]) - fixed, 0.001)


def rows_of(text: str) -> int:
    """`1M`, `500K` or a plain number."""
    factor = SIZES.get(text[-1].upper(), 1)
    return int(float(text[:-1] if factor > 1 else text) * factor)


def measure(rows: int, home: Path) -> Result:
    """Generates the business under `home` and measures each step in its own process, one after the other."""
    steps: dict[str, dict[str, Any]] = {}
    small = home / "small"
    # every step in a process of its own: a child is never said to be smaller than its parent had become
    if generate.customers(rows) > generate.customers(0):
        _step("generate", small, 0)
        steps["start-up"] = _step("full", small, 0)
    steps["generated"] = _step("generate", home, rows)
    steps["reference"] = _step("reference", home, rows)
    steps["full"] = _step("full", home, rows)
    differences = _step("compare", home, rows)["differences"]
    steps["changed"] = _step("change", home, rows)
    steps["incremental"] = _step("incremental", home, rows)
    return Result(steps, differences)


def _step(name: str, home: Path, rows: int) -> dict[str, Any]:
    done = subprocess.run(  # noqa: S603 - this package, fixed arguments
        [sys.executable, "-m", "benchmarks.steps", name, str(home), str(rows)],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).resolve().parents[1],
    )
    if done.returncode:
        raise RuntimeError(f"step {name} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def report(rows: int, result: Result) -> str:
    """The result as lines for people."""
    lines = [f"{rows:,} rows: invoice lines, usage records, payments"]
    for name, step in result.steps.items():
        rest = ", ".join(f"{key} {value}" for key, value in step.items() if key not in ("cpu", "wall", "peak_mb"))
        lines.append(
            f"  {name:<15} {step['cpu']:9.1f} CPU s {step['wall']:9.1f} s {step['peak_mb']:7,} MB  {rest}".rstrip()
        )
    lines.append(f"  full / by hand     {result.cpu('full') / result.cpu('reference'):6.2f}")
    if "not_local" in result.steps["incremental"]:
        lines.append("  incremental: refused")
    else:
        lines.append(f"  incremental / full {result.cpu('incremental') / result.cpu('full'):7.2%}")
    agreed = not result.differences
    lines.append("  engine and hand-written SQL agree" if agreed else "\n".join(result.differences[:20]))
    return "\n".join(lines)


def main() -> int:
    """Runs the benchmark; 1 if engine and reference disagree."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description=__doc__.splitlines()[0])
    parser.add_argument("--rows", default="1M", help="1M, 10M, 50M, or a number")
    parser.add_argument("--home", type=Path, help="folder for the data, kept; default: a temporary one")
    chosen = parser.parse_args()
    home = chosen.home or Path(tempfile.mkdtemp(prefix="revenue-benchmark-"))
    try:
        result = measure(rows_of(chosen.rows), home)
    finally:
        if chosen.home is None:
            shutil.rmtree(home, ignore_errors=True)
    print(report(rows_of(chosen.rows), result))
    return 1 if result.differences else 0


if __name__ == "__main__":
    raise SystemExit(main())
