"""The conformance suite over a real Tryton."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import replace

import httpx
import psycopg2
import pytest
import stamina
from erp_fixture import DETAIL_COMPANY, EXPONENTS, ErpServer

from revenue_assets.posting.erp.tryton import TrytonErp
from revenue_assets.testing.erp_bench import ErpBench, Fault, FaultyTransport
from revenue_assets.testing.erp_conformance import HttpErpConformance
from revenue_assets.testing.erp_detail_conformance import DetailBench, DetailConformance

COMPANY = "Meridian Inc"
PERIODS = {"open": "reopen", "closed": "close"}


def is_write(request: httpx.Request) -> bool:
    return b'"model.account.move.create"' in request.content


@pytest.fixture(autouse=True)
def _no_waiting() -> Iterator[None]:
    """What the client would try again by itself is a failure at once."""
    with stamina.set_testing(True, attempts=1):
        yield


ROLES = {"accounts_receivable": "411000", "deferred_revenue": "487000", "tax_liability": "445700", "cash": "511000"}


def selected(server: ErpServer, statement: str, *values: object) -> list[tuple]:
    """Rows of the ERP's own database."""
    connection = psycopg2.connect(server.erp.dsn)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(statement, values)
            return cursor.fetchall()
    finally:
        connection.close()


class TestTryton(HttpErpConformance, DetailConformance):
    @pytest.fixture
    def detail(self, erp_server: ErpServer, bench: ErpBench) -> DetailBench:
        def copies(keys: Sequence[str]) -> dict[str, int]:
            query = (
                "select description, count(*) from (select description from account_invoice union all "
                "select description from account_move where coalesce(origin, '') not like 'account.invoice,%%') as d "
                "where description = any(%s) group by 1"
            )
            return {key: int(count) for key, count in selected(erp_server, query, list(keys))}

        def open_amount(number: str) -> int | None:
            with erp_server.admin() as admin:
                rows = admin.search_read(
                    "account.invoice", [["reference", "=", number], ["total_amount", ">", 0]], ["amount_to_pay"], {}
                )
            return int(rows[0]["amount_to_pay"] * 100) if rows else None

        accounts = tuple(ROLES.values())[:3]
        company = replace(bench, company=DETAIL_COMPANY, currency="EUR", accounts=accounts, foreign=(), copies=copies)
        return DetailBench(company, ROLES, open_amount)

    @pytest.fixture
    def bench(self, erp_server: ErpServer) -> ErpBench:
        def rows(statement: str, *values: object) -> list[tuple]:
            return selected(erp_server, statement, *values)

        def copies(keys: Sequence[str]) -> dict[str, int]:
            query = "select description, count(*) from account_move where description = any(%s) group by 1"
            return {key: int(count) for key, count in rows(query, list(keys))}

        def alter(number: str) -> None:
            query = (
                "update account_move_line set debit = debit + case when debit > 0 then 0.01 else 0 end, "
                "credit = credit + case when credit > 0 then 0.01 else 0 end where id in ("
                "select min(id) from account_move_line where move = %s group by debit > 0) returning id"
            )
            assert len(rows(query, int(number))) == 2

        def origin(number: str) -> str | None:
            ((text,),) = rows("select origin from account_move where id = %s", int(number))
            return text and text.removeprefix("account.move,")

        def set_period(name: str, state: str) -> None:
            with erp_server.admin() as admin:
                admin.call(f"model.account.period.{PERIODS[state]}", [periods[name]], {"company": 1})

        def faulty(fault: Fault) -> TrytonErp:
            return erp_server.adapter(transport=FaultyTransport(fault, is_write))

        periods = erp_server.setup.periods[COMPANY]
        return ErpBench(
            company=COMPANY, currency="USD", exponents=EXPONENTS, accounts=("1100", "2100", "2200"),
            date=dt.date(2026, 5, 31), closable="2025-05", port=erp_server.adapter, copies=copies, alter=alter,
            origin=origin, set_period=set_period, foreign=("EUR", "JPY"), faulty=faulty,
        )  # fmt: skip
