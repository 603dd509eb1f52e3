"""Read-back over a real Tryton: what lands is what the ERP holds, and a change behind its back is seen."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from decimal import Decimal

import httpx
import psycopg2
import pytest
import stamina
from erp_fixture import ErpServer, new_key

from revenue_assets.landing.control import amounts_of
from revenue_assets.posting.erp.port import Journal, Line
from revenue_assets.posting.erp.tryton import TrytonErp
from revenue_assets.sources.base import Page, Source, SourceError, SourceUnavailable
from revenue_assets.sources.read_back import CONTRACTS
from revenue_assets.sources.tryton import TrytonSource

NOW = dt.datetime(2026, 11, 1, 6, 0, tzinfo=dt.UTC)
ENTITIES = {"US": "Meridian Inc", "UK": "Meridian Ltd", "DE": "Meridian GmbH"}


@pytest.fixture
def erp(erp_server: ErpServer) -> Iterator[TrytonErp]:
    adapter = erp_server.adapter()
    yield adapter
    adapter.close()


def source(server: ErpServer, **options: object) -> TrytonSource:
    erp = server.erp
    return TrytonSource(
        "erp", None, erp.base_url, {"user": erp.user, "password": erp.password},
        {"database": erp.database, "companies": ENTITIES}, **options,  # type: ignore[arg-type]
    )  # fmt: skip


def read(pages: list[Page]) -> dict[str, dict]:  # type: ignore[type-arg]
    """Record id -> value; no id twice in one pull."""
    records = [record for page in pages for record in page.records]
    found = {record.record_id: json.loads(record.raw) for record in records}
    assert len(found) == len(records)
    return found


def journal(date: dt.date, amount: int = 1_234, key: str | None = None) -> Journal:
    lines = (Line(1, "1100", amount, 0, "EUR", amount - 1, "receivable"), Line(2, "2100", 0, amount, "EUR", 1 - amount))
    return Journal(key or new_key("read"), "Meridian Inc", date, f"{date:%Y-%m}", "USD", lines)


def test_the_source_is_a_source(erp_server: ErpServer) -> None:
    assert isinstance(source(erp_server), Source)
    with pytest.raises(SourceError, match="no object"):
        list(source(erp_server).pull("invoice", None, NOW))


def test_a_posted_journal_lands_with_every_line(erp: TrytonErp, erp_server: ErpServer) -> None:
    document = journal(dt.date(2026, 6, 30))
    (outcome,) = erp.submit([document])
    pages = list(source(erp_server).pull("move", None, NOW))
    move = read(pages)[outcome.document_id or ""]
    assert (move["number"], move["description"], move["state"]) == (outcome.number, document.key, "posted")
    assert (move["date"], move["period"], move["entity_id"], move["journal"]) == ("2026-06-30", "2026-06", "US", "REV")
    assert [
        (x["account_code"], Decimal(x["debit"]), Decimal(x["credit"]), Decimal(x["amount_second_currency"]))
        for x in move["lines"]
    ] == [("1100", Decimal("12.34"), 0, Decimal("12.33")), ("2100", 0, Decimal("12.34"), Decimal("-12.33"))]
    assert [x["second_currency"] for x in move["lines"]] == ["EUR", "EUR"]
    assert pages[-1].complete
    assert pages[-1].control["expected_rows"] == len(read(pages))


def test_every_record_keeps_its_contract(erp: TrytonErp, erp_server: ErpServer) -> None:
    erp.submit([journal(dt.date(2026, 6, 30))])
    for name in TrytonSource.OBJECTS:
        records = read(list(source(erp_server).pull(name, None, NOW)))
        assert records
        for value in records.values():
            assert set(CONTRACTS[name].required) <= set(value)
            amounts_of(value, CONTRACTS[name])


def test_balances_are_the_sums_of_the_posted_lines(erp: TrytonErp, erp_server: ErpServer) -> None:
    erp.submit([journal(dt.date(2026, 8, 31), 100), journal(dt.date(2026, 8, 31), 50)])
    reader = source(erp_server)
    every = read(list(reader.pull("account_balance", None, NOW)))
    balances = {key: value for key, value in every.items() if value["period"] == "2026-08"}
    sums: dict[str, Decimal] = {}
    for move in read(list(reader.pull("move", None, NOW))).values():
        for line in move["lines"] if move["state"] == "posted" and move["period"] == "2026-08" else []:
            key = f"{move['entity_id']}:{move['period']}:{line['account_code']}"
            sums[key] = sums.get(key, Decimal(0)) + Decimal(line["debit"]) - Decimal(line["credit"])
    assert {key: Decimal(value["balance"]) for key, value in balances.items()} == sums
    assert balances["US:2026-08:1100"]["debit"] == "1.50"


def test_periods_land_with_their_state(erp_server: ErpServer) -> None:
    period = erp_server.setup.periods["Meridian GmbH"]["2025-01"]
    with erp_server.admin() as admin:
        admin.call("model.account.period.close", [period], {"company": 3})
        periods = read(list(source(erp_server).pull("period", None, NOW)))
        admin.call("model.account.period.reopen", [period], {"company": 3})
    assert (periods["DE:2025-01"]["state"], periods["UK:2025-01"]["state"]) == ("closed", "open")
    assert (periods["DE:2025-01"]["start_date"], periods["DE:2025-01"]["end_date"]) == ("2025-01-01", "2025-01-31")
    assert len(periods) == 3 * 24


def alter(server: ErpServer, document_id: str | None) -> None:
    connection = psycopg2.connect(server.erp.dsn)
    with connection, connection.cursor() as cursor:
        cursor.execute("update account_move_line set debit = debit + 1 where move = %s and debit > 0", (document_id,))
        assert cursor.rowcount == 1
    connection.close()


def test_a_change_in_the_database_is_seen_though_no_write_date_moved(erp: TrytonErp, erp_server: ErpServer) -> None:
    """In an open period at once, even for books too large to be read in full each time."""
    (outcome,) = erp.submit([journal(dt.date(2026, 6, 30))])
    reader = source(erp_server, full_rows_max=0)
    cursor = list(reader.pull("move", None, NOW))[-1].cursor
    alter(erp_server, outcome.document_id)
    later = list(reader.pull("move", cursor, NOW + dt.timedelta(hours=1)))
    assert read(later)[outcome.document_id or ""]["total_debit"] == "13.34"
    assert not later[-1].complete


def test_a_closed_period_is_read_again_daily_or_when_a_move_changed(erp: TrytonErp, erp_server: ErpServer) -> None:
    """The server's clock writes the change dates, so the cursor is set as if the last change were long ago."""
    (outcome,) = erp.submit([journal(dt.date(2025, 5, 31))])
    period = erp_server.setup.periods["Meridian Inc"]["2025-05"]
    reader = source(erp_server, full_rows_max=0)
    with erp_server.admin() as admin:
        admin.call("model.account.period.close", [period], {"company": 1})
        try:
            cursor = list(reader.pull("move", None, NOW))[-1].cursor
            assert outcome.document_id in read(list(reader.pull("move", cursor, NOW)))  # changed a moment ago
            settled = cursor | {"changed_at": "2100-01-01T00:00:00"}
            alter(erp_server, outcome.document_id)
            assert outcome.document_id not in read(list(reader.pull("move", settled, NOW + dt.timedelta(hours=23))))
            daily = list(reader.pull("move", settled, NOW + dt.timedelta(hours=24)))
            assert read(daily)[outcome.document_id or ""]["total_debit"] == "13.34"
            assert daily[-1].complete
        finally:
            admin.call("model.account.period.reopen", [period], {"company": 1})


