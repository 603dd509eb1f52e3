"""Start and stop the demo's ERP: `with running(home) as erp: ...`.

The first start of a machine installs the environment and makes the ready database (a minute or two); the first
start of a home copies that database (seconds); later starts just start. Everything stops when the `with` ends, when
this process ends and when it is killed; the next start cleans up after anything and recovers the data.

| variable | meaning | default |
|---|---|---|
| `REVENUE_ERP_VENV` | folder of the ERP's virtual environments, one per set of pins | `<home>/demo/erp/venv` |
| `REVENUE_ERP_CACHE` | folder of ready databases | `<home>/demo/erp/cache` |
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import json
import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from demo.erp import environment, trytond
from demo.erp.postgres import SUPERUSER
from demo.erp.processes import identity
from revenue_assets.sources.tryton_rpc import RpcFault, TrytonRpc

ROBOT = "revenue-robot"
_STOP_SECONDS_MAX = 60.0
_PACKAGE_ROOT = Path(__file__).resolve().parent.parent.parent


class ErpStartError(RuntimeError):
    """The ERP could not be started; the message is a sentence for a person."""


@dataclass(frozen=True)
class Erp:
    """A running ERP. `user`/`password` is the posting robot (it exists once `setup.ensure` ran), `dsn` is libpq's."""

    base_url: str
    database: str
    user: str
    password: str
    admin_user: str
    admin_password: str
    dsn: str
    folder: Path
    supervisor_pid: int

    def environment(self) -> dict[str, str]:
        """The variables that the demo's company config refers to."""
        return {
            "ERP_BASE_URL": self.base_url,
            "ERP_DATABASE": self.database,
            "ERP_USER": self.user,
            "ERP_PASSWORD": self.password,
        }


@contextlib.contextmanager
def running(home: Path, progress: Callable[[str], None] = print) -> Iterator[Erp]:
    """The ERP of this home, up and answering. Raises ErpStartError with a sentence when it cannot be started."""
    folder = (home / "demo" / "erp").absolute()
    folder.mkdir(parents=True, exist_ok=True)
    python, archive = prepare(home, progress)
    progress("Starting the ERP" if (folder / "pgdata").exists() else "Making this home's ERP database")
    supervisor = _supervise({"mode": "serve", "python": str(python), "folder": str(folder), "archive": str(archive)})
    try:
        event = _answer(supervisor)
        yield _opened(folder, event)
    finally:
        _stop(supervisor)


def current(home: Path) -> Erp | None:
    """The ERP of this home if another process has it running, else None."""
    folder = (home / "demo" / "erp").absolute()
    try:
        run = json.loads((folder / "run.json").read_text())
    except (OSError, ValueError):
        return None
    if identity(int(run["supervisor"])) != run["supervisor_identity"]:
        return None
    return _erp(folder, run, _credentials(folder))


def prepare(home: Path, progress: Callable[[str], None] = print) -> tuple[Path, Path]:
    """Makes what can be made in advance: the environment and the ready database. Returns (python, archive).

    The archive's name carries everything it was made from, so a new version never meets an old database. It appears
    by rename when it is complete; a second caller waits for the first.
    """
    folder = (home / "demo" / "erp").absolute()
    venv = Path(os.environ.get("REVENUE_ERP_VENV") or folder / "venv").absolute()
    cache = Path(os.environ.get("REVENUE_ERP_CACHE") or folder / "cache").absolute()
    try:
        python = environment.ensure(venv, progress)
    except environment.VenvError as error:
        raise ErpStartError(f"The ERP's environment could not be made. {error}") from error
    archive = cache / f"tryton-{template_key()}.tar.gz"
    if archive.exists():
        return python, archive
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for leftover in cache.glob("*.partial"):
            leftover.unlink()
        if not archive.exists():
            progress("Making the ERP's ready database, once (about a minute on an idle machine)")
            scratch = folder / f"build-{os.getpid()}"
            folder.mkdir(parents=True, exist_ok=True)
            for leftover in folder.glob("build-*"):  # of a killed one; the lock says it is gone
                shutil.rmtree(leftover)
            supervisor = _supervise(
                {"mode": "build", "python": str(python), "folder": str(scratch), "archive": str(archive)}
            )
            try:
                _answer(supervisor)
            finally:
                _stop(supervisor)
    return python, archive


