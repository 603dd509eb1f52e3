"""The accounting identities hold on the cases, whatever order, number and delay their events arrive in, and wherever
they are built."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import duckdb
import pytest
from compiled import Compiled
from deliveries import FIGURES, deliver_otherwise, fingerprints
from open_cases import Built

from revenue_assets.conformance.cases import horizon

SEEDS = range(606, 626) if os.environ.get("REVENUE_TRIALS") == "full" else (606,)
# Machines somewhere else: other hash seed, zone of the process, language and number of threads.
MACHINES = range(100) if os.environ.get("REVENUE_TRIALS") == "full" else (0,)
ZONES = ("Pacific/Kiritimati", "UTC", "America/St_Johns", "Asia/Kathmandu", "Pacific/Pago_Pago")
LANGUAGES = ("tr_TR.UTF-8", "C", "de_DE.UTF-8")
REFUSED = "select exception_key, class, subject from canonical.event_exceptions order by all"
BUILD_ELSEWHERE = """
import datetime, json, pathlib, sys, time
time.tzset()
from compiled import Compiled
text, folder, as_of = json.loads(pathlib.Path(sys.argv[1]).read_text()), pathlib.Path(sys.argv[2]), sys.argv[3]
Compiled(**text).build(folder, datetime.date.fromisoformat(as_of), threads=int(sys.argv[4]))
"""


@pytest.fixture(scope="session")
def in_order(built: Built, compiled: Compiled, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cases as they stand, built from empty once more; returns the folder of the build."""
    return _again(built, compiled, tmp_path_factory.mktemp("in_order"))


def _again(built: Built, compiled: Compiled, folder: Path, seed: int | None = None) -> Path:
    for name in ("landing", "state", "journal"):
        shutil.copytree(built.work_dir / name, folder / name)
    if seed is not None:
        deliver_otherwise(folder / "landing", seed)
    compiled.build(folder, horizon(built.cases))
    return folder


def warehouse_of(folder: Path) -> Path:
    return folder / "warehouse" / "revenue.duckdb"


def test_identities_hold(built: Built, compiled: Compiled) -> None:
    """Every dbt test on the subledger and what it is made of, on the build that dbt itself made."""
    assert {name for name in compiled.checks if name.startswith("assert_")} >= {"assert_entries_balance"}
    assert len(compiled.checks) > 100
    assert compiled.findings(built.warehouse, built.work_dir, horizon(built.cases)) == {}


def test_the_compiled_project_builds_what_dbt_builds(built: Built, in_order: Path) -> None:
    """Also replay from empty: two builds of the same inputs, one digest per table."""
    found = fingerprints(built.warehouse)
    assert found == fingerprints(warehouse_of(in_order))
    assert all(rows for rows, _ in found.values()), found


@pytest.mark.parametrize("seed", SEEDS)
def test_delivery_changes_nothing(built: Built, compiled: Compiled, in_order: Path, tmp_path: Path, seed: int) -> None:
    """Shuffled, a third of it repeated, landed late in four batches: every figure and every refusal is the same."""
    shuffled = warehouse_of(_again(built, compiled, tmp_path, seed))
    for table in FIGURES:
        contents = []
        for file in (warehouse_of(in_order), shuffled):
            with duckdb.connect(str(file), read_only=True) as connection:
                contents.append(set(connection.execute(f"select * from {table}").fetchall()))
        only = {"in order": list(contents[0] - contents[1])[:3], "otherwise": list(contents[1] - contents[0])[:3]}
        assert contents[0] == contents[1], f"seed {seed}, {table}: {only}"
    assert fingerprints(shuffled) == fingerprints(warehouse_of(in_order))
    refused = []
    for file in (warehouse_of(in_order), shuffled):
        with duckdb.connect(str(file), read_only=True) as connection:
            refused.append(connection.execute(REFUSED).fetchall())
    assert refused[0] == refused[1]
    assert refused[0]


@pytest.mark.parametrize("machine", MACHINES)
def test_replay_from_empty_elsewhere_gives_the_same_bytes(
    built: Built, compiled: Compiled, in_order: Path, tmp_path: Path, machine: int
) -> None:
    """Another process with another hash seed, zone, language and number of threads."""
    language = LANGUAGES[machine % len(LANGUAGES)]
    where = {
        "PYTHONHASHSEED": str(7 + machine),
        "TZ": ZONES[machine % len(ZONES)],
        "LANG": language,
        "LC_ALL": language,
    }
    for name in ("landing", "state", "journal"):
        shutil.copytree(built.work_dir / name, tmp_path / name)
    text = tmp_path / "compiled.json"
    text.write_text(json.dumps(asdict(compiled)), "utf-8")
    done = subprocess.run(
        [sys.executable, "-c", BUILD_ELSEWHERE, str(text), str(tmp_path), horizon(built.cases).isoformat(),
         str(1 + machine % 4)],
        env={**os.environ, **where, "PYTHONPATH": str(Path(__file__).parent)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert fingerprints(warehouse_of(tmp_path)) == fingerprints(warehouse_of(in_order))
    warehouse_of(tmp_path).unlink()  # a hundred of them fill a disk
