"""The billing source against the simulator, with the vendor's client inside; bad days by a scripted server."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sources_support import Lander, ScriptedServer, write_world

from demo.simulators.faults import Fault, Weather
from demo.simulators.server import LoopbackServer
from demo.simulators.stripe import StripeApp
from demo.simulators.tables import Instance
from revenue_assets.sources.base import PaginationError, Source, SourceError, SourceUnavailable
from revenue_assets.sources.stripe.source import StripeSource

NOW = dt.datetime(2026, 11, 1, 3, tzinfo=dt.UTC)
KEY = "sk_test_canary1234567890"  # pragma: allowlist secret
DAY = 86_400
END = int(dt.datetime(2026, 10, 31, 12, tzinfo=dt.UTC).timestamp())


def invoice(n: int, lines: int = 1, **more: Any) -> dict[str, Any]:
    rows = [{"id": f"il_{n}_{k}", "object": "line_item", "amount": 100 + k} for k in range(lines)]
    body = {"id": f"in_{n:04d}", "object": "invoice", "created": END - n * DAY, "currency": "usd", "status": "open"}
    body |= {"customer": "cus_1", "total": 100, "amount_due": 100, "metadata": {}}
    return body | {"lines": {"object": "list", "data": rows, "has_more": False, "url": "/x"}} | more


def event(n: int, kind: str, changed: dict[str, Any], at: int = END) -> dict[str, Any]:
    return {"id": f"evt_{n}", "object": "event", "type": kind, "created": at, "data": {"object": changed}}


def subscription(price: dict[str, Any]) -> dict[str, Any]:
    items = {"object": "list", "data": [{"id": "si_1", "price": price}], "has_more": False, "url": "/x"}
    return {
        "id": "sub_1",
        "object": "subscription",
        "created": END - 90 * DAY,
        "start_date": END - 90 * DAY,
        "customer": "cus_1",
        "status": "canceled",
        "currency": "usd",
        "items": items,
    }


METERED = {"id": "price_1", "object": "price", "recurring": {"interval": "month", "meter": "mtr_1"}, "currency": "usd"}


def world() -> dict[str, list[Any]]:
    def txn(n: int, kind: str, **more: Any) -> dict[str, Any]:
        body = {"id": f"txn_{n}", "object": "balance_transaction", "created": END - 40 * DAY + n, "type": kind}
        return body | {"amount": 1000, "fee": 30, "net": 970, "currency": "usd", "exchange_rate": None} | more

    payout = {"id": "po_1", "object": "payout", "created": END - 30 * DAY, "arrival_date": END, "amount": 1940}
    return {
        "customer": [{"id": "cus_1", "object": "customer", "created": END - 100 * DAY, "email": "a@b.example"}],
        "product": [{"id": "prod_1", "object": "product", "created": END - 100 * DAY, "name": "Usage"}],
        "price": [
            METERED
            | {"created": END - 100 * DAY, "product": "prod_1", "unit_amount": None}
            | {"tiers": [{"up_to": 10, "unit_amount": 0}, {"up_to": None, "unit_amount_decimal": "1.5"}]}
        ],
        "subscription": [subscription(METERED)],
        "invoice": [invoice(n) for n in range(250)] + [invoice(900, lines=23)],
        "balance_transaction": [
            json.dumps(txn(1, "charge")).replace('"exchange_rate": null', '"exchange_rate": 1.0900'),
            txn(2, "charge"),
            txn(3, "payout", source="po_1", amount=-1940, fee=0, net=-1940),
        ],
        "payout": [payout | {"currency": "usd", "status": "paid", "automatic": True}],
        "payout_member": [{"id": f"po_1:txn_{n}", "payout": "po_1", "balance_transaction": f"txn_{n}"} for n in (1, 2)],
        "meter": [{"id": "mtr_1", "object": "billing.meter", "event_name": "api", "created": END, "status": "active"}],
        "meter_event_summary": [
            {
                "id": f"mtrusg_{n}",
                "object": "billing.meter_event_summary",
                "aggregated_value": 5.0,
                "start_time": END // DAY * DAY - n * DAY,
                "end_time": END // DAY * DAY - (n - 1) * DAY,
                "meter": "mtr_1",
                "customer": "cus_1",
                "livemode": False,
            }
            for n in range(1, 31)
        ],
        "balance_report": [
            {
                "id": f"2026-{m:02d}:usd",
                "period": f"2026-{m:02d}",
                "currency": "usd",
                "starting_balance": f"{m}.00",
                "ending_balance": f"{m + 1}.00",
            }
            for m in (9, 10)
        ],
        "event": [event(1, "customer.created", {"id": "cus_1", "object": "customer"}, END - 3 * DAY)],
    }


@dataclass
class Vendor:
    """The simulator serving a world that a test may change."""

    folder: Path
    weather: Weather
    url: str = ""

    def source(self, **options: Any) -> StripeSource:
        return StripeSource("billing_us", "US", self.url, {"api_key": KEY}, options, sleep=lambda _: None)


def serve(folder: Path, objects: dict[str, list[Any]], weather: Weather | None = None) -> Iterator[Vendor]:
    write_world(folder, objects)
    vendor = Vendor(folder, weather or Weather())
    server = LoopbackServer(StripeApp({KEY: Instance(folder)}, vendor.weather, now=END))
    server.start()
    vendor.url = server.base_url
    try:
        yield vendor
    finally:
        server.stop()


@pytest.fixture
def vendor(tmp_path: Path) -> Iterator[Vendor]:
    yield from serve(tmp_path / "world", world())


@pytest.fixture
def lander(tmp_path: Path) -> Lander:
    return Lander(tmp_path / "home")


def test_every_object_lands_and_a_second_run_lands_nothing(vendor: Vendor, lander: Lander) -> None:
    source = vendor.source()
    assert isinstance(source, Source)
    first = lander.land(source, source.OBJECTS, NOW)
    counts = {name: result.rows_landed for name, result in first.items() if result.rows_landed}
    assert counts == {
        "customer": 1,
        "product": 1,
        "price": 1,
        "subscription": 1,
        "invoice": 251,
        "payout": 1,
        "balance_transaction": 3,
        "meter": 1,
        "event": 1,
        "payout_member": 3,
        "meter_event_summary": 30,
        "balance_report": 2,
    }
    assert all(result.rows_quarantined == 0 for result in first.values())
    assert all(len(result.batches) == 1 for result in first.values())
    second = lander.land(source, source.OBJECTS, NOW + dt.timedelta(hours=1))
    assert {name for name, result in second.items() if result.rows_landed or result.batches} == set()
    assert second["invoice"].rows_read < 60  # the window, not the history


def test_text_of_a_record_is_kept_as_received(vendor: Vendor, lander: Lander) -> None:
    lander.land(vendor.source(), ["balance_transaction"], NOW)
    assert '"exchange_rate": 1.0900' in lander.latest_raw("billing_us", "balance_transaction")["txn_1"]


def test_long_invoice_lands_with_all_lines(vendor: Vendor, lander: Lander) -> None:
    lander.land(vendor.source(), ["invoice"], NOW)
    lines = lander.latest("billing_us", "invoice")["in_0900"]["lines"]
    assert [row["id"] for row in lines["data"]] == [f"il_900_{k}" for k in range(23)]
    assert lines["has_more"] is False


def test_tiers_usage_and_payout_members(vendor: Vendor, lander: Lander) -> None:
    lander.land(vendor.source(), ["price", "meter_event_summary", "payout_member"], NOW)
    assert [t["up_to"] for t in lander.latest("billing_us", "price")["price_1"]["tiers"]] == [10, None]
    usage = lander.latest("billing_us", "meter_event_summary")
    assert all((row["customer"], row["meter"]) == ("cus_1", "mtr_1") for row in usage.values())
    assert len(usage) == 30
    members = lander.latest("billing_us", "payout_member")
    assert members["po_1:txn_1"] == {"payout": "po_1", "balance_transaction": "txn_1"}


@pytest.mark.parametrize("zone", ["Etc/UTC", "America/New_York", "Europe/Berlin"])
def test_balance_report_amounts_are_decimal_text(vendor: Vendor, lander: Lander, zone: str) -> None:
    source = vendor.source(time_zones={"US": zone})
    assert lander.land(source, ["balance_report"], NOW + dt.timedelta(days=1))["balance_report"].rows_landed == 2
    assert lander.latest("billing_us", "balance_report")["2026-10:usd"] == {
        "period": "2026-10",
        "currency": "usd",
        "starting_balance": "10.00",
        "ending_balance": "11.00",
    }


def test_a_report_that_is_never_made_gives_the_slot_back(lander: Lander) -> None:
    kind = {"data_available_start": END - 60 * DAY, "data_available_end": END}
    waited: list[float] = []

    def reply(method: str, path: str, query: Any, headers: Any) -> tuple[int, dict[str, str], str]:
        return 200, {}, json.dumps(kind if "report_types" in path else {"id": "frr_1", "status": "pending"})

    with ScriptedServer(reply) as server:
        source = StripeSource("billing_us", "US", server.base_url, {"api_key": KEY}, sleep=waited.append)
        with pytest.raises(SourceUnavailable, match="is not made after 600 s"):
            lander.land(source, ["balance_report"], NOW)
    assert 600 < sum(waited) < 620
    assert len(waited) < 100


def test_control_totals_are_those_of_the_vendor(vendor: Vendor, lander: Lander) -> None:
    result = lander.land(vendor.source(), ["balance_transaction"], NOW)["balance_transaction"]
    assert result.batches[0].control_totals["amounts"] == {
        "amount": {"usd": "60"},
        "fee": {"usd": "60"},
        "net": {"usd": "0"},
    }


def test_old_object_that_an_event_names_is_fetched_again(tmp_path: Path, lander: Lander) -> None:
    objects = world()
    for vendor in serve(tmp_path / "before", objects):
        lander.land(vendor.source(), ["invoice"], NOW)
    objects["invoice"][200] = invoice(200, status="void")
    objects["invoice"].pop(249)
    objects["event"] += [event(2, "invoice.voided", {"id": "in_0200"}), event(3, "invoice.deleted", {"id": "in_0249"})]
    for vendor in serve(tmp_path / "after", objects):
        result = lander.land(vendor.source(), ["invoice"], NOW + dt.timedelta(hours=2))["invoice"]
    assert (result.rows_landed, result.rows_deleted) == (2, 1)
    latest = lander.latest("billing_us", "invoice")
    assert latest["in_0200"]["status"] == "void"
    assert latest["in_0249"] == {"id": "in_0249", "deleted": True}


def test_price_fetched_again_keeps_its_tiers(tmp_path: Path, lander: Lander) -> None:
    objects = world()
    newer = {"id": "price_2", "object": "price", "currency": "usd", "product": "prod_1", "unit_amount": 5}
    objects["price"].append(newer | {"created": END})
    for vendor in serve(tmp_path / "before", objects):
        lander.land(vendor.source(), ["price"], NOW)
    objects["price"][0] |= {"nickname": "renamed"}
    objects["event"].append(event(2, "price.updated", {"id": "price_1"}))
    for vendor in serve(tmp_path / "after", objects):
        result = lander.land(vendor.source(), ["price"], NOW + dt.timedelta(hours=2))["price"]
    assert result.rows_landed == 1
    landed = lander.latest("billing_us", "price")["price_1"]
    assert (landed["nickname"], len(landed["tiers"])) == ("renamed", 2)


def test_full_listing_sees_a_silent_deletion(tmp_path: Path, lander: Lander) -> None:
    objects = world()
    for vendor in serve(tmp_path / "before", objects):
        lander.land(vendor.source(), ["invoice"], NOW)
    objects["invoice"].pop(150)
    for vendor in serve(tmp_path / "after", objects):
        soon = lander.land(vendor.source(), ["invoice"], NOW + dt.timedelta(days=1))["invoice"]
        later = lander.land(vendor.source(), ["invoice"], NOW + dt.timedelta(days=8))["invoice"]
    assert (soon.rows_deleted, later.rows_deleted) == (0, 1)
    assert lander.latest("billing_us", "invoice")["in_0150"] == {"id": "in_0150", "deleted": True}


def test_rate_limits_and_server_errors_on_the_way_lose_nothing(tmp_path: Path, lander: Lander) -> None:
    weather = Weather([Fault(429, every=3, times=2, retry_after="1"), Fault(500, first=2, every=50, times=1)])
    for vendor in serve(tmp_path / "world", world(), weather):
        result = lander.land(vendor.source(), ["invoice"], NOW)["invoice"]
    assert result.rows_landed == 251
    assert [fault.hits for fault in weather.faults] == [2, 1]


def test_one_poison_record_harms_only_itself(tmp_path: Path, lander: Lander) -> None:
    objects = world()
    objects["invoice"][7] = json.dumps(invoice(7)).replace('"total": 100', '"total": 100, "total": 900')
    objects["invoice"][8] = invoice(8, total=10.5)
    for vendor in serve(tmp_path / "world", objects):
        result = lander.land(vendor.source(), ["invoice"], NOW)["invoice"]
    assert (result.rows_landed, result.rows_quarantined, result.rows_deleted) == (249, 2, 0)
    reasons = [reason for reason, _ in lander.quarantined("billing_us", "invoice")]
    assert any('key "total" stands twice' in reason for reason in reasons)
    assert any("total is not an integer" in reason for reason in reasons)


def test_empty_page_that_claims_more_is_never_the_end(tmp_path: Path, lander: Lander) -> None:
    weather = Weather([Fault("empty_page", first=2, every=1, path="/v1/invoices")])
    for vendor in serve(tmp_path / "world", world(), weather):
        with pytest.raises(PaginationError, match="claims that more"):
            lander.land(vendor.source(), ["invoice"], NOW)
    assert lander.cursors.get("billing_us", "invoice") is None
    assert weather.faults[0].hits <= 3


def test_the_same_page_again_is_a_loop_and_saves_no_cursor(lander: Lander) -> None:
    body = json.dumps({"object": "list", "data": [{"id": "mtr_1", "event_name": "x"}], "has_more": True})
    with ScriptedServer(lambda *_: (200, {}, body)) as server:
        source = StripeSource("billing_us", "US", server.base_url, {"api_key": KEY})
        with pytest.raises(PaginationError, match="in a circle"):
            lander.land(source, ["meter"], NOW)
    assert len(server.asked) == 2
    assert lander.cursors.get("billing_us", "meter") is None


def test_retry_after_of_a_day_gives_the_slot_back(tmp_path: Path, lander: Lander) -> None:
    weather = Weather([Fault(429, retry_after="86400")])
    for vendor in serve(tmp_path / "world", world(), weather):
        with pytest.raises(SourceUnavailable, match="wait 86400 s") as caught:
            lander.land(vendor.source(), ["customer"], NOW)
    assert caught.value.retry_after == 86_400
    assert weather.faults[0].seen == 1


def test_errors_hold_no_key_and_little_body(lander: Lander) -> None:
    body = json.dumps({"error": {"message": f"bad key {KEY} " + "x" * 100_000, "type": "invalid_request_error"}})
    with ScriptedServer(lambda *_: (401, {}, body)) as server:
        source = StripeSource("billing_us", "US", server.base_url, {"api_key": KEY})
        with pytest.raises(SourceError) as caught:
            lander.land(source, ["customer"], NOW)
    assert KEY not in str(caught.value)
    assert len(str(caught.value)) < 5000
    assert caught.value.__cause__ is None
    assert KEY not in lander.all_text()


def test_hostile_answers_are_refused(lander: Lander) -> None:
    for body in ("[" * 100_000, "<html>", '{"data":[],"data":[],"has_more":false}', '{"data":[{"id":'):
        with ScriptedServer(lambda *_, body=body: (200, {}, body)) as server:
            source = StripeSource("billing_us", "US", server.base_url, {"api_key": KEY}, sleep=lambda _: None)
            with pytest.raises(SourceError):
                lander.land(source, ["meter"], NOW)


def test_the_key_is_never_sent_to_a_host_a_report_names(lander: Lander) -> None:
    other_asked: list[str] = []

    def other(*_: Any) -> tuple[int, dict[str, str], str]:
        other_asked.append("asked")
        return 200, {}, ""

    with ScriptedServer(other) as thief:
        run = {"id": "frr_1", "status": "succeeded", "result": {"url": f"{thief.base_url}/steal"}}
        kind = {"data_available_start": END - 60 * DAY, "data_available_end": END}

        def reply(method: str, path: str, query: Any, headers: Any) -> tuple[int, dict[str, str], str]:
            return 200, {}, json.dumps(kind if "report_types" in path else run)

        with ScriptedServer(reply) as server:
            source = StripeSource("billing_us", "US", server.base_url, {"api_key": KEY})
            with pytest.raises(SourceError, match="unexpected host"):
                lander.land(source, ["balance_report"], NOW)
    assert other_asked == []


@pytest.mark.parametrize("url", ["file:///etc/passwd", "http://example.com", "https://u:p@example.com", "ftp://x"])
def test_addresses_other_than_https_are_refused(url: str) -> None:
    with pytest.raises(SourceError) as caught:
        StripeSource("billing_us", "US", url, {"api_key": KEY})
    assert "u:p" not in str(caught.value)
