"""One measured step, in a process of its own so that its CPU time and peak memory are its own: prints one JSON line."""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path

from benchmarks import generate, reference
from revenue_assets.conformance.build import PROJECT, build
from revenue_assets.incremental.compiled import TARGETS, models
from revenue_assets.incremental.scope import NotLocal
from revenue_assets.incremental.update import update

WAREHOUSE = Path("warehouse") / "revenue.duckdb"


def cpu_seconds(who: int) -> float:
    """User and system time so far: this process, or all children it has waited for."""
    usage = resource.getrusage(who)
    return usage.ru_utime + usage.ru_stime


def main(step: str, home: Path, rows: int) -> None:
    """Runs `step` over `home` of `rows` rows; CPU of importing this module is not counted, that of dbt (a child) is."""
    notes: dict[str, object] = {}
    began, own, children = time.monotonic(), cpu_seconds(resource.RUSAGE_SELF), cpu_seconds(resource.RUSAGE_CHILDREN)
    if step == "generate":
        generate.write_home(home, rows, PROJECT)
    elif step == "change":
        notes = {"new": generate.write_changes(home, rows)}
    elif step == "compare":
        notes = {"differences": reference.differences(home / WAREHOUSE, home / "reference.duckdb")}
    elif step == "full":
        build(home, generate.AS_OF, selection=tuple(f"+{name}" for name in TARGETS))
    elif step == "reference":
        reference.build(home, generate.AS_OF.isoformat(), home / "reference.duckdb")
    else:
        try:
            done = update(home / WAREHOUSE, home / "landing", models(home / "target"), generate.AS_OF)
            notes = {"new": done.new_events, "recomputed": done.recomputed_events, "rows": done.rows}
        except NotLocal as reason:
            notes = {"not_local": str(reason)}
    cpu = cpu_seconds(resource.RUSAGE_SELF) - own + cpu_seconds(resource.RUSAGE_CHILDREN) - children
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    print(json.dumps({"cpu": cpu, "wall": time.monotonic() - began, "peak_mb": peak // 1024, **notes}))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