def test_pages_are_cut_and_none_is_lost(erp: TrytonErp, erp_server: ErpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    erp.submit([journal(dt.date(2026, 6, 30)) for _ in range(5)])
    whole = read(list(source(erp_server).pull("move", None, NOW)))
    monkeypatch.setattr("revenue_assets.sources.tryton.PAGE_ROWS", 2)
    pages = list(source(erp_server).pull("move", None, NOW))
    assert len(pages) > 3
    assert read(pages) == whole


def test_a_company_the_erp_does_not_show_is_an_error(erp_server: ErpServer) -> None:
    erp = erp_server.erp
    stranger = TrytonSource(
        "erp", None, erp.base_url, {"user": erp.user, "password": erp.password},
        {"database": erp.database, "companies": {**ENTITIES, "FR": "Meridian SA"}},
    )  # fmt: skip
    with pytest.raises(SourceError, match="Meridian SA"):
        list(stranger.pull("move", None, NOW))


@pytest.mark.parametrize(
    ("status", "error"), [(401, SourceError), (503, SourceUnavailable), (429, SourceUnavailable), (422, SourceError)]
)
def test_an_erp_that_cannot_be_read_is_said_so(erp_server: ErpServer, status: int, error: type[SourceError]) -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(status, text="no"))
    with stamina.set_testing(True, attempts=2), pytest.raises(error) as caught:
        list(source(erp_server, transport=transport).pull("move", None, NOW))
    assert type(caught.value) is error
    assert erp_server.erp.password not in str(caught.value)
