"""The dbt project compiled once and run in one DuckDB connection: the SQL of a dbt build, in a fifth of its time.

For tests that need many builds. What dbt does beyond the SQL (contracts, documentation, run records) is not done here;
one real dbt build of all cases stays in the suite, and a test holds the two against each other.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path

import duckdb

from revenue_assets.conformance.build import PROJECT, SELECTION
from revenue_assets.domain.calendars import VARIABLE

# What accounting invariants speak of; reconciliations are tried in tests/dbt. A check of the journal of record reads
# files alone, and runs over any build.
MODELS = tuple(name for name in SELECTION if not name.startswith("+rec_"))
BOOKED_CHECKS = (
    "assert_reversals_are_exact", "assert_booked_lines_are_posted_once",
    "assert_nothing_is_booked_into_a_locked_period", "assert_batch_lines_sum_their_members",
    "assert_booked_lines_keep_their_place",
)  # fmt: skip
# Stand-ins in the compiled text; nothing real contains them.
AS_OF = "2098-07-31"
PLACES = {"landing": "/compiled-for/landing", "state": "/compiled-for/state", "journal": "/compiled-for/journal"}


@dataclass(frozen=True)
class Compiled:
    """`models` in order of dependency as (schema, name, SQL); `checks` = SQL of every dbt test on them, by name."""

    models: list[tuple[str, str, str]]
    checks: dict[str, str]

    def build(self, work_dir: Path, as_of: dt.date, *, threads: int = 2) -> Path:
        """Builds every model over `work_dir` (landing/, state/, journal/) from empty; returns the warehouse file."""
        warehouse = work_dir / "warehouse" / "revenue.duckdb"
        warehouse.parent.mkdir(parents=True, exist_ok=True)
        warehouse.unlink(missing_ok=True)
        with duckdb.connect(str(warehouse)) as connection:
            connection.execute(f"set TimeZone = 'UTC'; set preserve_insertion_order = false; set threads = {threads}")
            for schema in sorted({schema for schema, _, _ in self.models}):
                connection.execute(f'create schema if not exists "{schema}"')
            for schema, name, sql in self.models:
                try:
                    connection.execute(f'create table "{schema}"."{name}" as (\n{placed(sql, work_dir, as_of)}\n)')
                except duckdb.Error as error:
                    raise AssertionError(f"{schema}.{name} does not build: {error}") from error
        return warehouse

    def check(self, name: str, work_dir: Path, as_of: dt.date) -> str:
        """SQL of one dbt test over a build of `work_dir`; rows it returns are findings."""
        return placed(self.checks[name], work_dir, as_of)

    def findings(self, warehouse: Path, work_dir: Path, as_of: dt.date) -> dict[str, list[tuple]]:
        """Every dbt test that is red on a finished build, with its rows."""
        red = {}
        with duckdb.connect(str(warehouse), read_only=True) as connection:
            for name in self.checks:
                if rows := connection.execute(self.check(name, work_dir, as_of)).fetchall():
                    red[name] = rows
        return red


def placed(sql: str, work_dir: Path, as_of: dt.date) -> str:
    """Compiled SQL with its stand-ins replaced by a folder and a cut-off."""
    for name, place in PLACES.items():
        sql = sql.replace(place, str(work_dir / name))
    return sql.replace(AS_OF, as_of.isoformat())


def compile_project(work_dir: Path, week_calendars: str = "", project: Path = PROJECT) -> Compiled:
    """One `dbt compile` of the subledger, what it needs, and every test on them.

    `week_calendars` is what the build has to know of entities that do not count in months (domain.calendars.variable).
    """
    environment = {
        **os.environ,
        "REVENUE_WAREHOUSE": str(work_dir / "revenue.duckdb"),
        "REVENUE_LANDING": PLACES["landing"], "REVENUE_STATE": PLACES["state"], "REVENUE_JOURNAL": PLACES["journal"],
        "REVENUE_AS_OF": AS_OF,
        VARIABLE: week_calendars,
        "DBT_TARGET_PATH": str(work_dir / "target"),
        "DBT_LOG_PATH": str(work_dir / "logs"),
    }  # fmt: skip
    done = subprocess.run(
        [
            str(Path(sys.executable).with_name("dbt")), "compile", "--quiet",
            "--project-dir", str(project), "--profiles-dir", str(project),
            "--vars", json.dumps({"event_sources": ["cloudevents"]}),
            "--select", *MODELS, "test_type:singular",
        ],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    nodes = json.loads((work_dir / "target" / "manifest.json").read_text("utf-8"))["nodes"]
    built = {key: node for key, node in nodes.items() if node["resource_type"] == "model" and node.get("compiled_code")}
    needs = {key: [k for k in node["depends_on"]["nodes"] if k in built] for key, node in built.items()}
    tests = {
        node["name"]: node["compiled_code"]
        for node in nodes.values()
        if node["resource_type"] == "test"
        and node.get("compiled_code")
        and (
            node["name"] in BOOKED_CHECKS
            or all(key in built for key in node["depends_on"]["nodes"] if key.startswith("model."))
        )
    }
    order = [built[key] for key in TopologicalSorter(needs).static_order()]
    order = [node for node in order if node["config"]["materialized"] != "ephemeral"]  # stands in the SQL of others
    return Compiled([(node["schema"], node["alias"], node["compiled_code"]) for node in order], tests)  # fmt: skip
