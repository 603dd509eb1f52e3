"""`python -m demo.erp_emulators --face rest --root DIR --port-file FILE`: one emulated ERP until told to stop."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import signal
import sys
import threading
from pathlib import Path

from demo.erp_emulators.face import Face, serving
from demo.simulators.__main__ import follow
from demo.simulators.runtime import write_private

# Name -> module and class. A new face is entered here.
FACES = {
    "rest": ("demo.erp_emulators.rest", "RestFace"),
    "netsuite": ("demo.erp_emulators.netsuite", "NetSuiteFace"),
    "rest_jobs": ("demo.erp_emulators.rest", "RestJobsFace"),
    "rest_schedules": ("demo.erp_emulators.rest_schedules", "RestSchedulesFace"),
    "drop": ("demo.erp_emulators.drop", "DropFace"),
}


def face_of(name: str, root: Path) -> Face:
    """The face called `name` with its books below `root`."""
    module, cls = FACES[name]
    made: Face = getattr(importlib.import_module(module), cls)(root)
    return made


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="demo.erp_emulators", description=__doc__)
    parser.add_argument("--face", choices=sorted(FACES), required=True)
    parser.add_argument("--root", type=Path, required=True, help="directory of the books")
    parser.add_argument("--port-file", type=Path, required=True, help="where pid and URL go, as JSON, once it listens")
    parser.add_argument("--parent", type=int, default=0, help="end when this process, the starter, is gone")
    options = parser.parse_args(arguments)
    if options.parent and not follow(options.parent):
        return 0
    stop = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: stop.set())

    def log(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    with serving(face_of(options.face, options.root), log) as url:
        write_private(options.port_file, json.dumps({"pid": os.getpid(), "url": url}))
        stop.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
