"""P11: two posters at once. One is stopped (SIGSTOP) inside a request, past its lease; another does all the work; the
first goes on (SIGCONT).

An ERP with keys or unique ids must end with one document each. One with neither cannot refuse the late request: what it
books twice must be found by the read-back reconciliation (R16, class duplicate) and be somebody's exception.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from fake_erp import BEHAVIOURS, FakeErp
from ground import Ground, Outcome
from killing import QUICK, serve, start_poster
from p12_outage import planned
from recon_books import Books
from recon_build import run_dbt
from sqlalchemy import create_engine, select, text

from revenue_assets.close.exceptions import sync_exceptions
from revenue_assets.store import audit, exceptions, outbox
from revenue_assets.store.clock import SystemClock
from revenue_assets.store.engine import Store, open_store
from revenue_assets.store.tables import posting_batch_lines, posting_batches

LEASE_SECONDS = 0.5
PHASES = ("received", "committed", "replied")
SAFE = ("ideal", "unique_id")
BATCHES = 4
LIMITS = replace(QUICK, lease_seconds=LEASE_SECONDS)


@contextmanager
def copies(ground: Ground) -> Iterator[Iterator[str]]:
    """URLs of stores with the same planned batches, one per duel."""
    house = planned(ground, BATCHES, ("US",))
    url = house.store.engine.url
    house.store.close()

    def made() -> Iterator[str]:
        number = 0
        while True:
            number += 1
            if ground.server.socket is None:
                file = ground.root / f"duel-{number}.sqlite"
                shutil.copyfile(Path(url.database or ""), file)
                yield f"sqlite:///{file}"
                file.unlink()
                continue
            engine = create_engine(ground.server.url("postgres"), isolation_level="AUTOCOMMIT")
            with engine.connect() as connection:
                connection.execute(text(f"create database duel_{number} template {url.database}"))
                yield ground.server.url(f"duel_{number}")
                connection.execute(text(f"drop database duel_{number} with (force)"))
            engine.dispose()

    yield made()


def duel(url: str, erp: FakeErp, phase: str) -> bool:
    """One stopped poster and its successor; True if the second one did work while the first was stopped."""
    first, pipe = start_poster(url, erp.capabilities, LIMITS)
    overtaken: list[bool] = []

    def overtake(name: str) -> None:
        if name != phase or overtaken:
            return
        overtaken.append(True)
        os.kill(first, signal.SIGSTOP)
        try:
            assert serve(*start_poster(url, erp.capabilities, LIMITS), erp)
        finally:
            os.kill(first, signal.SIGCONT)

    erp.phase = overtake
    assert serve(first, pipe, erp)
    return bool(overtaken)


def stopped_past_the_lease(ground: Ground, count: int) -> Outcome:
    """`count` duels over ERPs with keys or unique ids."""
    result = Outcome()
    with copies(ground) as urls:
        for number in range(count):
            if ground.is_over:
                break
            url = next(urls)
            behaviour, phase = ground.dice.choice(SAFE), ground.dice.choice(PHASES)
            erp = FakeErp(SystemClock().now, faults=BEHAVIOURS[behaviour], seed=number)
            what = f"duel {number} ({behaviour}, stopped when {phase})"
            result.reached += duel(url, erp, phase)
            result.count(f"{behaviour}, {phase}")
            store = open_store(url)
            verified = outbox.counts(store)["verified"]
            result.check(verified == BATCHES, f"{what}: {verified} of {BATCHES} are verified")
            result.check(sorted(erp.copies().values()) == [1] * BATCHES, f"{what}: {dict(erp.copies())}")
            result.check(audit.verify(store)[1] is None, f"{what}: the audit chain is broken")
            store.close()
    return result


def late_document_is_found(ground: Ground, count: int) -> Outcome:
    """An ERP with neither key nor unique id: `count` late requests, then one reconciliation of what it holds."""
    result, house = Outcome(), planned(ground, BATCHES * count, ("US",))
    url = house.store.engine.url.render_as_string(hide_password=False)
    house.store.close()
    erp = FakeErp(SystemClock().now, faults=BEHAVIOURS["no_key"])
    duel(url, erp, "received")
    doubled = {key for key, times in erp.copies().items() if times > 1}
    result.check(bool(doubled), "the late request made nothing: nothing was tried")
    store = open_store(url)
    found = reconciled(store, ground.root / "recon", erp)
    result.check(found == dict.fromkeys(doubled, "Integration"), f"in the ERP twice {doubled}, found {found}")
    result.facts |= {"documents twice in the ERP": len(doubled), "raised with an owner": len(found)}
    result.reached = count
    store.close()
    return result


def reconciled(store: Store, home: Path, erp: FakeErp) -> dict[str, str]:
    """Batch key -> owner of every duplicate that R16 sees and the store raises: the real models and the real sync over
    the outbox as it is and the ERP's books as they are."""
    books = Books()
    with store.read() as connection:
        for table, rows in (("posting_batches", posting_batches), ("posting_batch_lines", posting_batch_lines)):
            for row in connection.execute(select(rows)).mappings():
                books.add(f"state/{table}", **{k: v for k, v in row.items() if k in _columns(table)})
    codes = {}
    for number, held in enumerate(erp.documents, 1):
        journal = held.journal
        codes |= {line.account_code: line.role for line in journal.lines}
        books.erp[number] = {
            "entity_id": "US", "move_id": number, "number": f"US{number:05d}", "description": journal.key,
            "state": "posted", "move_date": journal.accounting_date.isoformat(), "period": journal.period,
            "journal": "REV", "batch_key": journal.key, "document_kind": None, "reference": None,
            "lines": [
                {"account_code": x.account_code, "debit": x.debit, "credit": x.credit} for x in journal.lines
            ],
        }  # fmt: skip
    books.read_back()
    books.write(home)
    done = run_dbt(home, "run")
    assert done.returncode == 0, done.stdout[-4000:]
    sync_exceptions(store, home / "warehouse" / "revenue.duckdb", home / "state")
    return {
        row["idempotency_key"] or json.dumps(row, default=str): row["owner_team"]
        for row in exceptions.all_exceptions(store, open_only=True)
        if (row["recon_id"], row["category"]) == ("R16", "duplicate")
    }


def _columns(table: str) -> set[str]:
    from recon_books import FILES, split_ddl

    return {column.split()[0] for column in split_ddl(FILES[f"state/{table}"])}
