"""Customers, items and subsidiary links of the emulated account: made over REST, unique by external id within a type.

They lie in the books' own file, so that they survive the emulator as documents do.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from demo.erp_emulators.core import Refused
from demo.erp_emulators.ledger import Ledger
from demo.erp_emulators.netsuite_chart import Chart, key_of, ref
from demo.erp_emulators.netsuite_records import BadBody

# Record type of the path -> kind, and the body fields that the account knows of it.
RECORDS = {
    "customer": (
        "customer",
        {"externalId", "entityId", "companyName", "isPerson", "subsidiary", "isInactive", "terms"},
    ),
    **dict.fromkeys(
        ("servicesaleitem", "noninventorysaleitem", "otherchargesaleitem"),
        ("item", {"externalId", "itemId", "displayName", "incomeAccount", "subsidiary", "taxSchedule", "isInactive"}),
    ),
    "customersubsidiaryrelationship": ("link", {"externalId", "entity", "subsidiary"}),
}
# Every item of the account is taxed but those on this tax schedule.
NOT_TAXABLE = "2"
_FIRST_ID = 1000
_TABLE = """
create table if not exists netsuite_party (id integer primary key autoincrement, kind text not null,
    external_id text, body text not null, unique (kind, external_id))
"""


@dataclass(frozen=True, slots=True)
class Party:
    """One record; `body` as it was sent."""

    id: str
    kind: str
    body: Mapping[str, Any]

    @property
    def is_active(self) -> bool:
        return not self.body.get("isInactive")


class Parties:
    """The records of one account."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        with ledger.transaction() as sql:
            sql.execute(_TABLE)

    def all(self, kind: str) -> list[Party]:
        with self._ledger.transaction() as sql:
            rows = sql.execute("select id, body from netsuite_party where kind = ? order by id", (kind,)).fetchall()
        return [Party(str(_FIRST_ID + number), kind, json.loads(body)) for number, body in rows]

    def by_external_id(self, kind: str, external_id: str) -> Party | None:
        return next((p for p in self.all(kind) if p.body.get("externalId") == external_id), None)

    def by_id(self, kind: str, number: str | None) -> Party | None:
        return next((p for p in self.all(kind) if p.id == number), None)

    def add(self, kind: str, body: Mapping[str, Any]) -> Party:
        """Without a question, as people of the account might."""
        with self._ledger.transaction() as sql:
            cursor = sql.execute(
                "insert into netsuite_party (kind, external_id, body) values (?, ?, ?)",
                (kind, body.get("externalId"), json.dumps(body)),
            )
        return Party(str(_FIRST_ID + int(cursor.lastrowid or 0)), kind, body)

    def create(self, record: str, values: Mapping[str, Any], chart: Chart, *, strict_names: bool) -> Party:
        """What a POST makes. Raises BadBody and Refused as NetSuite would refuse it."""
        kind, fields = RECORDS[record]
        unknown = sorted(set(values) - fields)
        if unknown and strict_names:
            raise BadBody("INVALID_CONTENT", f"Unknown reference or field: {unknown[0]}.", unknown[0])
        names = {"customer": "entityId", "item": "itemId"}
        name = names.get(kind)
        if name and any(p.body.get(name) == values.get(name) for p in self.all(kind)):
            raise Refused("duplicate", f"{name} is in use.")
        if values.get("externalId") and self.by_external_id(kind, str(values["externalId"])):
            raise Refused("duplicate", "externalId is in use.")
        if kind == "item":
            if key_of(chart.accounts, ref(values.get("incomeAccount"))) is None:
                raise BadBody("INVALID_KEY_OR_REF", "Invalid account reference key.", "incomeAccount")
            wanted = [ref(one) for one in (values.get("subsidiary") or {}).get("items", [])]
        else:
            wanted = [ref(values.get("subsidiary"))]
        if not wanted or any(key_of(chart.subsidiaries, number) is None for number in wanted):
            raise BadBody("INVALID_KEY_OR_REF", "Invalid subsidiary reference key.", "subsidiary")
        if kind == "link" and self.by_id("customer", ref(values.get("entity"))) is None:
            raise BadBody("INVALID_KEY_OR_REF", "Invalid entity reference key.", "entity")
        return self.add(kind, {k: v for k, v in values.items() if k in fields})

    def serves(self, party: Party, subsidiary: str) -> bool:
        """May documents of this subsidiary name the customer or item?"""
        if party.kind == "item":
            return subsidiary in [ref(one) for one in party.body["subsidiary"]["items"]]
        links = [(ref(p.body["entity"]), ref(p.body["subsidiary"])) for p in self.all("link")]
        return ref(party.body["subsidiary"]) == subsidiary or (party.id, subsidiary) in links

    def tables(self) -> dict[str, list[dict[str, object]]]:
        """As SuiteQL shows them."""
        customers, links = self.all("customer"), self.all("link")
        return {
            "customer": [
                {
                    "id": p.id, "externalid": p.body.get("externalId"), "entityid": p.body.get("entityId"),
                    "companyname": p.body.get("companyName"), "isinactive": "F" if p.is_active else "T",
                    "subsidiary": ref(p.body["subsidiary"]),
                }
                for p in customers
            ],
            "item": [
                {
                    "id": p.id, "externalid": p.body.get("externalId"), "itemid": p.body.get("itemId"),
                    "incomeaccount": ref(p.body["incomeAccount"]), "isinactive": "F" if p.is_active else "T",
                }
                for p in self.all("item")
            ],
            "customersubsidiaryrelationship": [
                *({"entity": p.id, "subsidiary": ref(p.body["subsidiary"])} for p in customers),
                *({"entity": ref(p.body["entity"]), "subsidiary": ref(p.body["subsidiary"])} for p in links),
            ],
        }  # fmt: skip
