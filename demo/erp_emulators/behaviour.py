"""What an emulated ERP does wrong, as data, and the named behaviours of the kill matrix."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from demo.erp_emulators.ledger import EntryLine, Held


@dataclass(frozen=True)
class Behaviour:
    """Seconds, and probabilities per request.

    remembers_keys: a repeated idempotency key gets the first answer. forgets_at_restart: until `restart` is called.
    unique_id: a second document with the same key is refused. index_lag: a document is found up to this much later.
    late_commit: a request whose caller died, or that a gateway gave up on, commits up to this much later.
    gateway: share of writes answered 504 while they go on. drop_after_commit: share of writes whose connection breaks
    after the commit. storm_before, storm_after: share answered 5xx, without and with the work done. throttle: share
    answered 429. concurrency_max: requests at a time, 429 above (0: no limit). job_seconds: how long queued work takes.
    alter: what reads change (a name of ALTERATIONS), of every document.
    """

    remembers_keys: bool = True
    forgets_at_restart: bool = False
    unique_id: bool = False
    index_lag: float = 0.0
    late_commit: float = 0.0
    gateway: float = 0.0
    drop_after_commit: float = 0.0
    storm_before: float = 0.0
    storm_after: float = 0.0
    throttle: float = 0.0
    retry_after: float = 0.05
    concurrency_max: int = 0
    job_seconds: float = 0.05
    alter: str = ""

    def __post_init__(self) -> None:
        if self.alter and self.alter not in ALTERATIONS:
            raise ValueError(f"alter must be one of {sorted(ALTERATIONS)}, not {self.alter!r}")


BEHAVIOURS: dict[str, Behaviour] = {
    "ideal": Behaviour(),
    "key_expired": Behaviour(forgets_at_restart=True),
    "index_lag": Behaviour(index_lag=0.35),
    "no_key": Behaviour(remembers_keys=False),
    "no_key_late": Behaviour(remembers_keys=False, late_commit=0.25, gateway=0.2),
    "expired_lag": Behaviour(forgets_at_restart=True, index_lag=0.35),
    "unique_id": Behaviour(remembers_keys=False, unique_id=True, late_commit=0.25, gateway=0.2),
    "drop_after_commit": Behaviour(remembers_keys=False, drop_after_commit=0.4, index_lag=0.3),
    "storms": Behaviour(remembers_keys=False, storm_before=0.3, storm_after=0.3, throttle=0.2, index_lag=0.3),
    "everything": Behaviour(
        remembers_keys=False, index_lag=0.3, late_commit=0.25, gateway=0.15, drop_after_commit=0.15, storm_before=0.15,
        storm_after=0.15, throttle=0.1,
    ),
}  # fmt: skip


def behaviour(value: str | dict[str, Any]) -> Behaviour:
    """A named behaviour, or one from its fields; unknown fields are refused."""
    return BEHAVIOURS[value] if isinstance(value, str) else Behaviour(**value)


# -- what an ERP, a plug-in or a database user does to a document between the post and the read ------------------


def _with_lines(held: Held, lines: list[EntryLine]) -> Held:
    return replace(held, entry=replace(held.entry, lines=tuple(lines)))


def _cent(held: Held, dice: random.Random) -> Held:
    """One minor unit more on one debit and one credit line: the document still balances."""
    lines = list(held.entry.lines)
    debits = [n for n, x in enumerate(lines) if x.debit]
    credits = [n for n, x in enumerate(lines) if x.credit]
    d, c = dice.choice(debits), dice.choice(credits)
    lines[d] = _moved(lines[d], 1, held.entry.currency)
    lines[c] = _moved(lines[c], -1, held.entry.currency)
    return _with_lines(held, lines)


def _moved(line: EntryLine, by: int, functional: str) -> EntryLine:
    """The line's functional amount moved by `by`, the transaction amount with it where both are one."""
    signed = line.debit - line.credit + by
    amount = line.amount + by if line.currency == functional else line.amount
    return replace(line, debit=max(signed, 0), credit=max(-signed, 0), amount=amount)


def _lost_line(held: Held, dice: random.Random) -> Held:
    """One line is gone."""
    lines = list(held.entry.lines)
    lines.pop(dice.choice([n for n, x in enumerate(lines) if x.debit or x.credit or x.amount]))
    return _with_lines(held, lines)


def _repeated_line(held: Held, dice: random.Random) -> Held:
    """One line is there twice."""
    lines = list(held.entry.lines)
    lines.append(dice.choice([x for x in lines if x.debit or x.credit or x.amount]))
    return _with_lines(held, lines)


def _other_account(held: Held, dice: random.Random) -> Held:
    """One line stands on another account of the same document, or on none that we know."""
    lines = list(held.entry.lines)
    n = dice.choice([n for n, x in enumerate(lines) if x.debit or x.credit or x.amount])
    others = sorted({x.account for x in lines} - {lines[n].account}) or ["9999"]
    lines[n] = replace(lines[n], account=dice.choice(others))
    return _with_lines(held, lines)


def _other_side(held: Held, dice: random.Random) -> Held:
    """Debits and credits swapped throughout: the totals are as before."""
    return _with_lines(held, [replace(x, debit=x.credit, credit=x.debit, amount=-x.amount) for x in held.entry.lines])


def _other_key(held: Held, dice: random.Random) -> Held:
    """One character of the key is another one."""
    key = held.entry.key
    n = dice.randrange(len(key))
    return replace(held, entry=replace(held.entry, key=f"{key[:n]}{'x' if key[n] != 'x' else 'y'}{key[n + 1 :]}"))


def _other_date(held: Held, dice: random.Random) -> Held:
    """A day earlier or later within the month."""
    day = int(held.entry.date[8:])
    other = dice.choice([d for d in range(1, 29) if d != day])
    return replace(held, entry=replace(held.entry, date=f"{held.entry.date[:8]}{other:02d}"))


def _other_id(held: Held, dice: random.Random) -> Held:
    """The answer is another document's."""
    return replace(held, id=str(int(held.id) + dice.randint(1, 9)))


ALTERATIONS: dict[str, Callable[[Held, random.Random], Held]] = {
    "cent": _cent,
    "lost_line": _lost_line,
    "repeated_line": _repeated_line,
    "account": _other_account,
    "side": _other_side,
    "key": _other_key,
    "date": _other_date,
    "id": _other_id,
}
