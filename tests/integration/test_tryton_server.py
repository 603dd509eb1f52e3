"""The demo's ERP as processes: it stops with its owner, however that dies, and the next start finds everything."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from erp_fixture import REPOSITORY, ErpServer, ensure, new_key, use_shared_cache
from test_tryton_posting import simple

from demo.erp import environment, processes, server, supervisor

OWNER = """
import signal, sys, time
from pathlib import Path
from demo.erp import server
signal.signal(signal.SIGINT, signal.default_int_handler)
with server.running(Path(sys.argv[1]), progress=lambda _: None):
    print("up", flush=True)
    time.sleep(600)
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a set-up ERP that no other test uses; nothing of it runs."""
    use_shared_cache()
    home = tmp_path_factory.mktemp("server")
    with server.running(home, progress=lambda _: None) as erp:
        ensure(erp)
    return home


def start_owner(home: Path) -> subprocess.Popen[str]:
    """A process that has the ERP running."""
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(home)], stdout=subprocess.PIPE, text=True, cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )  # fmt: skip
    assert owner.stdout is not None
    assert owner.stdout.readline() == "up\n"
    return owner


def children(home: Path) -> dict[str, int]:
    run = json.loads((home / "demo" / "erp" / "run.json").read_text())
    return {name: int(run[name]) for name in ("supervisor", "tryton", "postgres")}


def assert_gone(pids: dict[str, int], seconds: float = 15) -> None:
    limit = time.monotonic() + seconds
    while (alive := [name for name, pid in pids.items() if processes.identity(pid)]) and time.monotonic() < limit:
        time.sleep(0.1)
    assert alive == []


@pytest.mark.parametrize("how", ["kill -9 of the owner", "Ctrl-C", "kill -9 of the supervisor", "kill -9 of all"])
def test_nothing_outlives_its_owner_and_no_posted_move_is_lost(home: Path, how: str) -> None:
    owner = start_owner(home)
    try:
        pids = children(home)
        erp = server.current(home)
        assert erp is not None
        document = simple(key=new_key("kill"))
        with_adapter = ErpServer(erp, None)  # type: ignore[arg-type]
        (outcome,) = with_adapter.adapter().submit([document])
        assert outcome.state == "posted"
        if how == "kill -9 of the owner":
            owner.kill()
        elif how == "Ctrl-C":
            owner.send_signal(signal.SIGINT)
        elif how == "kill -9 of the supervisor":
            os.kill(pids["supervisor"], signal.SIGKILL)
        else:
            for pid in (owner.pid, *pids.values()):
                os.kill(pid, signal.SIGKILL)
        assert_gone(pids)
        assert server.current(home) is None
    finally:
        owner.kill()
        owner.wait()
    with server.running(home, progress=lambda _: None) as erp:
        found = ErpServer(erp, None).adapter().find(document.company, [document.key])  # type: ignore[arg-type]
        assert [(hit.document_id, hit.state) for hit in found[document.key]] == [(outcome.document_id, "posted")]
        sockets = Path(dict(part.split("=", 1) for part in erp.dsn.split())["host"])
        assert sockets.exists()
    assert not sockets.exists()


def test_a_recycled_process_number_is_left_alone(home: Path) -> None:
    """A pid file of a crashed run may name a process that is somebody else's by now."""
    stranger = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    try:
        folder = home / "demo" / "erp"
        (folder / "pgdata" / "postmaster.pid").write_text(f"{stranger.pid}\n{folder / 'pgdata'}\n0\n5432\n/tmp/none\n")
        run = {"supervisor": stranger.pid, "tryton": stranger.pid, "tryton_identity": "another", "socket": "/tmp/none"}
        (folder / "run.json").write_text(json.dumps({**run, "supervisor_identity": "another"}))
        assert server.current(home) is None
        with server.running(home, progress=lambda _: None) as erp:
            assert erp.base_url.startswith("http://127.0.0.1:")
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_a_second_owner_waits_for_the_first_and_then_says_so(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = home / "demo" / "erp"
    with server.running(home, progress=lambda _: None) as erp:
        assert server.current(home) == erp
        monkeypatch.setattr(supervisor, "_LOCK_SECONDS_MAX", 0.3)
        monkeypatch.setattr(sys, "stdin", open(os.pipe()[0]))  # noqa: SIM115 - never readable
        told: list[dict[str, object]] = []
        monkeypatch.setattr(supervisor, "_tell", lambda event, **values: told.append({"event": event, **values}))
        # It is a process of its own elsewhere; its handling of signals stays out of this one.
        monkeypatch.setattr(supervisor.signal, "signal", lambda *_: None)
        spec = {"mode": "serve", "python": "x", "folder": str(folder), "archive": "x"}
        assert supervisor.main(json.dumps(spec)) == 1
        assert told[0]["event"] == "failed"
        assert f"in use by process {erp.supervisor_pid}" in str(told[0]["message"])


def test_half_copied_data_is_thrown_away(home: Path, tmp_path: Path) -> None:
    """A copy of the ready database becomes the home's data by rename; a killed one is removed by the next start."""
    folder = tmp_path / "demo" / "erp"
    half = folder / "pgdata.123.partial"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18")
    with server.running(tmp_path, progress=lambda _: None) as erp:
        assert not half.exists()
        assert erp.admin_password != json.loads((home / "demo/erp/credentials.json").read_text())["admin_password"]


def test_passwords_are_the_home_s_own_and_private(home: Path) -> None:
    path = home / "demo" / "erp" / "credentials.json"
    assert path.stat().st_mode & 0o077 == 0
    values = json.loads(path.read_text())
    logs = b"".join(log.read_bytes() for log in (home / "demo" / "erp").glob("*.log*"))
    assert not [name for name, value in values.items() if value.encode() in logs]


def test_a_killed_build_leaves_no_half_cache(tmp_path: Path) -> None:
    """The ready database appears by rename when it is complete; scratch files of a killed build do not count."""
    cache, home = tmp_path / "cache", tmp_path / "home"
    builder = subprocess.Popen(
        [sys.executable, "-m", "demo.erp.server", "--home", str(home), "--prepare"], cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "REVENUE_ERP_CACHE": str(cache)},
    )  # fmt: skip
    scratch = home / "demo" / "erp"
    limit = time.monotonic() + 60
    while not list(scratch.glob("build-*/pgdata/postmaster.pid")) and time.monotonic() < limit:
        time.sleep(0.05)
    (pid_file,) = scratch.glob("build-*/pgdata/postmaster.pid")
    postgres = int(pid_file.read_text().splitlines()[0])
    builder.kill()
    builder.wait()
    assert_gone({"postgres": postgres}, seconds=30)
    limit = time.monotonic() + 10
    while list(scratch.glob("build-*")) and time.monotonic() < limit:
        time.sleep(0.1)
    assert list(scratch.glob("build-*")) == []
    assert list(cache.glob("*.gz*")) == []


def test_the_cache_key_follows_versions_and_modules(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    before = server.template_key()
    pins = tmp_path / "requirements.txt"
    pins.write_text(environment.REQUIREMENTS.read_text().replace("trytond==8.2", "trytond==8.3"))
    monkeypatch.setattr(environment, "REQUIREMENTS", pins)
    assert server.template_key() != before


def test_a_broken_installation_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pins = tmp_path / "requirements.txt"
    pins.write_text("no-such-package-of-ours==1.0 --hash=sha256:" + "0" * 64)
    monkeypatch.setattr(environment, "REQUIREMENTS", pins)
    monkeypatch.setenv("REVENUE_ERP_VENV", str(tmp_path / "venv"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(server.ErpStartError, match="no-such-package-of-ours"):
        server.prepare(tmp_path, lambda _: None)
    assert list((tmp_path / "venv").glob("*/bin")), "it was begun"
    assert not list((tmp_path / "venv").glob("**/.complete"))
