"""Read-back of an ERP run on Tryton: journals as they stand now, period balances, period states.

What the ERP says is the evidence against which the subledger is reconciled, so nothing is assumed to stand still: a
person with database access can change a posted move, and its write date does not move. All moves of open periods are
read each time. Moves of closed periods are read when they changed, and all of them together at least daily; books of
up to FULL_ROWS_MAX moves are simply read in full each time. Landing keeps only what differs.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import httpx

from revenue_assets.sources.base import (
    Cursor,
    ObjectContract,
    Page,
    Record,
    SourceError,
    SourceUnavailable,
    credential,
)
from revenue_assets.sources.read_back import CONTRACTS, OBJECTS, decimal_text, text_of
from revenue_assets.sources.tryton_rpc import RpcFault, TrytonRpc

PAGE_ROWS = 500
# A full reading of 20,000 moves takes about half a minute: 600 to 1,200 moves a second were measured.
FULL_ROWS_MAX = 20_000
FULL_EVERY = dt.timedelta(hours=24)
# A write date is set before its commit; no transaction of that length is known.
OVERLAP = dt.timedelta(minutes=10)

_MOVE_FIELDS = [
    "number", "description", "state", "date", "post_date", "period.name", "journal.code", "company.party.name",
    "company.currency.code", "origin", "create_date", "write_date",
]  # fmt: skip
_LINE_FIELDS = [
    "move", "account.code", "debit", "credit", "description", "amount_second_currency", "second_currency.code", "party",
    "maturity_date", "reconciliation", "invoice_payment.reference",
]  # fmt: skip
_INVOICE = "account.invoice,"


class TrytonSource:
    """One ERP database. `options`: `database`; `companies`, entity id -> the ERP's name of its company (others are not
    read). `transport` replaces the network in tests. `credentials`: `user`, `password`."""

    vendor = "tryton"
    OBJECTS: tuple[str, ...] = OBJECTS
    CONTRACTS: Mapping[str, ObjectContract] = CONTRACTS

    def __init__(
        self,
        name: str,
        entity_id: str | None,
        base_url: str | None,
        credentials: Mapping[str, Any],
        options: Mapping[str, Any] | None = None,
        *,
        full_rows_max: int = FULL_ROWS_MAX,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        options = dict(options or {})
        self.name, self.entity_id, self._full_rows_max = name, entity_id, full_rows_max
        self._entities = {str(company): str(entity) for entity, company in dict(options.get("companies", {})).items()}
        if not self._entities or not options.get("database"):
            raise SourceError(f"source {name}: options 'database' and 'companies' are needed")
        self._rpc = TrytonRpc(
            base_url or "",
            str(options["database"]),
            credential(credentials, "user", name),
            credential(credentials, "password", name),
            transport=transport,
        )

    def pull(self, object_name: str, cursor: Cursor | None, now: dt.datetime) -> Iterator[Page]:
        """See `Source.pull`. Only `move` has a cursor: the newest write date seen and the last full reading."""
        if object_name not in self.OBJECTS:
            raise SourceError(f"{self.name}: no object {object_name!r}")
        with self._readable(object_name):
            companies = self._companies()
            if object_name == "move":
                yield from self._moves(companies, dict(cursor or {}), now)
            elif object_name == "period":
                records = [
                    Record(f"{period['entity_id']}:{period['name']}", text_of(period))
                    for company in companies
                    for period in self._periods(company)
                ]
                yield Page("period", records, {}, {"expected_rows": len(records)}, complete=True)
            else:
                yield from self._balances(companies)

    # -- moves -------------------------------------------------------------------------------------------------

    def _moves(self, companies: dict[int, str], cursor: Cursor, now: dt.datetime) -> Iterator[Page]:
        mine = ["company", "in", list(companies)]
        started = now.astimezone(dt.UTC).replace(tzinfo=None)
        last_full = dt.datetime.fromisoformat(cursor["full_at"]) if cursor.get("full_at") else None
        newest = str(cursor.get("changed_at") or "")
        newest_id = self._rpc.search_read("account.move", [mine], ["id"], {}, order=[["id", "DESC"]], limit=1)
        upper = ["id", "<=", newest_id[0]["id"] if newest_id else 0]
        total = self._count([mine, upper])
        is_full = last_full is None or started - last_full >= FULL_EVERY or total <= self._full_rows_max
        domain: list[Any] = [mine, upper]
        if not is_full:
            since = dt.datetime.fromisoformat(newest) - OVERLAP if newest else dt.datetime(1970, 1, 1)  # noqa: DTZ001
            domain.append(
                ["OR", ["period.state", "=", "open"], ["create_date", ">=", since], ["write_date", ">=", since]]
            )
        expected, after = self._count(domain), 0
        while True:
            rows = self._rpc.search_read(
                "account.move", [*domain, ["id", ">", after]], _MOVE_FIELDS, {}, order=[["id", "ASC"]], limit=PAGE_ROWS
            )
            if not rows:
                break
            after = rows[-1]["id"]
            newest = max([newest, *(_changed(row).isoformat() for row in rows)])
            yield Page("move", self._records(rows), {}, {"expected_rows": expected})
        full_at = started if is_full else last_full
        cursor = {"changed_at": newest, "full_at": full_at.isoformat() if full_at else None}
        yield Page("move", [], cursor, {"expected_rows": expected}, complete=is_full)

    def _records(self, moves: list[dict[str, Any]]) -> list[Record]:
        """One JSON text per move with its lines, amounts as decimal text in major units. The move of a customer invoice
        has the invoice's description and number, which are what its poster could set."""
        lines: dict[int, list[dict[str, Any]]] = {row["id"]: [] for row in moves}
        for row in self._rpc.search_read(
            "account.move.line", [["move", "in", list(lines)]], _LINE_FIELDS, {}, order=[["id", "ASC"]]
        ):
            lines[row["move"]].append(row)
        customers = self._customers({row["party"] for held in lines.values() for row in held} - {None})
        invoices = self._invoices([move["origin"] for move in moves])
        return [
            Record(
                str(move["id"]),
                text_of(self._move(move, lines[move["id"]], invoices.get(move["origin"], {}), customers)),
            )
            for move in moves
        ]

    def _invoices(self, origins: list[str | None]) -> dict[str | None, dict[str, Any]]:
        """Customer invoices by the origin that their moves name."""
        ids = [int(origin.removeprefix(_INVOICE)) for origin in origins if origin and origin.startswith(_INVOICE)]
        fields = ["description", "reference", "total_amount"]
        rows = (
            self._rpc.search_read("account.invoice", [["id", "in", ids], ["type", "=", "out"]], fields, {})
            if ids
            else []
        )
        return {f"{_INVOICE}{row['id']}": row for row in rows}

    def _customers(self, parties: set[int]) -> dict[int, str]:
        """The customer id that each party carries: its first identifier without a type."""
        if not parties:
            return {}
        rows = self._rpc.search_read(
            "party.identifier", [["party", "in", sorted(parties)], ["type", "=", None]], ["code", "party"], {},
            order=[["id", "DESC"]],
        )  # fmt: skip
        return {row["party"]: row["code"] for row in rows}

    def _move(
        self, move: Mapping[str, Any], lines: list[dict[str, Any]], invoice: Mapping[str, Any],
        customers: Mapping[int, str],
    ) -> dict[str, Any]:  # fmt: skip
        company = move["company."]
        return {
            "id": str(move["id"]),
            "number": move["number"],
            "description": invoice.get("description", move["description"]),
            "document_kind": ("credit_note" if invoice["total_amount"] < 0 else "invoice") if invoice else None,
            "reference": invoice.get("reference"),
            "state": move["state"],
            "date": move["date"].isoformat(),
            "post_date": move["post_date"].isoformat() if move["post_date"] else None,
            "period": move["period."]["name"],
            "entity_id": self._entities[company["party."]["name"]],
            "company": company["party."]["name"],
            "currency": company["currency."]["code"],
            "journal": move["journal."]["code"],
            "origin": move["origin"],
            "create_date": move["create_date"].isoformat(),
            "total_debit": decimal_text(sum((_amount(line["debit"]) for line in lines), Decimal(0))),
            "total_credit": decimal_text(sum((_amount(line["credit"]) for line in lines), Decimal(0))),
            "lines": [_line(line, customers) for line in lines],
        }

    # -- periods and balances ----------------------------------------------------------------------------------

    def _balances(self, companies: dict[int, str]) -> Iterator[Page]:
        """What moved in each period, by account, posted moves only: the ERP's own sums, one page per company."""
        for position, company in enumerate(companies, start=1):
            records: list[Record] = []
            for period in self._periods(company):
                period_id = int(period["id"])  # a text would be searched for among the names
                if not self._count([["period", "=", period_id], ["state", "=", "posted"]]):
                    continue
                rows = self._rpc.search_read(
                    "account.account",
                    [["company", "=", company], ["type", "!=", None]],
                    ["code", "debit", "credit", "balance", "company.currency.code"],
                    {"company": company, "periods": [period_id], "posted": True},
                    order=[["code", "ASC"]],
                )
                records += [
                    _balance(period["entity_id"], period["name"], row) for row in rows if row["debit"] or row["credit"]
                ]
            yield Page("account_balance", records, {}, complete=position == len(companies))

    def _periods(self, company: int) -> list[dict[str, Any]]:
        rows = self._rpc.search_read(
            "account.period",
            [["company", "=", company]],
            ["name", "state", "type", "start_date", "end_date", "company.party.name"],
            {"company": company},
            order=[["start_date", "ASC"]],
        )
        return [
            {
                "id": str(row["id"]),
                "entity_id": self._entities[row["company."]["party."]["name"]],
                "name": row["name"],
                "type": row["type"],
                "state": row["state"],
                "start_date": row["start_date"].isoformat(),
                "end_date": row["end_date"].isoformat(),
            }
            for row in rows
        ]

    def _companies(self) -> dict[int, str]:
        """ERP id -> entity id. A company of the config that the ERP does not show is an error, not an empty book."""
        rows = self._rpc.search_read("company.company", [], ["party.name"], {}, order=[["id", "ASC"]])
        found = {row["id"]: row["party."]["name"] for row in rows if row["party."]["name"] in self._entities}
        missing = sorted(set(self._entities) - set(found.values()))
        if missing:
            raise SourceError(f"{self.name}: the ERP shows no company {', '.join(missing)}")
        return {company: self._entities[name] for company, name in found.items()}

    def _count(self, domain: list[Any]) -> int:
        return int(self._rpc.call("model.account.move.search_count", domain, {}, write=False))

    @contextmanager
    def _readable(self, object_name: str) -> Iterator[None]:
        try:
            yield
        except RpcFault as fault:
            message = f"{self.name}: {object_name} cannot be read ({fault})"
            if fault.kind in ("throttled", "unavailable"):
                raise SourceUnavailable(message, fault.retry_after) from fault
            raise SourceError(message) from fault


