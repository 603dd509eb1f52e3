"""Child processes that cannot outlive their parent, and the identity of processes across restarts. Standard library.

Nothing of PostgreSQL or Tryton is known here. Used by the supervisor, which has one thread: the kernel sends the
parent-death signal when the *thread* that forked ends, so a child started from a short-lived thread would be killed.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_PR_SET_KEEPCAPS = 8
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_RAISE = 2
_CAP_DAC_OVERRIDE = 1
_CAPABILITY_VERSION_3 = 0x20080522
_spawned: list[subprocess.Popen[bytes]] = []


@dataclass(frozen=True)
class Account:
    """The operating system user that PostgreSQL runs as. PostgreSQL refuses to run as root."""

    uid: int
    gid: int
    change: bool
    """True when this process is root and has to become somebody else."""


def database_account() -> Account:
    """Ourselves; for root `nobody`, which every system has and nobody needs to create."""
    if os.geteuid() != 0:
        return Account(os.geteuid(), os.getegid(), change=False)
    nobody = pwd.getpwnam("nobody")
    return Account(nobody.pw_uid, nobody.pw_gid, change=True)


def spawn(
    command: Sequence[str],
    *,
    log: Path,
    death_signal: signal.Signals,
    account: Account | None = None,
    reach: Sequence[Path] = (),
    env: dict[str, str] | None = None,
) -> subprocess.Popen[bytes]:
    """Starts a child in its own session, its output appended to `log`.

    It gets `death_signal` when this process dies, even by SIGKILL (Linux; elsewhere the next start cleans up).
    `account` changes the user. `reach` names the paths that user must get at: if a folder above them is closed to
    others (a checkout in /root), the child keeps the one capability that opens it, and no folder's mode is changed.
    """
    before_exec = _preparation(death_signal, account, keep_reach=any(not _reachable(path) for path in reach))
    with log.open("ab") as output:
        process = subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=before_exec,
            env=env,
            cwd="/",
        )
    _spawned.append(process)
    return process


def stop_spawned(seconds: float) -> None:
    """Ends every child that `spawn` started and that still runs, the latest first: clients before their server."""
    while _spawned:
        stop(_spawned.pop(), signal.SIGTERM, seconds, signal.SIGQUIT)


def stop(process: subprocess.Popen[bytes], how: signal.Signals, seconds: float, finally_: signal.Signals) -> None:
    """Signals and waits; after `seconds` signals harder and waits again. Nothing to do for one that has ended."""
    if process.poll() is not None:
        return
    process.send_signal(how)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.send_signal(finally_)
        process.wait(seconds)


def identity(pid: int) -> str | None:
    """What tells this process from a later one with the same number: its start time and command. None if gone."""
    stat = Path(f"/proc/{pid}/stat")
    if stat.parent.parent.joinpath("self").exists():
        try:
            text = stat.read_text()
            command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            return None
        fields = text.rpartition(")")[2].split()
        return None if fields[0] in "ZX" else f"{fields[19]} {command.strip()}"
    shown = subprocess.run(
        ["ps", "-o", "lstart=,command=", "-p", str(pid)],  # noqa: S607 - no /proc: macOS
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return shown.stdout.strip() or None


def end_leftover(pid: int, expected: Callable[[str], bool], signals: Sequence[signal.Signals], seconds: float) -> bool:
    """Ends a process of an earlier run if `expected(identity)` still holds; each signal gets `seconds`.

    Returns False when there was nothing to end. A recycled process number is left alone.
    """
    found = identity(pid)
    if found is None or not expected(found):
        return False
    for how in signals:
        try:
            os.kill(pid, how)
        except ProcessLookupError:
            return True
        limit = time.monotonic() + seconds
        while time.monotonic() < limit:
            if identity(pid) != found:
                return True
            time.sleep(0.05)
    return True


def _reachable(path: Path) -> bool:
    """True when any user may enter the folder that holds `path`."""
    return all(parent.stat().st_mode & 0o001 for parent in path.resolve().parents)


def _preparation(death_signal: signal.Signals, account: Account | None, keep_reach: bool) -> Callable[[], None]:
    linux = sys.platform.startswith("linux")
    libc = ctypes.CDLL(None, use_errno=True) if linux else None
    parent = os.getpid()

    def before_exec() -> None:
        change = account is not None and account.change
        if change and account is not None:
            if libc and keep_reach:
                libc.prctl(_PR_SET_KEEPCAPS, 1, 0, 0, 0)
            os.setgroups([])
            os.setgid(account.gid)
            os.setuid(account.uid)
            if libc and keep_reach:
                _keep_one_capability(libc)
        if libc:
            # After the change of user, which clears the setting.
            libc.prctl(_PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
            if os.getppid() != parent:
                os._exit(1)

    return before_exec


def _keep_one_capability(libc: ctypes.CDLL) -> None:
    """CAP_DAC_OVERRIDE and nothing else, kept over the exec. If it is refused, the child says what it cannot open."""
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    mask = 1 << _CAP_DAC_OVERRIDE
    data = (ctypes.c_uint32 * 6)(mask, mask, mask, 0, 0, 0)
    libc.capset(header, data)
    libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, _CAP_DAC_OVERRIDE, 0, 0)
