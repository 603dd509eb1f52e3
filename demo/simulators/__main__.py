"""`python -m demo.simulators --world DIR --port-file FILE`: all vendors in one process until told to stop."""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from demo.erp.processes import identity
from demo.simulators.faults import Fault, FaultError, demo_faults
from demo.simulators.runtime import Secrets, serving, stripe_accounts, write_private
from demo.simulators.tables import WorldError

_PR_SET_PDEATHSIG = 1


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT. Exit 2 with a sentence when the world or the faults cannot be read."""
    options = _options(arguments)
    if options.parent and not follow(options.parent):
        return 0
    stop = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: stop.set())
    try:
        faults = _faults(options.faults)
        if not options.world.is_dir():
            raise WorldError(f"{options.world} is not there: make the demo world first")
        path = options.secrets or options.port_file.with_name("secrets.json")
        keys = Secrets.kept(path, stripe_accounts(options.world))
        with serving(options.world, keys, faults=faults, now=options.now) as running:
            ports: dict[str, Any] = {name: int(url.rpartition(":")[2]) for name, url in running.urls.items()}
            me = {"pid": os.getpid(), "identity": identity(os.getpid())}
            write_private(options.port_file, json.dumps({**me, "ports": ports, "urls": running.urls}))
            stop.wait()
            _forget(options.port_file)
    except (WorldError, FaultError) as error:
        print(f"simulators: {error}", file=sys.stderr)
        return 2
    return 0


def _forget(port_file: Path) -> None:
    """Remove the port file if it is still ours: a later start may have written its own by now."""
    with contextlib.suppress(OSError, ValueError):
        if json.loads(port_file.read_text(encoding="utf-8"))["pid"] == os.getpid():
            port_file.unlink()


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="demo.simulators", description=__doc__)
    parser.add_argument("--world", type=Path, required=True, help="directory of the demo world")
    parser.add_argument("--port-file", type=Path, required=True, help="where the ports go, as JSON, once they listen")
    parser.add_argument("--secrets", type=Path, help="keys, made if absent (default: secrets.json beside the ports)")
    parser.add_argument("--now", type=int, help="unix time at which the vendors' clocks stand (default: newest event)")
    parser.add_argument(
        "--faults",
        default=os.environ.get("DEMO_FAULTS", "demo"),
        help="'demo', 'none', or JSON {vendor: [{status, every, first, times, path, retry_after}]} (or @FILE)",
    )
    parser.add_argument("--parent", type=int, default=0, help="end when this process, the starter, is gone")
    return parser.parse_args(arguments)


def _faults(text: str) -> dict[str, list[Fault]]:
    if text == "none":
        return {}
    if text == "demo":
        return demo_faults()
    try:
        value = json.loads(Path(text[1:]).read_text(encoding="utf-8") if text.startswith("@") else text)
        if unknown := set(value) - {"salesforce", "stripe", "avalara"}:
            raise FaultError(f"unknown vendor {sorted(unknown)[0]!r} in faults")
        return {vendor: [Fault.parse(item) for item in items] for vendor, items in value.items()}
    except (ValueError, TypeError, AttributeError, OSError) as error:
        raise FaultError(f"cannot read faults: {error}") from error


def follow(parent: int) -> bool:
    """Ask the kernel for SIGTERM when the starter dies, even by SIGKILL. False if it is gone already.

    Done here and not before exec in the starter: code between fork and exec is unsafe in a process with threads.
    Off Linux there is no such call; the next start then ends what was left over.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    return os.getppid() == parent


if __name__ == "__main__":
    sys.exit(main())
