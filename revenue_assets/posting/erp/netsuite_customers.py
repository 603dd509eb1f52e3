"""Customers and items in NetSuite: found by our codes as external ids, made where they are missing, never changed.

A NetSuite item is sold on one account, its own. So an item of ours is one NetSuite item for each account that it was
sold on: `PLAT` on the first, `PLAT_4010` on another; a line that sells nothing (tax, discount, stored credit) names the
item `gl_<account>`. Finance may set these external ids on items of its own beforehand.

NetSuite refuses a second record of one external id, so that a lost answer or a second poster makes no second customer.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from revenue_assets.domain.config_erp import NetSuiteDetails
from revenue_assets.posting.erp.documents import receivable_lines
from revenue_assets.posting.erp.netsuite_failures import failure_of
from revenue_assets.posting.erp.netsuite_masters import Masters, Subsidiary
from revenue_assets.posting.erp.port import ErpError, Failure, Journal, Line, Master, MasterKey
from revenue_assets.sources.netsuite_client import NetSuiteClient, literal
from revenue_assets.sources.netsuite_faults import NetSuiteFault

NAME_CHARS_MAX = 83
# What the vendor's help allows in an external id over REST.
_EXTERNAL_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True, slots=True)
class Item:
    """One NetSuite item. `account` is the internal id of the account that it is sold on."""

    id: str
    account: str
    is_active: bool


class Customers:
    """Lookups by our codes, and the making of what is missing. What is not found is asked for again each time; what is
    found is kept until `forget`."""

    def __init__(self, client: NetSuiteClient, masters: Masters, details: NetSuiteDetails) -> None:
        self._client, self._masters, self._details = client, masters, details
        self.forget()

    def forget(self) -> None:
        """Reads everything anew when it is asked for again."""
        self._customers: dict[str, str] = {}
        self._items: dict[str, Item] = {}
        # (internal id of a customer, of a subsidiary that may bill it)
        self._links: set[tuple[str, str]] = set()

    # -- lookups -----------------------------------------------------------------------------------------------

    def customers(self, ids: Iterable[str]) -> dict[str, str]:
        """Internal ids of the active customers that are there, by our id."""
        wanted = {code for code in ids if _EXTERNAL_ID.fullmatch(code)}
        if unknown := sorted(wanted - set(self._customers)):
            rows = self._client.query(
                "SELECT id, externalid, subsidiary FROM customer "
                f"WHERE isinactive = 'F' AND externalid IN ({', '.join(map(literal, unknown))}) ORDER BY id"
            )
            self._customers |= {str(row["externalid"]): str(row["id"]) for row in rows}
            self._links |= {(str(row["id"]), str(row.get("subsidiary"))) for row in rows}
        return {code: self._customers[code] for code in wanted if code in self._customers}

    def item(self, code: str) -> str | None:
        """Internal id of the item with this external id."""
        found = self._read_items([code]).get(code)
        return found.id if found else None

    def item_of(self, line: Line) -> Item | None:
        """The item that brings a line to its account."""
        account = self._masters.account(line.account_code)
        codes = _item_codes(line)
        found = self._read_items(codes)
        return next(
            (found[c] for c in codes if c in found and found[c].account == account and found[c].is_active), None
        )

    def _read_items(self, codes: Iterable[str]) -> dict[str, Item]:
        wanted = {code for code in codes if _EXTERNAL_ID.fullmatch(code)}
        if unknown := sorted(wanted - set(self._items)):
            rows = self._client.query(
                "SELECT id, externalid, incomeaccount, isinactive FROM item "
                f"WHERE externalid IN ({', '.join(map(literal, unknown))}) ORDER BY id"
            )
            for row in rows:
                active = row.get("isinactive") == "F"
                self._items[str(row["externalid"])] = Item(str(row["id"]), str(row.get("incomeaccount", "")), active)
        return {code: self._items[code] for code in wanted if code in self._items}

    def _read_links(self, masters: Iterable[Master]) -> None:
        wanted: dict[str, set[str]] = {}
        for master in masters:
            subsidiary, customer = self._masters.subsidiary(master.company), self._customers.get(master.code)
            if subsidiary and customer and (customer, subsidiary.id) not in self._links:
                wanted.setdefault(subsidiary.id, set()).add(customer)
        for number, customers in wanted.items():
            rows = self._client.query(
                f"SELECT entity FROM customersubsidiaryrelationship WHERE subsidiary = {int(number)} "
                f"AND entity IN ({', '.join(sorted(customers))}) ORDER BY entity"
            )
            self._links |= {(str(row["entity"]), number) for row in rows}

    # -- making what is missing --------------------------------------------------------------------------------

    def ensure(self, masters: Sequence[Master]) -> dict[MasterKey, Failure]:
        """Makes what is missing; the answer is what could not be made and why. Raises ErpError if NetSuite does not
        answer, NetSuiteFault for a query without an answer."""
        self.customers(m.code for m in masters if m.kind == "customer")
        self._read_items(m.code for m in masters if m.kind == "item")
        self._read_links(m for m in masters if m.kind == "customer")
        failures = {master.key: self._ensure_one(master) for master in masters}
        return {key: failure for key, failure in failures.items() if failure is not None}

    def _ensure_one(self, master: Master) -> Failure | None:
        subsidiary = self._masters.subsidiary(master.company)
        if subsidiary is None:
            return _missing(f"NetSuite has no subsidiary {master.company!r} that the role may see.")
        if master.kind == "item":
            return None if master.code in self._items else self._make_item(master.code, master.account_code)
        if master.code not in self._customers:
            return self._make_customer(master, subsidiary)
        return self._link(master.code, subsidiary)

    def ensure_items(self, document: Journal) -> Failure | None:
        """An item for every line of an invoice or credit memo but the receivable's."""
        for line in item_lines(document):
            if self.item_of(line) is not None:
                continue
            for code in _item_codes(line):  # no refusal is built on what was kept
                self._items.pop(code, None)
            if self.item_of(line) is not None:
                continue
            failure = self._unusable(line) or self._make_item(_item_codes(line)[-1], line.account_code)
            if failure is not None:
                return failure
        return None

    def _unusable(self, line: Line) -> Failure | None:
        """Why an item that would bring the line to its account must not be made: somebody put it out of use."""
        account, known = self._masters.account(line.account_code), self._read_items(_item_codes(line))
        *_, last = _item_codes(line)
        for code, item in known.items():
            if item.account == account and not item.is_active:
                return _missing(f"Item {code} is inactive in NetSuite; activate it, then replay.")
            if code == last:
                words = f"Item {code} is not sold on account {line.account_code} in NetSuite"
                return _missing(f"{words}; correct it there, then replay.")
        return None

    def _make_customer(self, master: Master, subsidiary: Subsidiary) -> Failure | None:
        values = {
            "externalId": master.code,
            "entityId": master.code,
            "companyName": master.name[:NAME_CHARS_MAX],
            "isPerson": False,
            "subsidiary": {"id": subsidiary.id},
            **self._details.fields.get("customer", {}),
        }
        made = self._made("customer", "customer", values)
        if isinstance(made, Failure):
            return made
        self._customers[master.code] = made
        self._links.add((made, subsidiary.id))
        return None

    def _make_item(self, code: str, account_code: str) -> Failure | None:
        account = self._masters.account(account_code)
        if account is None:
            return _missing(f"NetSuite has no account {account_code} for item {code}.")
        values = {
            "externalId": code,
            "itemId": code,
            "displayName": code,
            "incomeAccount": {"id": account},
            "subsidiary": {"items": [{"id": number} for number in self._masters.subsidiary_ids()]},
            **self._details.fields.get("item", {}),
        }
        made = self._made("item", self._details.item_record, values)
        if isinstance(made, Failure):
            return made
        self._items[code] = Item(made, account, is_active=True)
        return None

    def _link(self, code: str, subsidiary: Subsidiary) -> Failure | None:
        """A customer of another subsidiary may be billed by this one too, once the two are linked."""
        customer = self._customers[code]
        if (customer, subsidiary.id) in self._links:
            return None
        values = {
            "externalId": f"{code}_{subsidiary.id}",
            "entity": {"id": customer},
            "subsidiary": {"id": subsidiary.id},
        }
        made = self._made("subsidiary link of customer", "customerSubsidiaryRelationship", values)
        if isinstance(made, Failure):
            return made
        self._links.add((customer, subsidiary.id))
        return None

    def _made(self, what: str, record_type: str, values: Mapping[str, Any]) -> str | Failure:
        """The internal id of the new record, or of the one that NetSuite has under this external id already."""
        code = values["externalId"]
        if not _EXTERNAL_ID.fullmatch(code):
            return _missing(f"{code!r} cannot be an external id in NetSuite: letters, digits, _ and - only.")
        try:
            return str(self._client.create(record_type, values).record_id)
        except NetSuiteFault as fault:
            if fault.kind != "refused":
                raise ErpError(failure_of(fault)) from fault
            there = self._client.record(record_type, code)
            if there is None:
                return Failure("mapping_missing", f"NetSuite refused {what} {code}.", fault.evidence)
            if there.get("isInactive"):
                return _missing(f"{what.capitalize()} {code} is inactive in NetSuite; activate it, then replay.")
            return str(there["id"])


def item_lines(document: Journal) -> tuple[Line, ...]:
    """The lines that an invoice or credit memo brings to their accounts by items: all but the receivable's."""
    owed = receivable_lines(document)
    return tuple(x for x in document.lines if x not in owed and (x.debit or x.credit))


def _item_codes(line: Line) -> tuple[str, ...]:
    """External ids of the items that may bring a line to its account, best first; the last one is made if none is."""
    return (line.item, f"{line.item}_{line.account_code}") if line.item else (f"gl_{line.account_code}",)


def _missing(words: str) -> Failure:
    return Failure("mapping_missing", words)
