"""Posters that die by SIGKILL around their calls to a real Tryton: each journal is there once, posted and verified.

Two seeds by default; `REVENUE_TRIALS=full` plays more. The database is asked past the ERP.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
from collections import Counter
from pathlib import Path

import httpx
import psycopg2
import pytest
from erp_fixture import COMPANIES, ErpServer
from erp_house import house_of
from store_kit import House, invoice, recognition

from revenue_assets.posting.outbox import Limits, drain
from revenue_assets.store import audit, outbox
from revenue_assets.store.engine import open_store

sys.path.insert(0, str(Path(__file__).parents[1] / "faults"))

from killing import fork, url_of

SEEDS = 40 if os.environ.get("REVENUE_TRIALS") == "full" else 2
# A create of three journals took at most 0.5 s; the server goes on with it after its caller's death.
SETTLE_SECONDS = 2.5
LIMITS = Limits(max_wait_seconds=30, backoff_base_seconds=0.1, backoff_cap_seconds=1.0, documents_per_call=2)
CALLS = (b'"model.account.move.create"', b'"model.account.move.post"', b'"model.account.move.search_read"')
MOMENTS = ("before it leaves", "in flight", "answered")


class Deadly(httpx.BaseTransport):
    """A network that kills its own process around the `nth` request that carries `call`."""

    def __init__(self, call: bytes, moment: str, nth: int, delay: float) -> None:
        self.call, self.moment, self.left, self.delay = call, moment, nth, delay
        self.inner = httpx.HTTPTransport()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.left -= self.call in request.read()
        if self.left != 0 or self.call not in request.content:
            return self.inner.handle_request(request)
        if self.moment == "before it leaves":
            die()
        if self.moment == "in flight":
            threading.Timer(self.delay, die).start()
        response = self.inner.handle_request(request)
        response.read()
        die()
        return response


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.fixture
def house(tmp_path: Path) -> House:
    """Three batches of the US company, cut and not yet sent; the chart's accounts are the demo company's."""
    unique = f"{tmp_path.name}-{os.getpid()}"  # another content, so other keys, than in another test of the session
    house = house_of(
        tmp_path, invoice(f"i1-{unique}", "2026-01-05", 120_000), recognition(f"r1-{unique}", "2026-01-31", 10_000),
        invoice(f"i2-{unique}", "2026-02-05", 60_000),
    )  # fmt: skip
    house.store.close()
    return house


def poster(house: House, server: ErpServer, transport: httpx.BaseTransport | None = None) -> int:
    """Drains once in a child; its exit code, -9 if it was killed."""

    def task() -> None:
        adapter = server.adapter(settle_seconds=SETTLE_SECONDS, transport=transport)
        drain(open_store(url_of(house.root)), dict.fromkeys(COMPANIES, adapter), limits=LIMITS)

    _, status = os.waitpid(fork(task), 0)
    return os.waitstatus_to_exitcode(status)


def in_the_erp(server: ErpServer, keys: list[str]) -> Counter[tuple[str, str]]:
    """(key, state) -> moves."""
    connection = psycopg2.connect(server.erp.dsn)
    with connection, connection.cursor() as cursor:
        cursor.execute("select description, state from account_move where description = any(%s)", (keys,))
        found = Counter(cursor.fetchall())
    connection.close()
    return found


@pytest.mark.parametrize("seed", range(SEEDS))
def test_killed_posters_post_each_journal_once(house: House, erp_server: ErpServer, seed: int) -> None:
    choice = random.Random(seed)
    killed = 0
    for _ in range(2):
        deadly = Deadly(choice.choice(CALLS), choice.choice(MOMENTS), choice.randint(1, 2), choice.uniform(0.0, 0.3))
        killed += poster(house, erp_server, deadly) == -signal.SIGKILL
    assert poster(house, erp_server) == 0
    store = open_store(url_of(house.root))
    batches = outbox.all_batches(store)
    assert {b["status"] for b in batches} == {"verified"}
    keys = [b["batch_key"] for b in batches]
    assert in_the_erp(erp_server, keys) == {(key, "posted"): 1 for key in keys}
    assert audit.verify(store)[1] is None
    assert killed or seed, "the first seed is known to kill"
    store.close()
