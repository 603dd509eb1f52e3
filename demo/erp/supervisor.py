"""The process that owns PostgreSQL and Tryton: `python -m demo.erp.supervisor SPEC`. Standard library.

Why a process of its own: it lives exactly as long as the one that asked for it (its standard input is a pipe that
breaks when that one dies, however it dies), it stops the two servers in order, and it is the single thread that the
kernel's parent-death signals hang on. If it is killed itself, the kernel ends its children.

SPEC is a JSON object {mode, python, folder, archive}. Answers are JSON lines on standard output:
`{"event": "ready", ...}`, `{"event": "done"}` or `{"event": "failed", "message": ...}`.

- mode `build`: make the ready database and pack it into `archive`.
- mode `serve`: unpack `archive` if `folder` has no data yet, start both servers, wait.
"""

from __future__ import annotations

import fcntl
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import IO, Any

from demo.erp import postgres, trytond
from demo.erp.processes import end_leftover, identity, stop, stop_spawned

_STOP_SECONDS_MAX = 10.0
_LOCK_SECONDS_MAX = 40.0  # an earlier supervisor whose parent was killed needs a few seconds to stop its servers


def main(specification: str) -> int:
    """Exit 0 after an orderly stop, 1 after a failure that was reported as an event."""
    signal.signal(signal.SIGTERM, _exit_once)
    spec = json.loads(specification)
    try:
        if spec["mode"] == "build":
            _build(Path(spec["python"]), Path(spec["folder"]), Path(spec["archive"]))
        else:
            return _serve(Path(spec["python"]), Path(spec["folder"]), Path(spec["archive"]))
    except (postgres.PostgresError, trytond.TrytonError, OSError) as error:
        _tell("failed", message=str(error))
        return 1
    return 0


def _build(python: Path, folder: Path, archive: Path) -> None:
    """One template, in a scratch folder that is thrown away whatever happens."""
    threading.Thread(target=_end_with_the_pipe, daemon=True).start()
    folder.mkdir(parents=True, exist_ok=True)
    bin_folder = postgres.binaries(python.parent.parent)
    try:
        postgres.initialise(bin_folder, folder / "pgdata", folder / "postgres.log")
        server = postgres.start(bin_folder, folder / "pgdata", folder / "postgres.log", postgres.UNSAFE_AND_FAST)
        created = subprocess.run(
            [str(bin_folder / "createdb"), "-h", str(server.socket), "-U", postgres.SUPERUSER, trytond.DATABASE],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if created.returncode != 0:
            raise postgres.PostgresError(f"createdb failed: {created.stderr.strip()}")
        trytond.make_database(python, server.uri(), folder, folder / "trytond.log")
        server.stop()
        postgres.pack(folder / "pgdata", archive)
    finally:
        # Also the ones that an interrupted start had not returned yet: they would go on writing into the folder.
        stop_spawned(_STOP_SECONDS_MAX)
        shutil.rmtree(folder, ignore_errors=True)
    _tell("done")


def _exit_once(*_: object) -> None:
    """The stopping that follows is not itself interrupted."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit(1)


def _end_with_the_pipe() -> None:
    """A build takes a minute: nobody waits for it any more when the pipe breaks."""
    select.select([sys.stdin], [], [])
    os.kill(os.getpid(), signal.SIGTERM)


def _serve(python: Path, folder: Path, archive: Path) -> int:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("a+") as lock:
        if not _lock(lock):
            _tell("failed", message=f"The ERP of {folder} is in use by process {_holder(folder)}; stop that first.")
            return 1
        _end_previous(folder)
        data, run_file = folder / "pgdata", folder / "run.json"
        for name in ("postgres.log", "trytond.log"):
            if (folder / name).exists():
                (folder / name).replace(folder / f"{name}.1")
        if not data.exists():
            postgres.unpack(archive, data)
        bin_folder = postgres.binaries(python.parent.parent)
        server = postgres.start(bin_folder, data, folder / "postgres.log", postgres.SERVING)
        tryton = None
        try:
            tryton, port = trytond.start(python, server.uri(), folder, folder / "trytond.log")
            run = {
                "supervisor": os.getpid(), "supervisor_identity": identity(os.getpid()),
                "tryton": tryton.pid, "tryton_identity": identity(tryton.pid),
                "postgres": server.process.pid, "port": port, "socket": str(server.socket),
                "database": trytond.DATABASE,
            }  # fmt: skip
            run_file.write_text(json.dumps(run, indent=1))
            _tell("ready", **run)
            return _wait(server.process, tryton)
        finally:
            if tryton is not None:
                stop(tryton, signal.SIGTERM, 5, signal.SIGKILL)
            server.stop()
            run_file.unlink(missing_ok=True)


def _wait(*children: subprocess.Popen[bytes]) -> int:
    """Until the pipe breaks or says stop (0), or a server ends by itself (1)."""
    while True:
        readable, _, _ = select.select([sys.stdin], [], [], 1.0)
        if readable:
            return 0
        if any(child.poll() is not None for child in children):
            return 1


def _lock(lock: IO[str]) -> bool:
    limit = time.monotonic() + _LOCK_SECONDS_MAX
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > limit or select.select([sys.stdin], [], [], 0)[0]:
                return False
            time.sleep(0.2)
        else:
            return True


def _end_previous(folder: Path) -> None:
    """What a killed supervisor left behind (outside Linux its children live on)."""
    try:
        run = json.loads((folder / "run.json").read_text())
    except (OSError, ValueError):
        return
    end_leftover(int(run["tryton"]), lambda what: what == run["tryton_identity"], (signal.SIGTERM, signal.SIGKILL), 5)
    if Path(run["socket"]).name.startswith("erp-"):
        shutil.rmtree(run["socket"], ignore_errors=True)
    (folder / "run.json").unlink(missing_ok=True)


def _holder(folder: Path) -> str:
    try:
        return str(json.loads((folder / "run.json").read_text())["supervisor"])
    except (OSError, ValueError, KeyError):
        return "(unknown)"


def _tell(event: str, **values: Any) -> None:
    # The reader may be gone: then there is nobody to tell.
    try:
        print(json.dumps({"event": event, **values}), flush=True)
    except BrokenPipeError:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
