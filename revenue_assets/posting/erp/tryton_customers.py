"""Customers and items in Tryton: parties that carry our customer id as an identifier, products with our item as code.

Tryton refuses a second product of one code, but not a second party of one identifier: masters are made by one poster
at a time (`worker`), and should there be two parties all the same, the older one is the customer.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from revenue_assets.posting.erp.port import Failure, Master, MasterKey
from revenue_assets.posting.erp.tryton_masters import Masters
from revenue_assets.sources.tryton_rpc import RpcFault, TrytonRpc


@dataclass(frozen=True, slots=True)
class Item:
    """One row of product.product and its unit."""

    id: int
    unit: int


class Customers:
    """Lookups by our codes, and the making of what is missing. `category`: name of the product category that new items
    join; it names the revenue account of each company."""

    def __init__(self, rpc: TrytonRpc, masters: Masters, category: str) -> None:
        self._rpc, self._masters, self._category = rpc, masters, category
        self.forget()

    def forget(self) -> None:
        """Reads everything anew when it is asked for again."""
        self._parties: dict[str, int] = {}
        self._addresses: dict[int, int] = {}
        self._items: dict[str, Item] = {}
        self.forget_absent()

    def forget_absent(self) -> None:
        """Customers that were not there a moment ago may be there by now."""
        self._absent: set[str] = set()

    def party(self, customer_id: str) -> int | None:
        """The party of a customer, None if there is none."""
        return self.parties([customer_id]).get(customer_id)

    def parties(self, customer_ids: Iterable[str]) -> dict[str, int]:
        """The parties of the customers that are there."""
        wanted = set(customer_ids)
        if unknown := sorted(wanted - set(self._parties) - self._absent):
            rows = self._rpc.search_read(
                "party.identifier", [["code", "in", unknown], ["type", "=", None]], ["code", "party"], {},
                order=[["party", "ASC"]],
            )  # fmt: skip
            for row in rows:
                self._parties.setdefault(row["code"], row["party"])
            self._absent |= set(unknown) - set(self._parties)
        return {code: self._parties[code] for code in wanted if code in self._parties}

    def codes(self, parties: Iterable[int]) -> dict[int, str]:
        """Our customer id of each party: its first identifier without a type."""
        wanted = sorted(set(parties))
        if not wanted:
            return {}
        rows = self._rpc.search_read(
            "party.identifier", [["party", "in", wanted], ["type", "=", None]], ["code", "party"], {},
            order=[["id", "ASC"]],
        )  # fmt: skip
        found: dict[int, str] = {}
        for row in rows:
            found.setdefault(row["party"], row["code"])
        return found

    def addresses(self, parties: Iterable[int]) -> dict[int, int]:
        """The first address of each party; an invoice must have one."""
        wanted = set(parties)
        if unknown := sorted(wanted - set(self._addresses)):
            rows = self._rpc.search_read(
                "party.address", [["party", "in", unknown]], ["party"], {}, order=[["id", "ASC"]]
            )
            for row in rows:
                self._addresses.setdefault(row["party"], row["id"])
        return {party: self._addresses[party] for party in wanted if party in self._addresses}

    def items(self, codes: Iterable[str]) -> dict[str, Item]:
        """The products of the items that are there."""
        wanted = set(codes)
        if unknown := sorted(wanted - set(self._items)):
            rows = self._rpc.search_read("product.product", [["code", "in", unknown]], ["code", "default_uom"], {})
            self._items |= {row["code"]: Item(row["id"], row["default_uom"]) for row in rows}
        return {code: self._items[code] for code in wanted if code in self._items}

    def ensure(self, masters: Sequence[Master]) -> dict[MasterKey, Failure]:
        """Makes what is missing, one call for each kind and company; the answer is what could not be made and why."""
        parties = self.parties(m.code for m in masters if m.kind == "customer")
        items = self.items(m.code for m in masters if m.kind == "item")
        missing = {
            (m.kind, m.code): m for m in masters if m.code not in (parties if m.kind == "customer" else items)
        }  # fmt: skip
        failed: dict[MasterKey, Failure] = {}
        for kind, company in dict.fromkeys((m.kind, m.company) for m in missing.values()):
            failed |= self._make([m for m in missing.values() if (m.kind, m.company) == (kind, company)])
        self.forget_absent()
        return failed

    def _make(self, masters: Sequence[Master]) -> dict[MasterKey, Failure]:
        """Masters of one kind and company. A refusal is hunted down by halves, as one of a document is."""
        values_of = self._customer_values if masters[0].kind == "customer" else self._item_values
        values = {master.key: values_of(master) for master in masters}
        failed = {key: value for key, value in values.items() if isinstance(value, Failure)}
        sound = [master for master in masters if master.key not in failed]
        if not sound:
            return failed
        model = "party.party" if masters[0].kind == "customer" else "product.template"
        rows = [values[master.key] for master in sound]
        try:
            self._rpc.call(f"model.{model}.create", rows, self._masters.context(masters[0].company))
        except RpcFault as fault:
            if fault.kind != "refused":
                raise
            if len(sound) > 1:
                half = len(sound) // 2
                return failed | self._make(sound[:half]) | self._make(sound[half:])
            words = f"The ERP refused {sound[0].kind} {sound[0].code}: {fault}"
            failed[sound[0].key] = Failure("mapping_missing", words, str(fault))
        return failed

    def _customer_values(self, master: Master) -> dict[str, Any] | Failure:
        account = self._masters.account(master.company, master.account_code)
        if not (account.is_receivable and account.needs_party):
            words = (
                f"Account {master.account_code} of {master.company} is no receivable account with customers in the ERP."
            )
            return Failure("mapping_missing", words)
        return {
            "name": master.name,
            "identifiers": [["create", [{"code": master.code}]]],
            "addresses": [["create", [{}]]],
            "account_receivable": account.id,
        }

    def _item_values(self, master: Master) -> dict[str, Any] | Failure:
        categories = self._rpc.search_read("product.category", [["name", "=", self._category]], ["name"], {})
        units = self._rpc.search_read("product.uom", [["symbol", "=", "u"]], ["symbol"], {})
        if not categories or not units:
            what = f"product category {self._category}" if not categories else "unit of measure u"
            return Failure("mapping_missing", f"The ERP has no {what} for item {master.code}.")
        return {
            "name": master.name,
            "type": "service",
            "default_uom": units[0]["id"],
            "account_category": categories[0]["id"],
            "products": [["create", [{"suffix_code": master.code}]]],
        }
