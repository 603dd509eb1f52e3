"""The billing simulator, driven by the vendor's own client."""

from __future__ import annotations

import base64
import http.client
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import stripe
from simulators_world import DAY, INVOICES, KEY_UK, KEY_US, KEYS, OCTOBER, write_world

from demo.simulators.faults import Fault, RateLimit
from demo.simulators.runtime import Running, serving


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_world(tmp_path_factory.mktemp("sim") / "world")


@pytest.fixture
def running(world: Path) -> Iterator[Running]:
    with serving(world, KEYS, now=OCTOBER + 20 * DAY, log=pytest.fail) as up:
        yield up


@pytest.fixture
def client(running: Running) -> stripe.StripeClient:
    return connect(running)


def connect(running: Running, key: str = KEY_US, retries: int = 0) -> stripe.StripeClient:
    url = running.urls["stripe"]
    return stripe.StripeClient(key, base_addresses={"api": url, "files": url}, max_network_retries=retries)


def get(running: Running, path: str, key: str = KEY_US, **headers: str) -> httpx.Response:
    return httpx.get(running.urls["stripe"] + path, headers={"Authorization": f"Bearer {key}", **headers})


# -- lists


def test_auto_paging_walks_every_invoice_newest_first(client: stripe.StripeClient) -> None:
    invoices = list(client.v1.invoices.list({"limit": 100}).auto_paging_iter())
    assert [invoice.id for invoice in invoices] == [f"in_{n:03d}" for n in reversed(range(INVOICES))]


def test_auto_paging_backwards_returns_chronological_order(client: stripe.StripeClient) -> None:
    page = client.v1.invoices.list({"ending_before": "in_239", "limit": 4})
    assert [invoice.id for invoice in page.auto_paging_iter()] == [f"in_{n:03d}" for n in range(240, INVOICES)]


def test_a_page_has_ten_records_unless_told_otherwise(client: stripe.StripeClient) -> None:
    page = client.v1.invoices.list()
    assert (len(page.data), page.has_more, page.url) == (10, True, "/v1/invoices")
    last = client.v1.invoices.list({"limit": 100, "starting_after": "in_100"})
    assert (len(last.data), last.has_more) == (100, False)


@pytest.mark.parametrize(
    ("bounds", "first", "count"),
    [
        ({"gte": OCTOBER + 3600 * 10, "lt": OCTOBER + 3600 * 20}, "in_019", 10),
        ({"gt": OCTOBER + 3600 * 10, "lte": OCTOBER + 3600 * 20}, "in_020", 10),
        (OCTOBER + 3600 * 5, "in_005", 1),
        ({"lt": OCTOBER}, None, 0),
    ],
)
def test_created_windows_are_exact(client: stripe.StripeClient, bounds: object, first: str, count: int) -> None:
    page = client.v1.invoices.list({"created": bounds, "limit": 100})  # type: ignore[typeddict-item]
    assert [page.data[0].id if page.data else None, len(page.data)] == [first, count]


def test_filters_join_and_page_together(client: stripe.StripeClient) -> None:
    params = {"customer": "cus_a", "status": "open", "created": {"gte": OCTOBER + 3600 * 100}, "limit": 3}
    found = [invoice.id for invoice in client.v1.invoices.list(params).auto_paging_iter()]  # type: ignore[arg-type]
    assert found == [f"in_{n:03d}" for n in reversed(range(100, INVOICES)) if n % 2 and n % 5 == 0]


def test_canceled_subscriptions_are_hidden_unless_asked_for(client: stripe.StripeClient) -> None:
    def ids(**params: str) -> list[str]:
        return [item.id for item in client.v1.subscriptions.list(params).data]  # type: ignore[arg-type]

    assert ids() == ["sub_a"]
    assert ids(status="all") == ["sub_b", "sub_a"]
    assert ids(status="ended") == ["sub_b"]
    assert ids(status="all", price="price_1") == ["sub_b", "sub_a"]


