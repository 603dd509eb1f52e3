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

from demo.erp_emulators.netsuite_invoices import open_amounts
from revenue_assets.posting.erp.netsuite import NetSuiteErp
from revenue_assets.testing.erp_bench import ErpBench, Fault, FaultyTransport
from revenue_assets.testing.erp_conformance import HttpErpConformance
from revenue_assets.testing.erp_detail_conformance import DetailBench, DetailConformance

REVERSES = "custbody_ra_reverses"


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
            transport=transport, mode=mode, foreign_fields=FOREIGN, reversal_field=REVERSES,
            details={"payments_of_many_accounts": "credit_memo"},
        )  # fmt: skip

    def faulty(fault: Fault) -> NetSuiteErp:
        return port(FaultyTransport(fault, lambda request: "/record/" in request.url.path and request.method == "POST"))

    def origin(number: str) -> str | None:
        return face.erp.one(number).entry.extra.get(REVERSES)

    return ErpBench(
        company=COMPANY, currency="USD", exponents=EXPONENTS, accounts=ACCOUNTS, date=dt.date(2026, 3, 31),
        closable="2026-01", port=port, copies=lambda keys: copies_of(face.erp, keys),
        alter=lambda number: alter(face.erp, number), origin=origin, set_period=face.close_period,
        foreign=("EUR", "JPY", "KWD"), settle=face.settle, faulty=faulty,
    )  # fmt: skip


def detail_of(account: Account, bench: ErpBench) -> DetailBench:
    def open_amount(number: str) -> int | None:
        documents = account.face.erp.ledger.documents()
        mine = [d.id for d in documents if d.entry.kind == "invoice" and d.entry.extra.get("otherrefnum") == number]
        return open_amounts(documents)[mine[0]] if mine else None

    accounts = {"accounts_receivable": "1100", "deferred_revenue": "4000", "tax_liability": "7000", "cash": "7000"}
    return DetailBench(bench, accounts, open_amount)


class _OverSuiteTalk(HttpErpConformance, DetailConformance):
    mode: str

    @pytest.fixture
    def account(self, tmp_path: Path) -> Iterator[Account]:
        with running(tmp_path) as account:
            yield account

    @pytest.fixture
    def bench(self, account: Account) -> ErpBench:
        return bench_of(account, self.mode)

    @pytest.fixture
    def detail(self, account: Account, bench: ErpBench) -> DetailBench:
        return detail_of(account, bench)


class TestNetSuite(_OverSuiteTalk):
    mode = "sync"


class TestNetSuiteByJobs(_OverSuiteTalk):
    mode = "async"
