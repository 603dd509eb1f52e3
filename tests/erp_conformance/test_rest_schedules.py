"""The schedule suite over the generic REST adapter: a ledger that keeps versions, and one that takes whatever comes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from emulated import ACCOUNTS, COMPANY, EXPONENTS, SETUP

from demo.erp_emulators.face import serving
from demo.erp_emulators.rest import TOKEN
from demo.erp_emulators.rest_schedules import RestSchedulesFace
from revenue_assets.domain.config_erp_generic import GenericOptions
from revenue_assets.posting.erp.generic_schedules import SchedulingRestErp
from revenue_assets.testing.erp_bench import Fault, FaultyTransport
from revenue_assets.testing.erp_schedule_conformance import ScheduleBench, ScheduleConformance

OPTIONS = GenericOptions(revenue_schedules=True)


def a_cent_more(record: dict[str, Any]) -> None:
    record["parts"][-1]["amount"] = "84.95"


def bench_of(face: RestSchedulesFace, url: str) -> ScheduleBench:
    def port(transport: httpx.BaseTransport | None = None) -> SchedulingRestErp:
        return SchedulingRestErp(url, {"token": TOKEN}, OPTIONS, EXPONENTS, transport=transport)

    def faulty(fault: Fault) -> SchedulingRestErp:
        return port(FaultyTransport(fault, lambda request: request.method == "PUT"))

    return ScheduleBench(
        company=COMPANY, accounts=ACCOUNTS, port=port, faulty=faulty,
        recognise=lambda day: print(face.recognise(COMPANY, day.isoformat())),
        set_period=lambda name, state: face.erp.ledger.set_period(COMPANY, name, state),
        alter=lambda key: face.rewrite(COMPANY, key, a_cent_more), settle=face.settle,
    )  # fmt: skip


class TestRestSchedules(ScheduleConformance):
    keeps_versions = True

    @pytest.fixture
    def face(self, tmp_path: Path) -> RestSchedulesFace:
        face = RestSchedulesFace(tmp_path)
        face.setup(**SETUP)
        face.keeps_versions = self.keeps_versions
        return face

    @pytest.fixture
    def schedules(self, face: RestSchedulesFace) -> Iterator[ScheduleBench]:
        with serving(face, log=print) as url:
            yield bench_of(face, url)

    def test_the_ledger_books_what_the_schedule_says(self, face: RestSchedulesFace, schedules: ScheduleBench) -> None:
        port, one = schedules.port(), schedules.schedule()
        assert port.put_schedules([one])[0].failure is None
        assert face.recognise(COMPANY, "2026-04-30") == 2
        balances = {b.account_code: b.balance for b in port.balances(COMPANY, "2026-04")}
        assert balances == {one.balance_account: 7_671, one.revenue_account: -7_671}


class TestALedgerThatKeepsNoVersions(TestRestSchedules):
    """One writer and a look before each put keep the duties."""

    keeps_versions = False
