"""`python -m benchmarks.posting --journals 1000`: our time per journal against the bare HTTP calls, on a real Tryton.

Both sides create, post and read back journals of the same shape in calls of the same size, in turns, on one server. The
bare side sends requests that were put together before the clock ran and keeps nothing; ours is the whole outbox: intent
committed, key looked up, preflight, create, post, number, outcome committed, read back, compared, verified, audit
chain. Wall seconds, because the work is the ERP's.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import yaml
from sqlalchemy import insert

from demo.erp import server, setup
from revenue_assets.posting.erp.tryton import TrytonErp
from revenue_assets.posting.outbox import Limits, drain
from revenue_assets.posting.steps import journal_of
from revenue_assets.sources.tryton_rpc import decode, encode
from revenue_assets.store import outbox
from revenue_assets.store.audit import canonical
from revenue_assets.store.clock import SYSTEM_CLOCK
from revenue_assets.store.engine import Store, open_store
from revenue_assets.store.tables import member_cuts

REPOSITORY = Path(__file__).resolve().parents[1]
COMPANY = "Meridian Inc"
LINES = 10
ROUNDS = 5


@dataclass
class Sides:
    """Wall seconds of each round, by side."""

    bare: list[float] = field(default_factory=list)
    ours: list[float] = field(default_factory=list)
    own_cpu: float = 0.0

    @property
    def ratio(self) -> float:
        return sum(self.ours) / sum(self.bare)


def documents(name: str, count: int) -> list[dict[str, Any]]:
    """Outbox rows of `count` journals with LINES lines each, none like another."""
    rows = []
    for n in range(count):
        lines: list[dict[str, Any]] = [
            {
                "line_no": i + 1, "account_role": role, "account_code": code, "currency": "USD",
                "amount_tc": sign * (10_000 + n), "debit_fc": max(sign, 0) * (10_000 + n),
                "credit_fc": max(-sign, 0) * (10_000 + n), "product_family": f"family {i // 2}",
                "prior_period": False, "member_count": 1, "members_hash": "0", "dimensions": {},
            }
            for i in range(LINES)
            for role, code, sign in [_SIDES[i % 2]]
        ]  # fmt: skip
        text = canonical(
            {
                "tenant": name, "entity_id": "US", "erp_company": COMPANY, "book": "main", "period": "2026-01",
                "date": "2026-01-31", "event_class": "benchmark", "rule_hash": "0" * 64,
                "functional_currency": "USD", "lines": lines, "number": n,
            }
        )  # fmt: skip
        total = sum(line["debit_fc"] for line in lines)
        rows.append(
            {
                "batch_key": hashlib.sha256(text.encode()).hexdigest()[:32], "content_hash": outbox.content_hash(text),
                "cut_id": name, "tenant": name, "entity_id": "US", "erp_company": COMPANY, "book": "main",
                "period": "2026-01", "event_class": "benchmark", "rule_hash": "0" * 64, "functional_currency": "USD",
                "currency_set": "USD", "accounting_date": SYSTEM_CLOCK.now().date().replace(2026, 1, 31),
                "line_count": LINES, "member_count": LINES, "debit_fc": total, "credit_fc": total,
                "document_json": text, "mode": outbox.LIVE, "status": "planned",
            }
        )  # fmt: skip
    return rows


_SIDES = (("accounts_receivable", "1100", 1), ("revenue", "4000", -1))


def plan(store: Store, name: str, count: int) -> None:
    """A cut of `count` journals, ready to be sent."""
    now = SYSTEM_CLOCK.now()
    rows = documents(name, count)
    with store.write() as connection:
        connection.execute(
            insert(member_cuts).values(
                cut_id=name, seq=int(name.split("-")[1]), sha256="0" * 64, bytes=0, row_count=count * LINES,
                batch_count=count, cut_at=now,
            )
        )  # fmt: skip
        outbox.insert_batches(connection, rows, [line for row in rows for line in _lines(row)], now)


def _lines(row: dict[str, Any]) -> list[dict[str, Any]]:
    kept = {"batch_key": row["batch_key"], "functional_currency": "USD", "dimensions": None}
    return [
        {k: v for k, v in line.items() if k not in ("members_hash", "dimensions")} | kept
        for line in json.loads(row["document_json"])["lines"]
    ]


class Bare:
    """The same journals as ready requests: create, post, read, in calls of `size`."""

    def __init__(self, adapter: TrytonErp, size: int) -> None:
        self.adapter, self.size = adapter, size
        self.http = httpx.Client(timeout=120.0)
        rpc = adapter._rpc
        rpc.login()
        self.url = rpc._url
        self.http.headers["Authorization"] = f"Session {rpc._session}"

    def _post(self, method: str, params: Sequence[Any]) -> Any:
        return self._send(self._body(method, params))

    @staticmethod
    def _body(method: str, params: Sequence[Any]) -> bytes:
        return json.dumps({"id": 1, "method": method, "params": params}, default=encode).encode()

    def _send(self, body: bytes) -> Any:
        response = self.http.post(self.url, content=body, headers={"Content-Type": "application/json"})
        answer = json.loads(response.raise_for_status().content, object_hook=decode, parse_float=Decimal)
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer["result"]

    def run(self, name: str, count: int) -> float:
        """Wall seconds for `count` journals."""
        rows = documents(name, count)
        known: list[dict[str, Any]] = [{k: row.get(k) for k in outbox.Batch._fields} for row in rows]
        journals = [journal_of(outbox.Batch(**fields), 128) for fields in known]
        values = [self.adapter._submission._documents.values(j, {}) for j in journals]
        context = self.adapter._masters.context(COMPANY)
        creates = [
            self._body("model.account.move.create", [values[i : i + self.size], context])
            for i in range(0, count, self.size)
        ]
        began = time.perf_counter()
        for create in creates:
            ids = self._send(create)
            self._post("model.account.move.post", [ids, context])
            for model, domain, names in (
                ("account.move", ["id", "in", ids], ["description", "number", "state", "date", "period"]),
                ("account.move.line", ["move", "in", ids], ["move", "account.code", "debit", "credit"]),
            ):
                self._post(f"model.{model}.search_read", [[domain], 0, None, None, names, context])
        return time.perf_counter() - began


def measure(erp: server.Erp, journals: int, size: int, folder: Path) -> Sides:
    """Both sides in turns, `journals` each, in ROUNDS rounds after a short one that warms both up."""
    exponents = {"USD": 2, "GBP": 2, "EUR": 2}
    adapter = TrytonErp(erp.base_url, erp.database, erp.user, erp.password, exponents, batch_size_max=size)
    store = open_store(f"sqlite:///{folder / 'store.sqlite'}")
    bare, sides = Bare(adapter, size), Sides()
    each = max(1, journals // ROUNDS)
    limits = Limits(documents_per_call=size)
    for n in range(ROUNDS + 1):
        count = each if n else min(each, size)
        seconds = bare.run(f"bare{size}-{n + 1}", count)
        plan(store, f"ours{size}-{n + 1}", count)
        began, cpu = time.perf_counter(), time.process_time()
        report = drain(store, {COMPANY: adapter}, limits=limits)
        wall = time.perf_counter() - began
        if report.total("verified") != count:
            raise RuntimeError(f"{report.total('verified')} of {count} journals were verified")
        if n:
            sides.bare.append(seconds)
            sides.ours.append(wall)
            sides.own_cpu += time.process_time() - cpu
    store.close()
    adapter.close()
    return sides


@contextmanager
def a_server(home: Path) -> Iterator[server.Erp]:
    """A real ERP of this run's own, with the demo company's chart."""
    os.environ.setdefault("REVENUE_ERP_VENV", str(REPOSITORY / ".venv-erp"))
    os.environ.setdefault("REVENUE_ERP_CACHE", str(REPOSITORY / ".cache" / "erp"))
    rows = yaml.safe_load((REPOSITORY / "config" / "demo" / "accounts.yaml").read_text())["accounts"]
    chart = [(row["code"], row["name"], row["type"]) for row in rows]
    with server.running(home) as erp:
        setup.ensure(
            erp.base_url, erp.database, erp.admin_password, {COMPANY: "USD"}, chart, (2026,),
            robot=(erp.user, erp.password),
        )  # fmt: skip
        yield erp


def main() -> None:
    parser = argparse.ArgumentParser(description="Our time per journal against the bare HTTP calls, on a real Tryton.")
    parser.add_argument("--journals", type=int, default=1000, help="per side and call size (default 1000)")
    parser.add_argument("--sizes", default="1,10,50", help="documents per call (default 1,10,50)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        with a_server(home) as erp:
            print(f"{'per call':>8} {'journals':>9} {'bare ms':>9} {'ours ms':>9} {'ratio':>7} {'own CPU ms':>11}")
            for size in (int(s) for s in args.sizes.split(",")):
                # One by one takes ten times as long; a part of them says as much.
                count = args.journals if size > 1 else max(ROUNDS, args.journals // 10)
                folder = home / f"size-{size}"
                folder.mkdir()
                sides = measure(erp, count, size, folder)
                done = (count // ROUNDS) * ROUNDS
                bare, ours = (1000 * sum(s) / done for s in (sides.bare, sides.ours))
                print(
                    f"{size:>8} {done:>9} {bare:>9.1f} {ours:>9.1f} {sides.ratio:>7.2f} "
                    f"{1000 * sides.own_cpu / done:>11.1f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
