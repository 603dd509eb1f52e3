"""Upgrades do not lose what is in flight: an older store is opened, posts to the end, and nothing is twice or lost.

`test_store_postgres.py` does the same on PostgreSQL.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
import time

import old_stores
import pytest
from click.testing import CliRunner

from revenue_assets.cli import main
from revenue_assets.store.engine import StoreError, open_store
from revenue_assets.store.migrate import HEAD

FULL = os.environ.get("REVENUE_TRIALS") == "full"
# By default the oldest, the middle and the newest of the older schemas, the ERPs in turn.
SHORT = (old_stores.OLDER[0], old_stores.OLDER[len(old_stores.OLDER) // 2], old_stores.OLDER[-1])
CELLS = (
    [(r, f) for r in old_stores.OLDER for f in old_stores.ERPS]
    if FULL
    else list(zip(SHORT, old_stores.ERPS, strict=True))
)


@pytest.mark.parametrize(("revision", "faults"), CELLS)
def test_an_older_store_is_upgraded_with_its_flight(tmp_path, revision, faults):
    url = f"sqlite:///{tmp_path / 'old.sqlite'}"
    old_stores.prove(old_stores.build(url, revision, faults))


@pytest.mark.parametrize("seed", range(100 if FULL else 1))
def test_an_upgrade_that_is_killed_is_done_or_not_begun(tmp_path, seed):
    file = tmp_path / "old.sqlite"
    flight = old_stores.build(f"sqlite:///{file}", "0001", "unique_id")
    pid = os.fork()
    if pid == 0:
        open_store(flight.url)
        os._exit(0)
    time.sleep(random.Random(seed).uniform(0, 0.3))
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    with sqlite3.connect(file) as connection:
        assert connection.execute("select version_num from alembic_version").fetchall() in ([("0001",)], [(HEAD,)])
    old_stores.prove(flight)


@pytest.mark.parametrize("faults", ["unique_id", "remembers_keys"] if FULL else ["unique_id"])
def test_a_restored_backup_finds_what_was_posted_since(tmp_path, faults):
    """Rolling back is restoring: the ERP has everything, the store knows of nothing since the backup."""
    file, backup = tmp_path / "old.sqlite", tmp_path / "backup.sqlite"
    flight = old_stores.build(f"sqlite:///{file}", old_stores.OLDER[-1], faults)
    shutil.copy(file, backup)
    old_stores.prove(flight)
    posted = flight.erp.copies()
    for beside in tmp_path.glob("old.sqlite*"):
        beside.unlink()
    shutil.copy(backup, file)
    old_stores.prove(flight)
    assert flight.erp.copies() == posted


def test_an_older_version_refuses_a_newer_store(tmp_path, monkeypatch):
    file = tmp_path / "store" / "operational.sqlite"
    open_store(f"sqlite:///{file}").close()
    with sqlite3.connect(file) as connection:
        connection.execute("update alembic_version set version_num = '9999'")
        before = list(connection.iterdump())
    with pytest.raises(StoreError, match=f"schema 9999, and this version of the platform knows it up to {HEAD}"):
        open_store(f"sqlite:///{file}")
    monkeypatch.setenv("REVENUE_HOME", str(tmp_path))
    monkeypatch.delenv("REVENUE_STORE_URL", raising=False)
    said = CliRunner().invoke(main, ["exceptions", "list"])
    assert said.exit_code == 1
    assert "Nothing was changed. Install that version again" in said.output
    with sqlite3.connect(file) as connection:
        assert list(connection.iterdump()) == before
