"""Planted discrepancies: choosing hosts and writing the truth down. What each kind does stands in `plants_*`.

Each kind changes every system that would really change (a wrong price also goes into invoices, tax and cash) and
leaves alone the one system that tells the difference. Hosts of different kinds are different customers as long as
there are enough; a small company shares customers, but never the same deal or invoice. The story customer hosts none.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from demo.world.calendar import Horizon, month_of
from demo.world.ids import Ids
from demo.world.model import Deal, Invoice

T = TypeVar("T")


class Planter:
    """Knows which hosts are taken; `planted` becomes the ground truth.

    `count` is how many of a kind are planted where hosts allow: 3 from 150 customers on, 2 from 40, else 1.
    """

    def __init__(self, ids: Ids, seed: int, customers: int, span: Horizon) -> None:
        self.ids = ids
        self.rng = random.Random(f"{seed}/plants")
        self.span = span
        self.count = 3 if customers >= 150 else 2 if customers >= 40 else 1
        self.customers: set[int] = set()
        self.planted: list[dict[str, Any]] = []
        self._deals: set[str] = set()
        self._invoices: set[str] = set()

    def note(
        self, kind: str, signals: list[dict[str, str]], amount: int, currency: str, entity: str, period: str
    ) -> str:
        """Write down one planted item and how it has to show; returns its id, `<kind>-<n>`."""
        plant_id = f"{kind}-{1 + sum(p['kind'] == kind for p in self.planted)}"
        unique = [s for n, s in enumerate(signals) if s not in signals[:n]]
        self.planted.append(
            {
                "id": plant_id,
                "kind": kind,
                "signals": unique,
                "amount_minor": amount,
                "currency": currency,
                "entity": entity,
                "period": period,
            }
        )
        return plant_id

    def note_invoice(self, kind: str, invoice: Invoice, signals: list[dict[str, str]], amount: int) -> str:
        """`note` for an item that belongs to one invoice, in the invoice's month."""
        return self.note(kind, signals, amount, invoice.currency, invoice.entity, month_of(invoice.day))

    def deals(self, candidates: Sequence[Deal], preferred: Callable[[Deal], bool]) -> list[Deal]:
        """Hosts that are bent as a whole: nothing else is planted in their deal or its invoices."""
        return self._choose(candidates, lambda deal: deal, lambda _: None, preferred)

    def invoices(self, candidates: Sequence[Invoice]) -> list[Invoice]:
        """Hosts of which one invoice is bent."""
        return self._choose(candidates, lambda i: i.deal, lambda i: i.key, lambda _: True)

    def _choose(
        self,
        candidates: Sequence[T],
        deal_of: Callable[[T], Deal],
        invoice_of: Callable[[T], str | None],
        preferred: Callable[[T], bool],
    ) -> list[T]:
        """Up to `count` hosts: customers without any plant first, then free deals and invoices of the others."""
        pool = [c for c in candidates if deal_of(c).customer.index != 0]
        self.rng.shuffle(pool)
        pool.sort(key=lambda c: not preferred(c))
        chosen: list[T] = []
        for fresh_only in (True, False):
            for candidate in pool:
                if len(chosen) == self.count:
                    return chosen
                deal, invoice = deal_of(candidate), invoice_of(candidate)
                if fresh_only and deal.customer.index in self.customers:
                    continue
                if not self._is_free(deal, invoice):
                    continue
                self.customers.add(deal.customer.index)
                if invoice is None:
                    self._deals.add(deal.key)
                else:
                    self._invoices.add(invoice)
                chosen.append(candidate)
        return chosen

    def _is_free(self, deal: Deal, invoice: str | None) -> bool:
        if deal.key in self._deals or invoice in self._invoices:
            return False
        return invoice is not None or not any(key.startswith(f"{deal.key}/") for key in self._invoices)
