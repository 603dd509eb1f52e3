"""The demo's outside world as processes: `with running(home) as services: ...`.

Starts the vendor simulators over `<home>/demo/world` and the ERP, exports the environment variables that the demo's
company config refers to, and takes everything back when the block ends: processes, variables, ports. Nothing
outlives its starter: on Linux the kernel ends the simulators when this process dies, even by SIGKILL; elsewhere,
and in the seconds between, the next start ends what an earlier one left (told apart from strangers by start time and
command, see `demo.erp.processes.identity`). Call it from the main thread: the kernel counts the death of the
*thread* that started a child.

Files in `<home>/demo`: `secrets.json` (keys, owner only), `simulators.json` (ports, while they run),
`simulators.log`, `services.lock`.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from demo.erp.processes import end_leftover, identity, stop
from demo.simulators.runtime import Secrets, stripe_accounts
from demo.simulators.tables import WorldError

if TYPE_CHECKING:
    from demo.erp.server import Erp

START_SECONDS_MAX = 30.0
STOP_SECONDS_MAX = 5.0
_PACKAGE_ROOT = Path(__file__).resolve().parent.parent


class ServicesError(RuntimeError):
    """The outside world cannot be started; the message is a sentence for a person."""


@dataclass(frozen=True)
class Simulators:
    """The vendors' base URLs and the keys they accept."""

    crm_url: str
    billing_url: str
    tax_url: str
    pid: int
    secrets: Secrets = field(repr=False)

    def environment(self) -> dict[str, str]:
        """The variables that the demo's company config refers to."""
        urls = {"salesforce": self.crm_url, "stripe": self.billing_url, "avalara": self.tax_url}
        return self.secrets.environment(urls)


@dataclass(frozen=True)
class Services:
    """All that runs for a home."""

    simulators: Simulators
    erp: Erp

    def environment(self) -> dict[str, str]:
        """Every variable that `running` exports. Holds secrets: not for logs."""
        return {**self.simulators.environment(), **self.erp.environment()}


@contextlib.contextmanager
def running(home: Path, progress: Callable[[str], None] = print) -> Iterator[Services]:
    """Vendors and ERP of this home, up and answering, with their variables in `os.environ` until the block ends.

    Raises ServicesError if they already run for this home, if there is no world yet, or if one does not start.
    """
    from demo.erp import server  # the ERP's client parts load only when an ERP is wanted

    with simulators(home) as vendors, server.running(home, progress) as erp:
        services = Services(vendors, erp)
        with exported(services.environment()):
            yield services


def current(home: Path) -> Services | None:
    """What another process has running for this home, or None unless all of it runs."""
    from demo.erp import server

    vendors, erp = _running_simulators(_folder(home)), server.current(home)
    return Services(vendors, erp) if vendors is not None and erp is not None else None


@contextlib.contextmanager
def available(home: Path, progress: Callable[[str], None] = print) -> Iterator[Services]:
    """What already runs for this home (say under `revenue dev`), else started for the length of the block.

    The `launcher` of the demo's company config: what a command needs before it talks to the outside.
    """
    found = current(home)
    if found is None:
        with running(home, progress) as started:
            yield started
    else:
        with exported(found.environment()):
            yield found


@contextlib.contextmanager
def simulators(home: Path) -> Iterator[Simulators]:
    """The vendor simulators alone; nothing is exported."""
    folder = _folder(home)
    if not (folder / "world").is_dir():
        raise ServicesError(f"There is no demo company in {folder / 'world'} yet: `revenue demo` makes it.")
    with _alone(folder):
        _end_leftover(folder)
        process = _start(folder)
        try:
            yield _ready(folder, process)
        finally:
            stop(process, signal.SIGTERM, STOP_SECONDS_MAX, signal.SIGKILL)
            (folder / "simulators.json").unlink(missing_ok=True)


@contextlib.contextmanager
def exported(variables: dict[str, str]) -> Iterator[None]:
    """Environment variables for the length of a block; what was there before comes back."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _folder(home: Path) -> Path:
    return (home / "demo").absolute()


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One set of services a home. The lock goes with its process, however that ends."""
    with (folder / "services.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ServicesError(
                f"The demo's services already run for {folder.parent}; stop that command first or use another home."
            ) from None
        yield


def _start(folder: Path) -> subprocess.Popen[bytes]:
    """Its own session, so that Ctrl-C reaches us first and we stop it in order."""
    command = [sys.executable, "-m", "demo.simulators", "--world", str(folder / "world")]
    command += ["--port-file", str(folder / "simulators.json"), "--secrets", str(folder / "secrets.json")]
    command += ["--parent", str(os.getpid())]
    with (folder / "simulators.log").open("ab") as log:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=_PACKAGE_ROOT,
            env={**os.environ, "PYTHONPATH": str(_PACKAGE_ROOT)},
            start_new_session=True,
        )


def _ready(folder: Path, process: subprocess.Popen[bytes]) -> Simulators:
    limit = time.monotonic() + START_SECONDS_MAX
    while time.monotonic() < limit:
        found = _running_simulators(folder)
        if found is not None:
            return found
        if process.poll() is not None:
            break
        time.sleep(0.02)
    log = (folder / "simulators.log").read_text(encoding="utf-8", errors="replace").strip().splitlines()
    last = log[-1] if log else "nothing in its log"
    raise ServicesError(f"The vendor simulators did not start: {last} (see {folder / 'simulators.log'})")


def _running_simulators(folder: Path) -> Simulators | None:
    """What the port file says, if the process that wrote it is still the same."""
    run = _port_file(folder)
    if run is None or identity(int(run["pid"])) != run["identity"]:
        return None
    urls = run["urls"]
    try:
        keys = Secrets.kept(folder / "secrets.json", stripe_accounts(folder / "world"))
    except (OSError, WorldError):
        return None
    return Simulators(urls["salesforce"], urls["stripe"], urls["avalara"], int(run["pid"]), keys)


def _port_file(folder: Path) -> dict[str, Any] | None:
    try:
        run: dict[str, Any] = json.loads((folder / "simulators.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return run


def _end_leftover(folder: Path) -> None:
    """End the simulators of a crashed run (we hold the lock, so no living run owns them)."""
    run = _port_file(folder)
    if run is None:
        return
    end_leftover(
        int(run["pid"]),
        lambda found: found == run["identity"],
        (signal.SIGTERM, signal.SIGKILL),
        STOP_SECONDS_MAX,
    )
    (folder / "simulators.json").unlink(missing_ok=True)