def template_key() -> str:
    """Changes with the pinned versions, the Python and the list of modules."""
    return hashlib.sha256(f"{environment.stamp()} {' '.join(trytond.MODULES)}".encode()).hexdigest()[:16]


def _supervise(spec: dict[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "demo.erp.supervisor", json.dumps(spec)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=_PACKAGE_ROOT,
        start_new_session=True,  # Ctrl-C reaches us, and we stop it in order
        env={**os.environ, "PYTHONPATH": str(_PACKAGE_ROOT)},
    )


def _answer(supervisor: subprocess.Popen[str]) -> dict[str, str]:
    assert supervisor.stdout is not None
    line = supervisor.stdout.readline()
    if not line:
        raise ErpStartError(f"The ERP's supervisor ended with code {supervisor.wait()} before it was ready.")
    event: dict[str, str] = json.loads(line)
    if event["event"] == "failed":
        raise ErpStartError(event["message"])
    return event


def _stop(supervisor: subprocess.Popen[str]) -> None:
    with contextlib.suppress(OSError):
        assert supervisor.stdin is not None
        supervisor.stdin.write("stop\n")
        supervisor.stdin.close()
    try:
        supervisor.wait(_STOP_SECONDS_MAX)
    except subprocess.TimeoutExpired:
        supervisor.kill()
        supervisor.wait()
    if supervisor.stdout is not None:
        supervisor.stdout.close()


def _opened(folder: Path, run: dict[str, str]) -> Erp:
    """Gives a fresh database its own administrator password before anything else happens in it."""
    credentials = _credentials(folder)
    erp = _erp(folder, run, credentials)
    marker = folder / "pgdata.password-set"
    made = (folder / "pgdata").stat().st_ino
    if not marker.exists() or marker.read_text() != str(made):
        with TrytonRpc(erp.base_url, erp.database, erp.admin_user, trytond.TEMPLATE_PASSWORD) as rpc:
            try:
                rpc.login()
                rpc.call("model.res.user.write", [rpc.user_id], {"password": erp.admin_password}, {})
            except RpcFault as fault:
                if fault.kind != "auth":  # auth: set by a start that was killed before it wrote the marker
                    raise ErpStartError(f"The ERP refused its first login: {fault}") from fault
        marker.write_text(str(made))
    return erp


def _credentials(folder: Path) -> dict[str, str]:
    """Random passwords of this home, readable by its owner alone."""
    path = folder / "credentials.json"
    if not path.exists():
        partial = path.with_suffix(".partial")
        partial.touch(mode=0o600)
        partial.write_text(
            json.dumps({"admin_password": secrets.token_urlsafe(24), "robot_password": secrets.token_urlsafe(24)})
        )
        partial.replace(path)
    values: dict[str, str] = json.loads(path.read_text())
    return values


def _erp(folder: Path, run: dict[str, str], credentials: dict[str, str]) -> Erp:
    return Erp(
        base_url=f"http://127.0.0.1:{run['port']}",
        database=run["database"],
        user=ROBOT,
        password=credentials["robot_password"],
        admin_user="admin",
        admin_password=credentials["admin_password"],
        dsn=f"host={run['socket']} user={SUPERUSER} dbname={run['database']}",
        folder=folder,
        supervisor_pid=int(run["supervisor"]),
    )


def main() -> None:
    """`python -m demo.erp.server --home DIR [--prepare]`: run until Ctrl-C, or only make what can be made ahead."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--home", type=Path, default=Path(os.environ.get("REVENUE_HOME") or ".revenue"))
    parser.add_argument("--prepare", action="store_true", help="make the environment and the ready database, then stop")
    arguments = parser.parse_args()
    if arguments.prepare:
        prepare(arguments.home)
        return
    with running(arguments.home) as erp, contextlib.suppress(KeyboardInterrupt):
        print(f"ERP at {erp.base_url}, database {erp.database}; Ctrl-C stops it")
        while True:
            time.sleep(3600)


if __name__ == "__main__":
    main()
