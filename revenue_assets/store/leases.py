"""One writer at a time, for as long as it stays alive: leases with a fencing number.

A holder that was paused past its lease may wake up and write. Every write of a lease holder therefore calls
`assert_held` in its own transaction: the fence has moved on, so the late write is refused and rolled back.
"""

from __future__ import annotations

import datetime as dt
import os
import socket
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import Connection, insert, select, update
from sqlalchemy.exc import IntegrityError

from revenue_assets.store.clock import SYSTEM_CLOCK, Clock
from revenue_assets.store.engine import Store, StoreError
from revenue_assets.store.tables import leases

JOURNAL = "journal"
DEFAULT_TTL_SECONDS = 60.0


class LeaseLost(StoreError):
    """Somebody else holds the lease now; what this holder was about to write is rolled back."""


class LeaseHeld(StoreError):
    """Somebody else holds the lease and is alive."""


class Lease(NamedTuple):
    name: str
    fence: int
    holder: str
    ttl_seconds: float


def this_holder() -> str:
    """`host|pid namespace|pid|start time|random`: enough for a later process here to see whether this one
    still lives."""
    pid = os.getpid()
    return "|".join((socket.gethostname(), _pid_namespace(), str(pid), _start_time(pid) or "?", uuid.uuid4().hex[:12]))


def holder_is_dead(holder: str) -> bool:
    """True only if the holder was a process of this very machine (and pid namespace) that is certainly gone.

    Spares a restart after `kill -9` the wait for the lease to expire; from any other machine the answer is False.
    """
    host, namespace, pid, started, *_ = [*holder.split("|"), "", "", "", ""]
    if (host, namespace) != (socket.gethostname(), _pid_namespace()) or not pid.isdigit() or namespace == "?":
        return False
    now = _start_time(int(pid))
    return now is None or (started != "?" and now != started)


def _pid_namespace() -> str:
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return "?"


def _start_time(pid: int) -> str | None:
    """Kernel start time of a process (a reused pid has another one); None if there is no such process or it is
    a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else fields[19]


def began_at(pid: int) -> float | None:
    """When a process of this machine began, in seconds since the epoch; None if there is no such process."""
    ticks = _start_time(pid)
    if ticks is None:
        return None
    booted = next(line for line in Path("/proc/stat").read_text().splitlines() if line.startswith("btime"))
    return int(booted.split()[1]) + int(ticks) / os.sysconf("SC_CLK_TCK")


def acquire(store: Store, name: str, *, ttl_seconds: float = DEFAULT_TTL_SECONDS, clock: Clock = SYSTEM_CLOCK) -> Lease:
    """Takes the lease with a fence one higher than any before; LeaseHeld if another holder is alive."""
    holder, now = this_holder(), clock.now()
    values = {"holder": holder, "expires_at": now + dt.timedelta(seconds=ttl_seconds)}
    try:
        with store.write() as connection:
            row = connection.execute(select(leases).where(leases.c.name == name).with_for_update()).one_or_none()
            if row is None:
                connection.execute(insert(leases).values(name=name, fence=1, **values))
                return Lease(name, 1, holder, ttl_seconds)
            if row.holder is not None and row.expires_at > now and not holder_is_dead(row.holder):
                raise LeaseHeld(f"{name!r} is held by {_readable(row.holder)} until {row.expires_at:%H:%M:%S} UTC.")
            connection.execute(update(leases).where(leases.c.name == name).values(fence=row.fence + 1, **values))
            return Lease(name, row.fence + 1, holder, ttl_seconds)
    except IntegrityError:
        raise LeaseHeld(f"{name!r} was taken by another process at this moment.") from None


def _readable(holder: str) -> str:
    parts = holder.split("|")
    return f"process {parts[2]} on {parts[0]}" if len(parts) > 2 else holder


def assert_held(connection: Connection, lease: Lease) -> None:
    """Raises LeaseLost unless `lease` is still the newest holder; locks the row until the caller's transaction ends."""
    row = connection.execute(select(leases).where(leases.c.name == lease.name).with_for_update()).one_or_none()
    if row is None or row.fence != lease.fence or row.holder != lease.holder:
        raise LeaseLost(f"{lease.name!r} was taken over by another process; nothing of this step was written.")


def renew(connection: Connection, lease: Lease, now: dt.datetime) -> None:
    """Extends the lease inside the caller's transaction; LeaseLost if it was taken over."""
    assert_held(connection, lease)
    expires = now + dt.timedelta(seconds=lease.ttl_seconds)
    connection.execute(update(leases).where(leases.c.name == lease.name).values(expires_at=expires))


def release(store: Store, lease: Lease) -> None:
    """Gives the lease back; harmless if it was already taken over. The fence stays, so that it only ever grows."""
    mine = (leases.c.name == lease.name) & (leases.c.fence == lease.fence)
    with store.write() as connection:
        connection.execute(update(leases).where(mine).values(holder=None, expires_at=None))


@contextmanager
def held(
    store: Store,
    name: str,
    *,
    ttl_seconds: float = DEFAULT_TTL_SECONDS,
    wait_seconds: float = 0.0,
    clock: Clock = SYSTEM_CLOCK,
) -> Iterator[Lease]:
    """Holds the lease for a block; waits up to `wait_seconds` for another holder to finish before LeaseHeld."""
    deadline = clock.now() + dt.timedelta(seconds=wait_seconds)
    while True:
        try:
            lease = acquire(store, name, ttl_seconds=ttl_seconds, clock=clock)
            break
        except LeaseHeld:
            if clock.now() >= deadline:
                raise
            clock.sleep(0.2)
    try:
        yield lease
    finally:
        release(store, lease)


def live_names(connection: Connection, now: dt.datetime) -> set[str]:
    """Names of leases whose holder is, as far as can be told from here, at work."""
    rows = connection.execute(select(leases).where(leases.c.holder.is_not(None), leases.c.expires_at > now))
    return {row.name for row in rows if not holder_is_dead(row.holder)}


def fence_of(connection: Connection, name: str) -> int:
    """The fence of the lease's newest holder, past or present; 0 if nobody ever held it."""
    return connection.scalar(select(leases.c.fence).where(leases.c.name == name)) or 0
