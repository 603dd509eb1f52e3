"""The ERP's own virtual environment, from `requirements.txt` with hashes. Standard library; runs in the caller."""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

REQUIREMENTS = Path(__file__).with_name("requirements.txt")
Progress = Callable[[str], None]


class VenvError(RuntimeError):
    """The virtual environment could not be made; the message has the end of the installer's output."""


def stamp() -> str:
    """What the environment was made from. Another Python or another pin makes it anew."""
    content = REQUIREMENTS.read_bytes() + platform.python_version().encode() + platform.machine().encode()
    return hashlib.sha256(content).hexdigest()[:16]


def ensure(venv: Path, progress: Progress) -> Path:
    """Makes the environment of these pins in `venv` if it is missing or half made; returns its python.

    Other pins have their own folder beside it, so that two checkouts may share `venv`. The marker is written last, so a
    killed installation is seen and repeated. Two callers wait for each other.
    """
    venv = venv / stamp()
    python = venv / "bin" / "python"
    marker = venv / ".complete"
    if _complete(marker, python):
        return python
    venv.mkdir(parents=True, exist_ok=True)
    with (venv / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if _complete(marker, python):  # the one we waited for has made it
            return python
        progress("Installing the demo's ERP (Tryton 8.2 and PostgreSQL) into its own environment, once")
        for leftover in venv.iterdir():
            if leftover.is_dir() and not leftover.is_symlink():
                shutil.rmtree(leftover)
            elif leftover.name != ".lock":
                leftover.unlink()
        _run([sys.executable, "-m", "venv", str(venv)])
        _run(
            [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input",
             "--require-hashes", "--only-binary", ":all:", "-r", str(REQUIREMENTS)]
        )  # fmt: skip
        marker.touch()
    return python


def _complete(marker: Path, python: Path) -> bool:
    return marker.exists() and python.exists()


def _run(command: list[str]) -> None:
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode != 0:
        lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        raise VenvError(f"{' '.join(command[1:4])} failed: {' / '.join(lines[-5:])}")