def test_a_payout_lists_its_members_and_its_own_transaction(client: stripe.StripeClient) -> None:
    members = client.v1.balance_transactions.list({"payout": "po_1"}).data
    assert [(item.id, item.type) for item in members] == [("txn_3", "payout"), ("txn_1", "charge")]
    assert sum(item.net for item in members if item.type != "payout") == client.v1.payouts.retrieve("po_1").amount
    assert "payout" not in members[0].to_dict()


def test_accounts_are_apart(running: Running) -> None:
    uk = connect(running, KEY_UK)
    assert [item.id for item in uk.v1.customers.list().data] == ["cus_uk1"]
    assert uk.v1.invoices.list().data == []
    with pytest.raises(stripe.InvalidRequestError) as caught:
        uk.v1.customers.retrieve("cus_a")
    assert caught.value.code == "resource_missing"


def test_invoice_payments_are_found_by_payment_intent(client: stripe.StripeClient) -> None:
    found = client.v1.invoice_payments.list({"payment": {"type": "payment_intent", "payment_intent": "pi_1"}})
    assert [item.invoice for item in found.data] == ["in_000"]


# -- parts of objects


def test_long_invoices_show_ten_lines_and_page_the_rest(client: stripe.StripeClient) -> None:
    invoice = client.v1.invoices.retrieve("in_007")
    assert (len(invoice.lines.data), invoice.lines.has_more) == (10, True)
    lines = list(client.v1.invoices.line_items.list("in_007", {"limit": 10}).auto_paging_iter())
    assert [line.id for line in lines] == [f"il_7_{k}" for k in range(25)]
    assert sum(line.amount for line in lines) == invoice.total
    assert not client.v1.invoices.retrieve("in_008").lines.has_more


def test_tiers_show_only_when_expanded(client: stripe.StripeClient) -> None:
    assert "tiers" not in client.v1.prices.list().data[0].to_dict()
    tiers = client.v1.prices.list({"expand": ["data.tiers"]}).data[0].tiers
    assert tiers is not None
    assert [tier.up_to for tier in tiers] == [10, None]
    item = client.v1.subscriptions.retrieve("sub_a")["items"].data[0]
    assert "tiers" not in item.price.to_dict()
    shown = client.v1.subscriptions.retrieve("sub_a", {"expand": ["items.data.price.tiers"]})["items"].data[0]
    assert len(shown.price.tiers) == 2


def test_expansion_follows_ids_and_hidden_lists(client: stripe.StripeClient) -> None:
    charge = client.v1.charges.retrieve("ch_1", {"expand": ["balance_transaction.source.customer"]})
    assert charge.balance_transaction.source.customer.email == "ada@example.com"  # type: ignore[union-attr]
    assert client.v1.charges.retrieve("ch_0", {"expand": ["balance_transaction"]}).balance_transaction is None
    listed = client.v1.invoices.list({"created": OCTOBER, "expand": ["data.payments", "data.customer"]}).data[0]
    assert listed.payments is not None
    assert [payment.id for payment in listed.payments.data] == ["inpay_1"]
    assert listed.customer.id == "cus_b"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("path", "message"),
    [("data.total", "cannot be expanded (data.total)"), ("data.a.b.c.d", "more than 4 levels")],
)
def test_expansion_of_what_cannot_be_is_refused(client: stripe.StripeClient, path: str, message: str) -> None:
    with pytest.raises(stripe.InvalidRequestError, match="expand") as caught:
        client.v1.invoices.list({"expand": [path]})
    assert message in str(caught.value)


def test_payment_intents_follow_from_their_charges(client: stripe.StripeClient) -> None:
    intent = client.v1.payment_intents.retrieve("pi_1", {"expand": ["latest_charge"]})
    assert (intent.status, intent.amount_received, intent.created) == ("succeeded", 1000, OCTOBER)
    assert intent.latest_charge.id == "ch_1"  # type: ignore[union-attr]


