"""The generic REST contract of a ledger that also runs revenue schedules: takes them, recognises by them, and books it.

`keeps_versions` False is a ledger that does not do its part: it takes whatever version comes last. Recognition is a
month-end run that tests start (`recognise`), as people do in a real one.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from demo.erp_emulators.core import Refused
from demo.erp_emulators.ledger import Entry, EntryLine
from demo.erp_emulators.rest import PAGE_MAX, TOKEN, RestFace
from demo.erp_emulators.rest_records import minor
from demo.simulators.server import Request, Response, dumps

Record = dict[str, Any]
_SCHEMA = """
create table if not exists schedule (
    id integer primary key, company text, key text, version integer, body text, visible_at real
);
create table if not exists schedule_in_flight (id integer primary key, due real, company text, body text);
create table if not exists recognition (company text, key text, day text, service_period text);
"""
# Amounts of a part: field -> the field of the schedule that names its currency.
AMOUNTS = {
    "amount": "currency", "functional_amount": "functional_currency", "discount": "currency",
    "functional_discount": "functional_currency",
}  # fmt: skip


class RestSchedulesFace(RestFace):
    """A schedule is a row per put; the newest row is the truth, and a search shows it when the index has it."""

    name = "rest_schedules"

    def __init__(self, root: Path, *, clock: Callable[[], float] = time.time) -> None:
        self.keeps_versions = True
        super().__init__(root, clock=clock)

    def answer(self, request: Request) -> Response:
        place = [unquote(part) for part in request.path.split("/")[1:]]
        if len(place) not in (4, 5) or place[:2] != ["v1", "companies"] or place[3] != "schedules":
            return super().answer(request)
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            raise Refused("unauthorised", "The token is not valid.")
        company = place[2]
        if company not in self.erp.ledger.companies():
            raise Refused("unknown_company", f"Company {company} does not exist.")
        self.tick()
        if request.method == "PUT" and len(place) == 5:
            body = _body(request)
            if body.get("external_id") != place[4]:
                raise Refused("invalid", "The address and the schedule name different ids.")
            return Response(200, dumps(self.erp.perform(lambda: self._store(company, body), self._keep(company, body))))
        if request.method == "GET" and len(place) == 4:
            keys = [value for name, value in request.query if name == "external_id"]
            if not 0 < len(keys) <= PAGE_MAX:
                raise Refused("invalid", f"Ask for 1 to {PAGE_MAX} external_id values.")
            shown = [self._shown(company, key, self.erp.clock()) for key in dict.fromkeys(keys)]
            return Response(200, dumps({"schedules": [one for one in shown if one is not None]}))
        raise Refused("unknown_document", f"There is no {request.method} {request.path}.")

    def settle(self) -> None:
        self.tick(everything=True)
        super().settle()

    def control(self, order: dict[str, Any]) -> Any:
        match order.get("do"):
            case "recognise":
                return self.recognise(order["company"], order["through"])
            case "schedules":
                self.settle()
                return self.all(order["company"])
            case "keeps_versions":
                self.keeps_versions = order["keeps_versions"]
                return {}
        return super().control(order)

    # -- what tests look at and turn ---------------------------------------------------------------------------

    def all(self, company: str) -> list[Record]:
        """Every schedule of the company as it stands."""
        query = "select distinct key from schedule where company = ? order by key"
        with self._sql() as sql:
            keys = [row[0] for row in sql.execute(query, (company,)).fetchall()]
        return [one for key in keys if (one := self._shown(company, key)) is not None]

    def versions(self, company: str, key: str) -> list[int]:
        """The versions that were stored, in order."""
        with self._sql() as sql:
            query = "select version from schedule where company = ? and key = ? order by id"
            return [row[0] for row in sql.execute(query, (company, key)).fetchall()]

    def rewrite(self, company: str, key: str, change: Callable[[Record], None]) -> None:
        """Other content under the same version, as a person or a database user makes it."""
        with self._sql() as sql:
            query = "select id, body from schedule where company = ? and key = ? order by id desc limit 1"
            number, text = sql.execute(query, (company, key)).fetchone()
            body = json.loads(text)
            change(body)
            sql.execute("update schedule set body = ? where id = ?", (json.dumps(body), number))

    def recognise(self, company: str, through: str) -> int:
        """The month-end run: books every part up to the day `through` that is not booked yet; returns how many."""
        booked = 0
        for schedule in self.all(company):
            for part in schedule["parts"]:
                if part["recognised"] or part["recognised_on"] > through:
                    continue
                self.erp.ledger.add(_entry(company, schedule, part), self.erp.clock())
                place = (company, schedule["external_id"], part["recognised_on"], part["service_period"])
                with self._sql() as sql:
                    sql.execute("insert into recognition values (?, ?, ?, ?)", place)
                booked += 1
        return booked

    def tick(self, *, everything: bool = False) -> None:
        """Late puts whose time has come. What the books refuse by now never happened."""
        until = float("inf") if everything else self.erp.clock()
        query = "select id, company, body from schedule_in_flight where due <= ? order by due"
        with self._sql() as sql:
            for number, company, body in sql.execute(query, (until,)).fetchall():
                sql.execute("delete from schedule_in_flight where id = ?", (number,))
                try:
                    self._store(company, json.loads(body))
                except Refused:
                    self.erp.calls["late and refused"] += 1

    # -- one schedule ------------------------------------------------------------------------------------------

    def _store(self, company: str, body: Record) -> Record:
        self._check(company, body)
        key, version = body["external_id"], body["version"]
        with self._sql() as sql:
            held = self._shown(company, key)
            if held is not None and self.keeps_versions:
                if version < held["version"]:
                    raise Refused("stale_version", f"Schedule {key} is at version {held['version']} already.")
                if version == held["version"]:
                    if _content(held) == _content(body):
                        return held
                    raise Refused("key_reused", f"Version {version} of schedule {key} has other content.")
            if held is not None:
                self._check_past(company, held, body)
            visible = self.erp.clock() + self.erp.dice.uniform(0, self.erp.behaviour.index_lag)
            sql.execute(
                "insert into schedule (company, key, version, body, visible_at) values (?, ?, ?, ?, ?)",
                (company, key, version, json.dumps(body), visible),
            )
            stored = self._shown(company, key)
            assert stored is not None
            return stored

    def _keep(self, company: str, body: Record) -> Callable[[float], None]:
        def later(due: float) -> None:
            with self._sql() as sql:
                query = "insert into schedule_in_flight (due, company, body) values (?, ?, ?)"
                sql.execute(query, (due, company, json.dumps(body)))

        return later

    def _check(self, company: str, body: Record) -> None:
        """Sound in itself, on accounts that exist."""
        try:
            currencies = {name: body[of] for name, of in AMOUNTS.items()}
            parts = [{n: minor(p[n], c) for n, c in currencies.items()} for p in body["parts"]]
            days = [part["recognised_on"] for part in body["parts"]]
            total = minor(body["total"], body["currency"])
            accounts = {body["balance_account"], body["revenue_account"], body["discount_account"]} - {None}
            version = body["version"]
        except (KeyError, TypeError) as error:
            raise Refused("invalid", f"The schedule lacks or has a wrong {error}.") from error
        if type(version) is not int or version < 1:
            raise Refused("invalid", f"{version!r} is no version.")
        if sum(part["amount"] for part in parts) != total:
            raise Refused("unbalanced", "The parts do not sum to the total.")
        if (body["starts_on"], body["ends_on"]) != ((min(days), max(days)) if days else (None, None)):
            raise Refused("invalid", "The window is not that of the parts.")
        if unknown := sorted(accounts - set(self.erp.ledger.accounts(company))):
            raise Refused("unknown_account", f"Account {unknown[0]} does not exist.")

    def _check_past(self, company: str, held: Record, body: Record) -> None:
        """What is recognised stays; nothing else changes in a closed period either."""
        mine = {_place(part): _amounts(part) for part in body["parts"]}
        before = {_place(part): part for part in held["parts"]}
        for place, part in before.items():
            if self.keeps_versions and part["recognised"] and mine.get(place) != _amounts(part):
                raise Refused("recognised", f"{part['amount']} was recognised on {place[0]} for {place[1]}.")
        for place in before.keys() | mine.keys():
            changed = mine.get(place) != (_amounts(before[place]) if place in before else None)
            period = self.erp.ledger.period_at(company, place[0]) if changed else None
            if period is not None and period.state != "open":
                raise Refused("period_closed", f"Period {period.name} is closed.")

    def _shown(self, company: str, key: str, at: float = float("inf")) -> Record | None:
        """The newest put that is visible `at` an instant, with what is recognised of it."""
        with self._sql() as sql:
            query = "select id, body from schedule where company = ? and key = ? and visible_at <= ?"
            query += " order by id desc limit 1"
            found = sql.execute(query, (company, key, at)).fetchone()
            query = "select day, service_period from recognition where company = ? and key = ?"
            done = {tuple(row) for row in sql.execute(query, (company, key)).fetchall()}
        if found is None:
            return None
        body = json.loads(found[1])
        parts = [part | {"recognised": _place(part) in done} for part in body["parts"]]
        return body | {"id": f"S-{key[:12]}", "parts": parts}

    def _sql(self) -> Any:
        """A transaction of the books, which a reset makes anew."""
        ledger = self.erp.ledger
        if getattr(self, "_prepared", None) is not ledger:
            self._prepared = ledger
            with ledger.transaction() as sql:
                for statement in filter(str.strip, _SCHEMA.split(";")):
                    sql.execute(statement)
        return ledger.transaction()


def _body(request: Request) -> Record:
    try:
        body = json.loads(request.body)
    except ValueError as error:
        raise Refused("invalid", "The body is not JSON.") from error
    if not isinstance(body, dict):
        raise Refused("invalid", "The body is not an object.")
    return body


def _content(record: Record) -> Record:
    parts = [{name: value for name, value in part.items() if name != "recognised"} for part in record["parts"]]
    return {name: value for name, value in record.items() if name not in ("id", "parts")} | {"parts": parts}


def _place(part: Record) -> tuple[str, str]:
    return part["recognised_on"], part["service_period"]


def _amounts(part: Record) -> tuple[str, ...]:
    return tuple(part[name] for name in AMOUNTS)


def _entry(company: str, schedule: Record, part: Record) -> Entry:
    """What the ledger books of a part: no key of ours, as the recognition of a real ERP has none."""
    functional, own = schedule["functional_currency"], schedule["currency"]
    fc, dc = minor(part["functional_amount"], functional), minor(part["functional_discount"], functional)
    tc, dt = minor(part["amount"], own), minor(part["discount"], own)
    legs = [
        (schedule["balance_account"], fc, tc), (schedule["discount_account"], dc, dt),
        (schedule["revenue_account"], -(fc + dc), -(tc + dt)),
    ]  # fmt: skip
    lines = tuple(
        EntryLine(account, max(value, 0), max(-value, 0), own, amount, f"Schedule of {schedule['reference']}")
        for account, value, amount in legs
        if account is not None and (value or amount)
    )
    return Entry("", company, part["recognised_on"], functional, lines, f"Schedule {schedule['external_id']}")
