"""The Tryton server process and its administration command. Standard library; Tryton itself is never imported."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import time
from pathlib import Path

from demo.erp.processes import spawn

DATABASE = "erp"
# account_invoice carries journals, charts and periods with it and serves customers, invoices and payments as well;
# account_deposit lets an invoice credit a liability, as deferred revenue is.
MODULES = ("account_invoice", "account_deposit")
# Known: it opens the template only. A home's first start sets its own.
TEMPLATE_PASSWORD = "only-in-the-template"  # noqa: S105  # pragma: allowlist secret
_START_SECONDS_MAX = 180.0
_PORT_TRIES = 5


class TrytonError(RuntimeError):
    """Tryton did not start or its database could not be made; the message has the end of its log."""


def make_database(python: Path, uri: str, folder: Path, log: Path) -> None:
    """Fills the empty database with Tryton's tables and the modules' data: about half a minute of CPU."""
    config = _configuration(folder, uri, port=0)
    password_file = folder / "password"
    password_file.write_text(TEMPLATE_PASSWORD + "\n")
    process = spawn(
        [str(python), str(python.with_name("trytond-admin")), "-c", str(config), "-d", DATABASE,
         "--email", "admin@example.com", "-u", *MODULES, "--activate-dependencies"],
        log=log, death_signal=signal.SIGKILL, env=_environment() | {"TRYTONPASSFILE": str(password_file)},
    )  # fmt: skip
    if process.wait() != 0:
        raise TrytonError(f"trytond-admin failed: {_tail(log)}")


def start(python: Path, uri: str, folder: Path, log: Path) -> tuple[subprocess.Popen[bytes], int]:
    """Starts the server on a free loopback port and waits until it answers. Returns the process and its port."""
    for _ in range(_PORT_TRIES):
        port = _free_port()
        config = _configuration(folder, uri, port)
        process = spawn(
            [str(python), str(python.with_name("trytond")), "-c", str(config), "-d", DATABASE],
            log=log, death_signal=signal.SIGKILL, env=_environment(),
        )  # fmt: skip
        limit = time.monotonic() + _START_SECONDS_MAX
        while process.poll() is None and time.monotonic() < limit:
            if _answers(port):
                return process, port
            time.sleep(0.1)
        if process.poll() is None:
            process.kill()
            process.wait()
            raise TrytonError(f"Tryton did not answer within {_START_SECONDS_MAX:.0f} s: {_tail(log)}")
        if "in use" not in _tail(log):
            break
    raise TrytonError(f"Tryton did not start: {_tail(log)}")


def _configuration(folder: Path, uri: str, port: int) -> Path:
    """`timeout`: posting demands a session used within it; the default of 300 s is shorter than a quiet spell.

    `retry`: the server would repeat a transaction that the database ended, up to five times and unseen. Callers see
    it (503) and repeat it themselves, so that a request's life ends with its first transaction.
    """
    path = folder / "trytond.conf"
    path.write_text(
        f"[database]\nuri = {uri}\nretry = 0\n[web]\nlisten = 127.0.0.1:{port}\n[session]\ntimeout = 86400\n"
    )
    return path


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        body = json.dumps({"id": 1, "method": "common.server.version", "params": []})
        connection.request("POST", "/rpc/", body, {"Content-Type": "application/json"})
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def _environment() -> dict[str, str]:
    """Nothing of ours: no PYTHONPATH, no TRYTOND_* of another installation."""
    kept = ("PATH", "HOME", "LANG", "TMPDIR")
    return {name: os.environ[name] for name in kept if name in os.environ} | {"TZ": "UTC"}


def _tail(log: Path) -> str:
    try:
        return " / ".join(log.read_text(errors="replace").splitlines()[-6:])
    except OSError:
        return "(no log)"