def test_records_keep_the_text_of_the_world(running: Running, world: Path) -> None:
    text = (world / "billing_us" / "customer.jsonl").read_text(encoding="utf-8").splitlines()[0]
    assert get(running, "/v1/customers/cus_a").text == text


# -- meters, events, reports


def test_usage_comes_by_day_page_by_page(client: stripe.StripeClient) -> None:
    start, end = OCTOBER - 100 * DAY, OCTOBER + 10 * DAY
    params = {"customer": "cus_a", "start_time": start, "end_time": end, "value_grouping_window": "day", "limit": 50}
    found = list(client.v1.billing.meters.event_summaries.list("mtr_1", params).auto_paging_iter())  # type: ignore[arg-type]
    assert [item.aggregated_value for item in found] == list(reversed(range(110)))
    assert "customer" not in found[0].to_dict()
    whole = client.v1.billing.meters.event_summaries.list(
        "mtr_1", {"customer": "cus_a", "start_time": start, "end_time": end}
    )
    assert [item.aggregated_value for item in whole.data] == [sum(range(110))]


def test_usage_windows_must_be_whole_days(client: stripe.StripeClient) -> None:
    params = {"customer": "cus_a", "start_time": OCTOBER + 60, "end_time": OCTOBER + DAY}
    with pytest.raises(stripe.InvalidRequestError, match="UTC day"):
        client.v1.billing.meters.event_summaries.list("mtr_1", {**params, "value_grouping_window": "day"})  # type: ignore[typeddict-item]


def test_events_reach_back_thirty_days(client: stripe.StripeClient) -> None:
    # now is day 20; the fixture has events on days -40, -35, ... 15
    assert [event.id for event in client.v1.events.list().data] == [f"evt_{n}" for n in range(11, 5, -1)]
    assert [event.id for event in client.v1.events.list({"types": ["invoice.paid"], "limit": 1}).data] == ["evt_11"]
    assert {event.type for event in client.v1.events.list({"type": "charge.*"}).data} == {"charge.refunded"}
    assert client.v1.events.list({"delivery_success": False}).data == []
    with pytest.raises(stripe.InvalidRequestError, match="No such event"):
        client.v1.events.retrieve("evt_1")


def test_a_balance_report_is_run_and_fetched(running: Running, client: stripe.StripeClient) -> None:
    offered = client.v1.reporting.report_types.retrieve("balance.summary.1")
    assert offered.data_available_start == OCTOBER - 10 * DAY  # the account's first transaction
    assert offered.data_available_end >= OCTOBER + 31 * DAY
    parameters = {"interval_start": offered.data_available_start, "interval_end": OCTOBER + 31 * DAY}
    run = client.v1.reporting.report_runs.create({"report_type": "balance.summary.1", "parameters": parameters})  # type: ignore[typeddict-item]
    assert (run.status, run.result) == ("pending", None)
    run = client.v1.reporting.report_runs.retrieve(run.id)
    assert run.status == "succeeded"
    assert run.result is not None
    text = httpx.get(run.result.url or "", headers={"Authorization": f"Bearer {KEY_US}"}).text
    assert text.splitlines() == [
        "category,description,net_amount,currency",
        "starting_balance,Starting balance (2026-09-21),0.00,usd",
        "activity_gross,Account activity before fees,27.30,usd",
        "activity_fee,Less fees,-0.75,usd",
        "payouts_gross,Less payouts,-9.70,usd",
        "payouts_fee,Less payout fees,0.00,usd",
        "ending_balance,Ending balance (2026-11-01),16.85,usd",
    ]
    assert httpx.get(run.result.url or "").status_code == 401