def _changed(move: Mapping[str, Any]) -> dt.datetime:
    changed: dt.datetime = move["write_date"] or move["create_date"]
    return changed


def _line(line: Mapping[str, Any], customers: Mapping[int, str]) -> dict[str, Any]:
    second, settles = line.get("second_currency."), line.get("invoice_payment.")
    amount, due = line["amount_second_currency"], line["maturity_date"]
    return {
        "id": str(line["id"]),
        "account_code": line["account."]["code"],
        "debit": decimal_text(_amount(line["debit"])),
        "credit": decimal_text(_amount(line["credit"])),
        "description": line["description"],
        "amount_second_currency": None if amount is None else decimal_text(_amount(amount)),
        "second_currency": second["code"] if second else None,
        "customer_id": customers.get(line["party"]),
        "maturity_date": due.isoformat() if due else None,
        "is_reconciled": line["reconciliation"] is not None,
        "settles": settles["reference"] if settles else None,
    }


def _balance(entity_id: str, period: str, row: Mapping[str, Any]) -> Record:
    values = {
        "entity_id": entity_id,
        "period": period,
        "account_code": row["code"],
        "currency": row["company."]["currency."]["code"],
        "debit": decimal_text(_amount(row["debit"])),
        "credit": decimal_text(_amount(row["credit"])),
        "balance": decimal_text(_amount(row["balance"])),
    }
    return Record(f"{entity_id}:{period}:{row['code']}", text_of(values))


def _amount(value: Any) -> Decimal:
    """Decimal as the server sent it; never a float on the way."""
    return Decimal(value or 0)
