"""Weekly payouts with their members, the bank's lines, and the processor's monthly balance report."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from demo.world.books import Books
from demo.world.calendar import ENTITIES, Horizon, add_months, at, local_date, midnight, month_of, utc_midnight
from demo.world.ids import Ids
from demo.world.money import major_text

BANK_COLUMNS = (
    "entity_id", "bank_account", "statement_id", "bank_line_id", "value_date", "amount", "currency", "reference",
    "counterparty",
)  # fmt: skip


@dataclass
class Payout:
    """All available balance of one account on a payout day; `short` is what the processor kept without a word."""

    id: str
    entity: str
    day: date
    members: list[dict[str, Any]]
    bank_day: date
    short: int = 0

    @property
    def total(self) -> int:
        """Sum of the members' nets."""
        return sum(m["net"] for m in self.members)

    @property
    def amount(self) -> int:
        """What reaches the bank."""
        return self.total - self.short


def plan_payouts(books: Books, span: Horizon) -> list[Payout]:
    """Group what became available into weekly payouts; a week whose sum is not positive is carried on."""
    payouts = []
    for entity in ENTITIES.values():
        pool = sorted(
            books.objects[entity.id]["balance_transaction"], key=lambda t: (t["available_on"], t["created"], t["id"])
        )
        waiting: list[dict[str, Any]] = []
        taken = 0
        day = span.start
        while day <= span.end:
            if day.weekday() == entity.payout_weekday:
                now = at(entity.id, day, 9)
                while taken < len(pool) and pool[taken]["available_on"] <= now:
                    waiting.append(pool[taken])
                    taken += 1
                if sum(m["net"] for m in waiting) > 0:
                    payout_id = books.ids.stripe("po", entity.id, day)
                    payouts.append(Payout(payout_id, entity.id, day, waiting, _bank_day(books.ids, entity.id, day)))
                    waiting = []
            day += timedelta(days=1)
    return payouts


def _bank_day(ids: Ids, entity: str, day: date) -> date:
    """One to three days later, moved on to a banking day."""
    later = day + timedelta(days=1 + ids.number("bank", entity, day, below=3))
    while later.weekday() >= 5:
        later += timedelta(days=1)
    return later


def pay_out(books: Books, payouts: list[Payout]) -> None:
    """File the payouts, their own balance transactions and the membership records."""
    for payout in payouts:
        entity = payout.entity
        currency = ENTITIES[entity].currency
        created = at(entity, payout.day, 9)
        txn = books.settle(entity, "payout", payout.id, -payout.amount, currency, created, description="STRIPE PAYOUT")
        txn["available_on"], txn["status"] = created, "available"
        books.add(
            entity,
            "payout",
            {
                "id": payout.id,
                "object": "payout",
                "amount": payout.amount,
                "application_fee": None,
                "arrival_date": utc_midnight(payout.bank_day),
                "automatic": True,
                "balance_transaction": txn["id"],
                "created": created,
                "currency": currency.lower(),
                "description": "STRIPE PAYOUT",
                "destination": books.ids.stripe("ba", entity),
                "failure_balance_transaction": None,
                "failure_code": None,
                "failure_message": None,
                "livemode": True,
                "metadata": {},
                "method": "standard",
                "original_payout": None,
                "reconciliation_status": "completed",
                "reversed_by": None,
                "source_type": "card",
                "statement_descriptor": None,
                "status": "paid",
                "trace_id": {"status": "supported", "value": payout.id},
                "type": "bank_account",
            },
        )
        for member in payout.members:
            books.add(
                entity,
                "payout_member",
                {
                    "id": f"{payout.id}:{member['id']}",
                    "object": "payout_member",
                    "balance_transaction": member["id"],
                    "created": created,
                    "payout": payout.id,
                },
            )


def bank_lines(books: Books, payouts: list[Payout], span: Horizon) -> list[tuple[str, ...]]:
    """Rows of the bank file (columns `BANK_COLUMNS`): the payouts that have arrived by the horizon's end."""
    rows: list[tuple[str, ...]] = []
    for payout in sorted(payouts, key=lambda p: (p.bank_day, p.entity)):
        if payout.bank_day > span.end:
            continue
        entity = payout.entity
        currency = ENTITIES[entity].currency
        rows.append(
            (
                entity,
                f"{entity}-OPERATING",
                f"{entity}-{month_of(payout.bank_day)}",
                f"BL{books.ids.number('bankline', payout.id, below=10**12):012d}",
                payout.bank_day.isoformat(),
                major_text(payout.amount, currency),
                currency,
                payout.id,
                "STRIPE",
            )
        )
    return rows


def balance_reports(books: Books, payouts: list[Payout], span: Horizon) -> None:
    """Monthly balance summaries: the running sum of nets by local month, less what short payouts lost for good."""
    for entity in ENTITIES.values():
        moves = [(t["created"], t["net"]) for t in books.objects[entity.id]["balance_transaction"]]
        moves += [(at(entity.id, p.day, 9), -p.short) for p in payouts if p.entity == entity.id and p.short]
        by_month: dict[str, int] = {}
        for created, net in moves:
            month = month_of(local_date(entity.id, created))
            by_month[month] = by_month.get(month, 0) + net
        balance = 0
        for first in span.month_starts():
            month = month_of(first)
            starting, balance = balance, balance + by_month.get(month, 0)
            books.add(
                entity.id,
                "balance_report",
                {
                    "id": f"{month}:{entity.currency.lower()}",
                    "object": "balance_report",
                    "created": midnight(entity.id, add_months(first, 1)),
                    "currency": entity.currency.lower(),
                    "ending_balance": major_text(balance, entity.currency),
                    "period": month,
                    "starting_balance": major_text(starting, entity.currency),
                },
            )