@pytest.mark.parametrize(
    ("start", "end", "message"),
    [
        (OCTOBER + 5 * DAY, OCTOBER + 31 * DAY, "month starts"),
        (OCTOBER, OCTOBER + 61 * DAY, "data availability"),
        (OCTOBER - 30 * DAY, OCTOBER, "data availability"),
    ],
)
def test_balance_reports_keep_to_what_is_known(client: stripe.StripeClient, start: int, end: int, message: str) -> None:
    parameters = {"interval_start": start, "interval_end": end}
    with pytest.raises(stripe.InvalidRequestError, match=message):
        client.v1.reporting.report_runs.create({"report_type": "balance.summary.1", "parameters": parameters})  # type: ignore[typeddict-item]


def test_a_month_may_start_at_midnight_anywhere(client: stripe.StripeClient) -> None:
    for hours, zone in ((4, "America/New_York"), (-2, "Europe/Berlin")):
        shifted = {"interval_start": OCTOBER + hours * 3600, "interval_end": OCTOBER + 31 * DAY + hours * 3600}
        parameters = {**shifted, "timezone": zone}
        run = client.v1.reporting.report_runs.create({"report_type": "balance.summary.1", "parameters": parameters})  # type: ignore[typeddict-item]
        run = client.v1.reporting.report_runs.retrieve(run.id)
        assert run.result is not None
        text = httpx.get(run.result.url or "", headers={"Authorization": f"Bearer {KEY_US}"}).text
        assert "Starting balance (2026-10-01),12.00,usd" in text


def test_the_same_idempotency_key_replays_the_answer(running: Running) -> None:
    url = running.urls["stripe"] + "/v1/reporting/report_runs"
    headers = {"Authorization": f"Bearer {KEY_US}", "Idempotency-Key": "k1"}
    form = {"report_type": "balance.summary.1", "parameters[interval_start]": str(OCTOBER)}
    form["parameters[interval_end]"] = str(OCTOBER + 31 * DAY)
    first, second = (httpx.post(url, data=form, headers=headers) for _ in range(2))
    assert first.json() == second.json()
    assert second.headers["Idempotent-Replayed"] == "true"
    other = httpx.post(url, data={**form, "parameters[currency]": "usd"}, headers=headers)
    assert (other.status_code, other.json()["error"]["type"]) == (400, "idempotency_error")


# -- errors


def test_wrong_and_missing_keys_are_told_apart(running: Running) -> None:
    with pytest.raises(stripe.AuthenticationError, match=r"Invalid API Key provided: sk_test_\*+cdef"):
        connect(running, "sk_test_wrong_abcdef").v1.invoices.list()
    answer = httpx.get(running.urls["stripe"] + "/v1/invoices")
    assert (answer.status_code, answer.json()["error"]["type"]) == (401, "invalid_request_error")
    assert "did not provide an API key" in answer.json()["error"]["message"]


def test_basic_auth_takes_the_key_as_user(running: Running) -> None:
    token = base64.b64encode(f"{KEY_US}:".encode()).decode()
    answer = httpx.get(running.urls["stripe"] + "/v1/payouts", headers={"Authorization": f"Basic {token}"})
    assert answer.json()["data"][0]["id"] == "po_1"


@pytest.mark.parametrize(
    ("path", "status", "code", "param"),
    [
        ("/v1/invoices?updated[gte]=1", 400, "parameter_unknown", "updated[gte]"),
        ("/v1/invoices?colour=red", 400, "parameter_unknown", "colour"),
        ("/v1/invoices?created[since]=1", 400, "parameter_unknown", "created[since]"),
        ("/v1/invoices?created[gte]=soon", 400, "parameter_invalid_integer", "created[gte]"),
        ("/v1/invoices?limit=101", 400, None, "limit"),
        ("/v1/invoices?limit=0", 400, None, "limit"),
        ("/v1/invoices?limit=ten", 400, "parameter_invalid_integer", "limit"),
        ("/v1/invoices?starting_after=in_nope", 400, "resource_missing", "starting_after"),
        ("/v1/invoices?starting_after=in_001&ending_before=in_002", 400, None, None),
        ("/v1/invoices?customer=cus_nope", 400, "resource_missing", "customer"),
        ("/v1/invoices?customer=", 400, "parameter_invalid_empty", "customer"),
        ("/v1/invoices?status=sent", 400, None, "status"),
        ("/v1/invoices/in_nope", 404, "resource_missing", "id"),
        ("/v1/invoices/in_nope/lines", 404, "resource_missing", "id"),
        ("/v1/billing/meters/mtr_1/event_summaries?customer=cus_a", 400, "parameter_missing", "start_time"),
        ("/v1/billing/meters?created[gte]=1", 400, "parameter_unknown", "created"),
        ("/v1/unicorns", 404, None, None),
        ("/v2/core/events", 404, None, None),
    ],
)
def test_errors_have_the_vendors_shape(
    running: Running, path: str, status: int, code: str | None, param: str | None
) -> None:
    answer = get(running, path)
    error = answer.json()["error"]
    assert (answer.status_code, error["type"]) == (status, "invalid_request_error")
    assert (error.get("code"), error.get("param")) == (code, param)
    assert answer.headers["Request-Id"].startswith("req_")


