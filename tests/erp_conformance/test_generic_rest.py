"""The conformance suite over the generic REST adapter and its emulated ledger, synchronous and by jobs."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from emulated import ACCOUNTS, COMPANY, EXPONENTS, SETUP, alter, copies_of

from demo.erp_emulators import receivables
from demo.erp_emulators.face import serving
from demo.erp_emulators.rest import TOKEN, RestFace, RestJobsFace
from revenue_assets.domain.config_erp_generic import GenericOptions
from revenue_assets.posting.erp.generic_rest import GenericRestErp
from revenue_assets.testing.erp_bench import ErpBench, Fault, FaultyTransport
from revenue_assets.testing.erp_conformance import HttpErpConformance
from revenue_assets.testing.erp_detail_conformance import DetailBench, DetailConformance


def bench_of(face: RestFace, url: str) -> ErpBench:
    options = GenericOptions(
        mode="async" if face.asynchronous else "sync", kinds=["journal", "invoice", "credit_note", "cash_application"],
        masters=["customer", "item"],
    )  # fmt: skip

    def port(transport: httpx.BaseTransport | None = None) -> GenericRestErp:
        return GenericRestErp(url, {"token": TOKEN}, options, EXPONENTS, transport=transport)

    def faulty(fault: Fault) -> GenericRestErp:
        return port(FaultyTransport(fault, lambda request: request.method == "POST"))

    return ErpBench(
        company=COMPANY, currency="USD", exponents=EXPONENTS, accounts=ACCOUNTS, date=dt.date(2026, 3, 31),
        closable="2026-01", port=port, copies=lambda keys: copies_of(face.erp, keys),
        alter=lambda number: alter(face.erp, number), origin=lambda number: face.erp.one(number).entry.reverses,
        set_period=lambda name, state: face.erp.ledger.set_period(COMPANY, name, state), foreign=("EUR", "JPY", "KWD"),
        settle=face.erp.settle, faulty=faulty,
    )  # fmt: skip


def detail_of(face: RestFace, bench: ErpBench) -> DetailBench:
    def open_amount(number: str) -> int | None:
        return receivables.open_amounts(face.erp.ledger, COMPANY).get((number, "USD"))

    accounts = {"accounts_receivable": "1100", "deferred_revenue": "4000", "tax_liability": "7000", "cash": "7000"}
    return DetailBench(bench, accounts, open_amount)


class _OverRest(HttpErpConformance, DetailConformance):
    face_class: type[RestFace]

    @pytest.fixture
    def face(self, tmp_path: Path) -> RestFace:
        face = self.face_class(tmp_path)
        face.setup(**SETUP)
        return face

    @pytest.fixture
    def bench(self, face: RestFace) -> Iterator[ErpBench]:
        with serving(face, log=print) as url:
            yield bench_of(face, url)

    @pytest.fixture
    def detail(self, face: RestFace, bench: ErpBench) -> DetailBench:
        return detail_of(face, bench)


class TestGenericRest(_OverRest):
    face_class = RestFace


class TestGenericRestByJobs(_OverRest):
    face_class = RestJobsFace
