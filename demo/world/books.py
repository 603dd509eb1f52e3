"""The processor accounts' books: charges, refunds, disputes, notes, and every movement of a balance."""

from __future__ import annotations

from collections import defaultdict
from datetime import timedelta
from decimal import Decimal
from typing import Any

from demo.world.calendar import ENTITIES, HORIZON_END, at, local_date, utc_midnight
from demo.world.ids import Ids
from demo.world.money import convert, half_up
from demo.world.treasury import Rates

# Card fees per account: basis points of the settled amount, and a fixed part in minor units.
_FEES = {"US": (290, 30), "UK": (150, 20), "DE": (150, 25)}
DISPUTE_FEE = {"US": 1500, "UK": 2000, "DE": 2000}


class Books:
    """Objects by account and kind, as they become known. `end(entity)` is the last instant anything may happen."""

    def __init__(self, ids: Ids, rates: Rates) -> None:
        self.ids = ids
        self.rates = rates
        self.objects: dict[str, dict[str, list[dict[str, Any]]]] = {e: defaultdict(list) for e in ENTITIES}
        self.charges: dict[str, dict[str, Any]] = {}

    @staticmethod
    def end(entity: str) -> int:
        """Last second of the horizon on the entity's clock."""
        return at(entity, HORIZON_END + timedelta(days=1), 0) - 1

    def add(self, entity: str, kind: str, record: dict[str, Any]) -> dict[str, Any]:
        """File an object under its account and kind."""
        self.objects[entity][kind].append(record)
        return record

    def settle(
        self,
        entity: str,
        kind: str,
        source: str,
        amount: int,
        currency: str,
        created: int,
        *,
        category: str | None = None,
        fee: int = 0,
        charge_fee: bool = False,
        description: str | None = None,
        part: str = "",
    ) -> dict[str, Any]:
        """Book a balance transaction: `amount` is signed, in `currency`; the entry is in the account's own.

        A foreign amount is converted at the processor's rate of the local day, half up; `net = amount - fee`.
        """
        settlement = ENTITIES[entity].currency
        rate: Decimal | None = None
        settled = amount
        if currency != settlement:
            rate = self.rates.processor_rate(entity, currency, local_date(entity, created))
            settled = convert(amount, currency, settlement, rate)
        if charge_fee:
            share, fixed = _FEES[entity]
            fee = half_up(settled * share, 10000) + fixed
        available_on = utc_midnight(local_date(entity, created) + timedelta(days=2))
        record = {
            "id": self.ids.stripe("txn", kind, source, part),
            "object": "balance_transaction",
            "amount": settled,
            "available_on": available_on,
            "balance_type": "payments",
            "created": created,
            "currency": settlement.lower(),
            "description": description,
            "exchange_rate": None if rate is None else float(rate),
            "fee": fee,
            "fee_details": _fee_details(fee, settlement, kind),
            "livemode": True,
            "net": settled - fee,
            "reporting_category": category or kind,
            "source": source,
            "status": "available" if available_on <= self.end(entity) else "pending",
            "type": kind,
        }
        return self.add(entity, "balance_transaction", record)

    def charge(
        self,
        entity: str,
        customer: str,
        amount: int,
        currency: str,
        created: int,
        key: str,
        *,
        intent: str,
        failure: str | None = None,
        description: str | None = None,
    ) -> dict[str, Any]:
        """A charge attempt; a failed one moves no money."""
        charge_id = self.ids.stripe("ch", key)
        txn = None
        if failure is None:
            txn = self.settle(entity, "charge", charge_id, amount, currency, created, charge_fee=True)["id"]
        record = {
            "id": charge_id,
            "object": "charge",
            "amount": amount,
            "amount_captured": 0 if failure else amount,
            "amount_refunded": 0,
            "application_fee_amount": None,
            "balance_transaction": txn,
            "captured": failure is None,
            "created": created,
            "currency": currency.lower(),
            "customer": customer,
            "description": description,
            "disputed": False,
            "failure_code": failure,
            "failure_message": "Your card was declined." if failure else None,
            "livemode": True,
            "metadata": {},
            "on_behalf_of": None,
            "outcome": {"network_status": "declined_by_network" if failure else "approved_by_network"},
            "paid": failure is None,
            "payment_intent": intent,
            "payment_method_details": {"type": "card", "card": {"brand": "visa", "last4": "4242"}},
            "refunded": False,
            "statement_descriptor": "MERIDIAN",
            "status": "failed" if failure else "succeeded",
            "transfer_data": None,
        }
        self.charges[charge_id] = record
        return self.add(entity, "charge", record)

    def refund(
        self, entity: str, charge: dict[str, Any], amount: int, created: int, key: str, reason: str | None
    ) -> dict[str, Any]:
        """Give back a part of a charge; the processor keeps its fee."""
        refund_id = self.ids.stripe("re", key)
        txn = self.settle(entity, "refund", refund_id, -amount, charge["currency"].upper(), created)
        charge["amount_refunded"] += amount
        charge["refunded"] = charge["amount_refunded"] == charge["amount"]
        return self.add(
            entity,
            "refund",
            {
                "id": refund_id,
                "object": "refund",
                "amount": amount,
                "balance_transaction": txn["id"],
                "charge": charge["id"],
                "created": created,
                "currency": charge["currency"],
                "destination_details": {"type": "card", "card": {"type": "refund"}},
                "failure_balance_transaction": None,
                "failure_reason": None,
                "livemode": True,
                "metadata": {},
                "payment_intent": charge["payment_intent"],
                "pending_reason": None,
                "reason": reason,
                "receipt_number": None,
                "status": "succeeded",
            },
        )


def _fee_details(fee: int, currency: str, kind: str) -> list[dict[str, Any]]:
    if not fee:
        return []
    name = "Dispute fee" if kind == "adjustment" else "Processing fees"
    return [
        {"amount": fee, "application": None, "currency": currency.lower(), "description": name, "type": "stripe_fee"}
    ]
