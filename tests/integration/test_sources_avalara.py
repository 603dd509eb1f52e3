"""The tax source against the simulator, with the vendor's client inside: ranges, paging, versions, limits."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sources_support import Lander, ScriptedServer, write_world

from demo.simulators.avalara import AvalaraApp, TaxLogin
from demo.simulators.faults import Fault, Weather
from demo.simulators.server import LoopbackServer
from demo.simulators.tables import Instance
from revenue_assets.sources.avalara import AvalaraSource
from revenue_assets.sources.base import PaginationError, Source, SourceError, SourceUnavailable

NOW = dt.datetime(2026, 11, 1, 3, tzinfo=dt.UTC)
LICENSE = "canary-license-key"
CREDENTIALS = {"account": "1100012345", "license": LICENSE}


def document(n: int, company: str = "US", day: int = 0, **more: Any) -> dict[str, Any]:
    date = dt.date(2026, 10, 1) - dt.timedelta(days=day)
    body = {"id": 9_000_000 + n, "code": f"in_{n:04d}", "companyCode": company, "type": "SalesInvoice"}
    body |= {"status": "Committed", "date": date.isoformat(), "modifiedDate": f"{date}T10:00:00"}
    body |= {"currencyCode": "USD", "totalAmount": 100.0, "totalTax": 8.25, "version": 1}
    return body | {"lines": [{"id": n, "lineNumber": "1", "tax": 8.25, "details": [{"id": n, "rate": 0.0825}]}]} | more


def serve(folder: Path, documents: list[Any], weather: Weather | None = None) -> Iterator[str]:
    write_world(folder, {"transaction": documents})
    server = LoopbackServer(AvalaraApp(Instance(folder), TaxLogin("1100012345", LICENSE), weather or Weather()))
    server.start()
    try:
        yield server.base_url
    finally:
        server.stop()


def engine(url: str, *companies: str) -> AvalaraSource:
    options = {"companies": list(companies or ("US",))}
    return AvalaraSource("tax", None, url, CREDENTIALS, options, sleep=lambda _: None)


@pytest.fixture
def lander(tmp_path: Path) -> Lander:
    return Lander(tmp_path / "home")


def test_all_companies_and_pages_land_with_details_and_only_once(tmp_path: Path, lander: Lander) -> None:
    documents = [document(n, day=n % 400) for n in range(1203)] + [document(5000, "DE", day=300)]
    for url in serve(tmp_path / "world", documents):
        source = engine(url, "US", "DE")
        assert isinstance(source, Source)
        first = lander.land(source, source.OBJECTS, NOW)["transaction"]
        second = lander.land(engine(url, "US", "DE"), source.OBJECTS, NOW + dt.timedelta(hours=1))["transaction"]
    assert (first.rows_landed, second.rows_landed, second.batches) == (1204, 0, [])
    assert second.rows_read < 10
    assert first.batches[0].control_totals["amounts"]["totalTax"] == {"usd": "9933.00"}
    landed = lander.latest("tax", "transaction")["DE:in_5000:SalesInvoice:1"]
    assert landed["lines"][0]["details"][0]["rate"] == 0.0825


def test_adjusted_document_lands_as_a_new_version_beside_the_old(tmp_path: Path, lander: Lander) -> None:
    for url in serve(tmp_path / "before", [document(1)]):
        lander.land(engine(url), ["transaction"], NOW)
    newer = document(2, code="in_0001", version=2, modifiedDate="2026-10-20T10:00:00")
    old = document(1, status="Adjusted", modifiedDate="2026-10-20T10:00:00")
    for url in serve(tmp_path / "after", [old, newer]):
        result = lander.land(engine(url), ["transaction"], NOW + dt.timedelta(hours=1))["transaction"]
    assert result.rows_landed == 2
    latest = lander.latest("tax", "transaction")
    assert {key: row["status"] for key, row in latest.items()} == {
        "US:in_0001:SalesInvoice:1": "Adjusted",
        "US:in_0001:SalesInvoice:2": "Committed",
    }


def test_a_stamp_that_goes_backwards_within_the_overlap_is_kept(tmp_path: Path, lander: Lander) -> None:
    for url in serve(tmp_path / "before", [document(1, modifiedDate="2026-10-20T10:00:00")]):
        lander.land(engine(url), ["transaction"], NOW)
    late = document(2, modifiedDate="2026-10-20T09:55:00")
    for url in serve(tmp_path / "after", [document(1, modifiedDate="2026-10-20T10:00:00"), late]):
        result = lander.land(engine(url), ["transaction"], NOW)["transaction"]
    assert result.rows_landed == 1


def test_faults_on_the_way_lose_nothing(tmp_path: Path, lander: Lander) -> None:
    weather = Weather([Fault(429, first=2, every=5, times=2, retry_after="1"), Fault(503, first=4, times=1)])
    for url in serve(tmp_path / "world", [document(n) for n in range(1100)], weather):
        result = lander.land(engine(url), ["transaction"], NOW)["transaction"]
    assert result.rows_landed == 1100
    assert weather.faults[0].hits + weather.faults[1].hits >= 2


@pytest.mark.parametrize("kind", ["same_cursor", "empty_page"])
def test_broken_pages_fail_the_run_and_save_no_cursor(tmp_path: Path, lander: Lander, kind: str) -> None:
    weather = Weather([Fault(kind, path="/transactions")])
    for url in serve(tmp_path / "world", [document(n) for n in range(1100)], weather):
        with pytest.raises(PaginationError):
            lander.land(engine(url), ["transaction"], NOW)
    assert lander.cursors.get("tax", "transaction") is None


def test_retry_after_of_a_day_gives_the_slot_back(tmp_path: Path, lander: Lander) -> None:
    weather = Weather([Fault(429, retry_after="86400")])
    for url in serve(tmp_path / "world", [document(1)], weather):
        with pytest.raises(SourceUnavailable, match="wait 86400 s"):
            lander.land(engine(url), ["transaction"], NOW)
    assert weather.faults[0].seen == 1


def test_every_request_names_a_date_range_and_errors_hold_no_key(lander: Lander) -> None:
    body = json.dumps({"error": {"code": "x", "message": f"{LICENSE} " + "y" * 50_000}})
    with ScriptedServer(lambda *_: (400, {}, body)) as server:
        with pytest.raises(SourceError) as caught:
            lander.land(engine(server.base_url), ["transaction"], NOW)
        [(_, _, query, _)] = server.asked
    assert "modifiedDate ge '2000-01-01'" in query["$filter"][0]
    assert LICENSE not in str(caught.value)
    assert len(str(caught.value)) < 5000


def test_fewer_rows_than_the_vendor_counts_is_refused(lander: Lander) -> None:
    page = json.dumps({"@recordsetCount": 3, "value": [document(1)]})
    with ScriptedServer(lambda *_: (200, {}, page)) as server, pytest.raises(PaginationError, match="circle"):
        lander.land(engine(server.base_url), ["transaction"], NOW)


def test_wrong_licence_is_refused(tmp_path: Path, lander: Lander) -> None:
    for url in serve(tmp_path / "world", [document(1)]):
        wrong = AvalaraSource(
            "tax", None, url, {"account": "1100012345", "license": "wrong-key"}, {"companies": ["US"]}
        )
        with pytest.raises(SourceError, match="HTTP 401"):
            lander.land(wrong, ["transaction"], NOW)
