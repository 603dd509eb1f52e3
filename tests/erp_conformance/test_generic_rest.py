"""The conformance suite over the generic REST adapter and its emulated ledger, synchronous and by jobs."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from emulated import ACCOUNTS, COMPANY, EXPONENTS, SETUP, alter, copies_of

from demo.erp_emulators.face import serving
from demo.erp_emulators.rest import TOKEN, RestFace, RestJobsFace
from revenue_assets.domain.config_erp_generic import GenericOptions
from revenue_assets.posting.erp.generic_rest import GenericRestErp
from revenue_assets.testing.erp_bench import ErpBench, Fault, FaultyTransport
from revenue_assets.testing.erp_conformance import HttpErpConformance


def bench_of(face: RestFace, url: str) -> ErpBench:
    options = GenericOptions(mode="async" if face.asynchronous else "sync")

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


class TestGenericRest(HttpErpConformance):
    @pytest.fixture
    def bench(self, tmp_path: Path) -> Iterator[ErpBench]:
        face = RestFace(tmp_path)
        face.setup(**SETUP)
        with serving(face, log=print) as url:
            yield bench_of(face, url)


class TestGenericRestByJobs(HttpErpConformance):
    @pytest.fixture
    def bench(self, tmp_path: Path) -> Iterator[ErpBench]:
        face = RestJobsFace(tmp_path)
        face.setup(**SETUP)
        with serving(face, log=print) as url:
            yield bench_of(face, url)
