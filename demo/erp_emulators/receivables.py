"""Open items of the emulated books: what invoices open, what credit notes and payments settle, what may settle what.

A line with a customer is an open item of his; `settles` names the invoice that it settles. An invoice and what settles
it are cleared together once they sum to nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from demo.erp_emulators.ledger import Entry, EntryLine, Held, Ledger

Left = Counter[tuple[str, str]]


def open_amounts(ledger: Ledger, company: str) -> Left:
    """(invoice number, currency) -> minor units that are left to pay, posted documents only."""
    left: Left = Counter()
    for held in ledger.documents("company = ? and state = 'posted'", company):
        for line in held.entry.lines:
            if number := _invoice(held.entry, line):
                left[number, line.currency] += line.amount
    return left


def cleared(held: Held, left: Left) -> list[bool]:
    """Of each line, whether it belongs to an invoice on which nothing is left. `left`: see `open_amounts`."""
    numbers = [(_invoice(held.entry, line), line.currency) for line in held.entry.lines]
    return [number is not None and not left[number, currency] for number, currency in numbers]


def check(ledger: Ledger, entry: Entry, refused: Callable[..., Exception]) -> None:
    """Raises what `refused(code, message, document=key)` makes of a customer or an item that is not there, and of
    settling more than is open."""
    for kind, names in (
        ("customer", {line.customer for line in entry.lines} | {entry.extra.get("customer")}),
        ("item", {line.item for line in entry.lines}),
    ):
        wanted = sorted(name for name in names if name)
        there = {code for code, _, _ in ledger.masters(kind, entry.company, wanted)} if wanted else set()
        if missing := [code for code in wanted if code not in there]:
            raise refused(f"unknown_{kind}", f"There is no {kind} {missing[0]}.", document=entry.key)
    settled: Left = Counter()
    for line in entry.lines:
        if line.settles:
            settled[line.settles, line.currency] -= line.amount
    left = open_amounts(ledger, entry.company) if settled else Counter()
    for (number, currency), amount in settled.items():
        if (number, currency) not in left:
            raise refused("unknown_invoice", f"There is no invoice {number} in {currency}.", document=entry.key)
        if not 0 < amount <= left[number, currency]:
            words = f"{left[number, currency]} minor units {currency} are open on {number}, not {amount}."
            raise refused("not_open", words, document=entry.key)


def _invoice(entry: Entry, line: EntryLine) -> str | None:
    """Number of the invoice that the line opens or settles; None if it is no open item of an invoice."""
    if not line.customer:
        return None
    return line.settles or (entry.extra.get("reference") if entry.kind == "invoice" else None)
