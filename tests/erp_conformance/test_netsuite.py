"""The conformance suite over the NetSuite adapter and the emulated account, synchronous and by jobs."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import stamina
from emulated import ACCOUNTS, COMPANY, EXPONENTS, SETUP, alter, copies_of
from netsuite_account import FOREIGN, Account, running

from revenue_assets.posting.erp.netsuite import NetSuiteErp
from revenue_assets.testing.erp_bench import ErpBench, Fault, FaultyTransport
from revenue_assets.testing.erp_conformance import HttpErpConformance


@pytest.fixture(autouse=True)
def _no_waiting() -> Iterator[None]:
    """What the client would try again by itself is a failure at once."""
    with stamina.set_testing(True, attempts=1):
        yield


def bench_of(account: Account, mode: str) -> ErpBench:
    face = account.face
    face.reset(setup=SETUP)

    def port(transport: httpx.BaseTransport | None = None) -> NetSuiteErp:
        return account.adapter(
            transport=transport, mode=mode, foreign_fields=FOREIGN, reversal_field="custbody_ra_reverses"
        )

    def faulty(fault: Fault) -> NetSuiteErp:
        return port(FaultyTransport(fault, lambda request: "/record/" in request.url.path and request.method == "POST"))

    def origin(number: str) -> str | None:
        return face.erp.one(number).entry.extra.get("custbody_ra_reverses")

    return ErpBench(
        company=COMPANY, currency="USD", exponents=EXPONENTS, accounts=ACCOUNTS, date=dt.date(2026, 3, 31),
        closable="2026-01", port=port, copies=lambda keys: copies_of(face.erp, keys),
        alter=lambda number: alter(face.erp, number), origin=origin, set_period=face.close_period,
        foreign=("EUR", "JPY", "KWD"), settle=face.settle, faulty=faulty,
    )  # fmt: skip


class TestNetSuite(HttpErpConformance):
    @pytest.fixture
    def bench(self, tmp_path: Path) -> Iterator[ErpBench]:
        with running(tmp_path) as account:
            yield bench_of(account, "sync")


class TestNetSuiteByJobs(HttpErpConformance):
    @pytest.fixture
    def bench(self, tmp_path: Path) -> Iterator[ErpBench]:
        with running(tmp_path) as account:
            yield bench_of(account, "async")
