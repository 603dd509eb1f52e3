"""One Stripe account: the records of one source instance, and what the records imply."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from demo.simulators.stripe_reports import ReportDesk
from demo.simulators.stripe_resources import Resource
from demo.simulators.tables import Instance, Record, Table


@dataclass
class Account:
    """One Stripe account: the records of one instance, and what it keeps in memory (report runs)."""

    id: str
    instance: Instance
    reports: ReportDesk
    events_since: int

    def table(self, resource: Resource) -> Table:
        """The table of a resource; payment intents follow from their charges where the world writes none."""
        derive = self._payment_intents if resource.file == "payment_intent" else None
        return self.instance.table(resource.file, order_by=resource.order_by, prepare=resource.prepare, derive=derive)

    @cached_property
    def payout_members(self) -> dict[str, list[str]]:
        """Payout id -> the balance transactions it paid out."""
        members: dict[str, list[str]] = {}
        for _, link in self.instance.rows("payout_member"):
            members.setdefault(link["payout"], []).append(link["balance_transaction"])
        return members

    def _payment_intents(self) -> list[Record]:
        """One intent per `payment_intent` of the charges; its charges are its attempts, the last one counts."""
        intents: dict[str, Record] = {}
        charges = [charge for _, charge in self.instance.rows("charge") if charge.get("payment_intent")]
        for charge in sorted(charges, key=lambda charge: charge["created"]):
            paid = charge["status"] == "succeeded"
            intent = intents.setdefault(
                charge["payment_intent"],
                {"id": charge["payment_intent"], "object": "payment_intent", "created": charge["created"]}
                | {"amount_received": 0, "livemode": charge.get("livemode", False), "metadata": {}},
            )
            intent |= {"amount": charge["amount"], "currency": charge["currency"], "customer": charge.get("customer")}
            intent |= {"latest_charge": charge["id"], "amount_received": charge["amount"] if paid else 0}
            intent["status"] = "succeeded" if paid else "requires_payment_method"
        return list(intents.values())
