"""The warehouse file has one writing process; what an earlier one still holds is waited for, not run into."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from revenue_assets.resources import Platform
from revenue_assets.settings import Settings
from revenue_assets.store.engine import StoreError

HOLD = """
import duckdb, sys
connection = duckdb.connect(sys.argv[1])
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def platform(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Platform:
    for name in Settings.load().export():  # what the platform exports is taken back after the test
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("REVENUE_HOME", str(tmp_path))
    return Platform()


@pytest.fixture
def holder(platform: Platform) -> Iterator[subprocess.Popen[str]]:
    """Another process that has the file open for writing until its input ends."""
    command = [sys.executable, "-c", HOLD, str(platform.settings.warehouse)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()


def test_a_missing_and_a_free_warehouse_are_not_waited_for(platform: Platform) -> None:
    platform.await_warehouse(0)
    assert not platform.settings.warehouse.exists(), "waiting makes no file"
    with platform.warehouse() as connection:
        connection.execute("create table t (n int)")
    platform.await_warehouse(0)


def test_what_an_orphan_holds_is_waited_for(platform: Platform, holder: subprocess.Popen[str]) -> None:
    ending = subprocess.Popen([sys.executable, "-c", f"import os, time; time.sleep(1); os.kill({holder.pid}, 9)"])
    platform.await_warehouse(60)
    with platform.warehouse() as connection:
        assert connection.execute("select 1").fetchone() == (1,)
    assert ending.wait() == 0


def test_who_holds_it_too_long_is_named(platform: Platform, holder: subprocess.Popen[str]) -> None:
    with pytest.raises(StoreError, match=rf"in use by another process.*{holder.pid}"):
        platform.await_warehouse(0)