def test_other_api_versions_are_not_rendered(running: Running) -> None:
    assert get(running, "/v1/payouts", **{"Stripe-Version": "2024-06-20"}).status_code == 400
    answer = get(running, "/v1/payouts")
    assert answer.headers["Stripe-Version"] == "2026-10-28.endive"


def test_another_accounts_header_is_refused(running: Running) -> None:
    own = get(running, "/v1/account").json()["id"]
    assert get(running, "/v1/payouts", **{"Stripe-Account": own}).status_code == 200
    with pytest.raises(stripe.PermissionError):
        connect(running).v1.payouts.list(options={"stripe_account": "acct_other"})


# -- limits and faults


def test_over_the_rate_limit_the_answer_is_429_until_tokens_return(running: Running) -> None:
    running.billing.weather.limit = RateLimit(per_second=2, burst=3)
    client = connect(running)
    for _ in range(3):
        client.v1.payouts.list()
    with pytest.raises(stripe.RateLimitError) as caught:
        client.v1.payouts.list()
    assert caught.value.headers is not None
    assert caught.value.headers["Retry-After"] == "1"
    assert connect(running, KEY_UK).v1.payouts.list().data == []  # another account's allowance is its own
    time.sleep(0.6)
    assert client.v1.payouts.list().data


def test_the_vendors_client_gets_over_injected_faults(running: Running) -> None:
    running.billing.weather.faults = [
        Fault(429, every=2, times=2, path="/v1/invoices", retry_after="1"),
        Fault(500, first=3, every=100, times=1, path="/v1/invoices"),
    ]
    with pytest.raises(stripe.RateLimitError):
        list(connect(running).v1.invoices.list({"limit": 100}).auto_paging_iter())
    found = list(connect(running, retries=3).v1.invoices.list({"limit": 100}).auto_paging_iter())
    assert len(found) == INVOICES
    assert [fault.hits for fault in running.billing.weather.faults] == [2, 1]


def test_broken_pages_can_be_ordered(running: Running) -> None:
    running.billing.weather.faults = [Fault("empty_page", times=1)]
    page = get(running, "/v1/invoices?limit=2").json()
    assert (page["data"], page["has_more"]) == ([], True)
    running.billing.weather.faults = [Fault("same_cursor", times=1)]
    page = get(running, "/v1/invoices?limit=2&starting_after=in_100").json()
    assert page["data"][0]["id"] == f"in_{INVOICES - 1:03d}"


def test_one_connection_serves_many_requests(running: Running) -> None:
    host = running.urls["stripe"].removeprefix("http://")
    connection = http.client.HTTPConnection(host, timeout=5)
    started = time.perf_counter()
    for _ in range(200):
        connection.request("GET", "/v1/invoices?limit=100", headers={"Authorization": f"Bearer {KEY_US}"})
        assert connection.getresponse().read().startswith(b'{"object":"list"')
    connection.close()
    assert time.perf_counter() - started < 200 * 0.02  # a delayed ACK would cost 0.04 s each
