"""The tax engine simulator, driven by the vendor's own SDK."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from avalara import AvataxClient
from simulators_world import KEYS, write_world

from demo.simulators.faults import Fault, RateLimit
from demo.simulators.runtime import Running, serving

EVER = "date ge '2026-01-01'"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_world(tmp_path_factory.mktemp("sim") / "world")


@pytest.fixture
def running(world: Path) -> Iterator[Running]:
    with serving(world, KEYS, log=pytest.fail) as up:
        yield up


@pytest.fixture
def tax(running: Running) -> AvataxClient:
    return connect(running)


def connect(running: Running, licence: str = KEYS.avatax_license) -> AvataxClient:
    client = AvataxClient("tests", "1", "here", running.urls["avalara"])
    return client.add_credentials(KEYS.avatax_account, licence)


def listed(tax: AvataxClient, company: str = "US", **query: Any) -> dict[str, Any]:
    answer = tax.list_transactions_by_company(company, {f"${name}": value for name, value in query.items()})
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_ping_tells_whether_the_credentials_are_good(running: Running, tax: AvataxClient) -> None:
    body = tax.ping().json()
    assert (body["authenticated"], body["authenticationType"]) == (True, "AccountIdLicenseKey")
    body = connect(running, "wrong").ping().json()
    assert (body["authenticated"], body["authenticationType"]) == (False, "None")


def test_bad_credentials_are_refused_in_the_vendors_shape(running: Running) -> None:
    answer = connect(running, "wrong").list_transactions_by_company("US")
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (401, "AuthenticationException")
    assert error["details"][0]["faultCode"] == "Client"


def test_companies_are_listed_with_their_codes(tax: AvataxClient) -> None:
    body = tax.query_companies().json()
    assert [company["companyCode"] for company in body["value"]] == ["US", "DE"]


def test_next_links_lead_through_all_pages(running: Running, tax: AvataxClient) -> None:
    answer = tax.list_transactions_by_company("US", {"$filter": EVER, "$top": 8, "$orderBy": "id ASC"})
    pages = [answer.json()]
    while "@nextLink" in pages[-1]:
        pages.append(requests.get(pages[-1]["@nextLink"], auth=tax.auth, timeout=5).json())
    assert [len(page["value"]) for page in pages] == [8, 8, 8, 7]
    assert {page["@recordsetCount"] for page in pages} == {31}
    assert [row["id"] for page in pages for row in page["value"]] == [*range(1, 31), 103]


def test_without_dates_the_list_covers_thirty_days(tax: AvataxClient) -> None:
    # the newest document is modified on 10 October 10:00
    assert min(row["date"] for row in listed(tax)["value"]) == "2026-09-11"
    assert listed(tax, filter="status eq Committed")["@recordsetCount"] < 29
    assert listed(tax, filter="modifiedDate ge '2026-01-01T00:00:00'")["@recordsetCount"] == 31


@pytest.mark.parametrize(
    ("text", "count"),
    [
        (f"{EVER} and status eq Committed", 30),
        (f"{EVER} and status ne 'committed'", 1),
        ("date ge '2026-10-01' and date lt '2026-10-04'", 3),
        ("modifiedDate gt '2026-10-09T09:00:00' and modifiedDate le '2026-10-09T10:00:00Z'", 1),
        (f"{EVER} and (code eq in_001 or code eq 'in_002')", 2),
        (f"{EVER} and code in (in_001, 'in_002', in_999)", 2),
        (f"{EVER} and code startswith 'in_02'", 10),
        (f"{EVER} and code contains '_00'", 11),
        (f"{EVER} and totalTax gt 9.49", 1),
        (f"{EVER} and version ge 2 or id eq 5", 2),
        (f"{EVER} and locked eq true", 0),
    ],
)
def test_filters_select_as_the_vendor_does(tax: AvataxClient, text: str, count: int) -> None:
    assert listed(tax, filter=text)["@recordsetCount"] == count


def test_nested_parts_come_only_when_included(tax: AvataxClient) -> None:
    plain = listed(tax, filter=EVER, top=1)["value"][0]
    assert not {"lines", "summary", "companyCode"} & set(plain)
    lines = listed(tax, filter=EVER, top=1, include="Lines")["value"][0]["lines"]
    assert (lines[0]["tax"], lines[0]["details"]) == (6.5, None)
    full = listed(tax, filter=EVER, top=1, include="Details,Summary")["value"][0]
    assert full["lines"][0]["details"][0]["jurisName"] == "WASHINGTON"
    assert full["summary"][0]["tax"] == 6.5
    assert "lines" not in listed(tax, filter=EVER, top=1, include="SummaryOnly")["value"][0]


def test_order_by_takes_several_fields(tax: AvataxClient) -> None:
    rows = listed(tax, filter=EVER, orderBy="totalTax DESC, id DESC", top=2)["value"]
    assert [row["id"] for row in rows] == [103, 30]


def test_by_code_the_highest_version_is_found(tax: AvataxClient) -> None:
    row = tax.get_transaction_by_code("US", "in_003").json()
    assert (row["version"], row["totalTax"], row["status"]) == (2, 9.5, "Committed")
    assert tax.get_transaction_by_code_and_type("US", "in_004", "SalesInvoice").json()["id"] == 5
    assert tax.get_transaction_by_id(201, {"$include": "Lines"}).json()["lines"]


@pytest.mark.parametrize(
    ("company", "query", "status", "code"),
    [
        ("FR", {}, 404, "EntityNotFoundError"),
        ("US", {"$filter": "colour eq red"}, 400, "InvalidFilter"),
        ("US", {"$filter": "date since '2026-01-01'"}, 400, "InvalidFilter"),
        ("US", {"$filter": "date ge 'yesterday'"}, 400, "InvalidFilter"),
        ("US", {"$filter": "(status eq Committed"}, 400, "InvalidFilter"),
        ("US", {"$filter": "status eq Committed extra"}, 400, "InvalidFilter"),
        ("US", {"$filter": "status eq"}, 400, "InvalidFilter"),
        ("US", {"$orderBy": "colour"}, 400, "InvalidFilter"),
        ("US", {"$top": 1001}, 400, "RangeError"),
        ("US", {"$top": 0}, 400, "RangeError"),
        ("US", {"$skip": -1}, 400, "RangeError"),
        ("US", {"$include": "Everything"}, 400, "InvalidQueryParameter"),
        ("US", {"$expand": "lines"}, 400, "InvalidQueryParameter"),
    ],
)
def test_errors_have_the_vendors_shape(
    tax: AvataxClient, company: str, query: dict[str, Any], status: int, code: str
) -> None:
    answer = tax.list_transactions_by_company(company, query)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (status, code)
    assert error["details"][0]["helpLink"].endswith(code)


def test_unknown_documents_and_addresses_are_not_found(running: Running, tax: AvataxClient) -> None:
    assert tax.get_transaction_by_code("US", "in_999").json()["error"]["code"] == "EntityNotFoundError"
    assert tax.get_transaction_by_code_and_type("US", "in_004", "ReturnInvoice").status_code == 404
    assert requests.get(running.urls["avalara"] + "/api/v3/x", auth=tax.auth, timeout=5).status_code == 404


def test_limits_and_faults_answer_with_retry_after(running: Running, tax: AvataxClient) -> None:
    running.tax.weather.faults = [Fault(503, first=2, times=1, path="/transactions", retry_after="1")]
    answers = [tax.list_transactions_by_company("US", {"$top": 1}) for _ in range(3)]
    assert [(answer.status_code, answer.headers.get("Retry-After")) for answer in answers] == [
        (200, None),
        (503, "1"),
        (200, None),
    ]
    running.tax.weather.limit = RateLimit(per_second=0.001, burst=1)
    assert [tax.query_companies().status_code for _ in range(2)] == [200, 429]


def test_broken_pages_can_be_ordered(running: Running, tax: AvataxClient) -> None:
    running.tax.weather.faults = [Fault("empty_page", times=1)]
    body = listed(tax, filter=EVER, top=5)
    assert (body["value"], "@nextLink" in body) == ([], True)
    running.tax.weather.faults = [Fault("same_cursor", times=1)]
    answer = tax.list_transactions_by_company("US", {"$filter": EVER, "$top": 5})
    assert requests.get(answer.json()["@nextLink"], auth=tax.auth, timeout=5).json()["value"][0]["id"] == 1
    assert answer.request.url == answer.json()["@nextLink"]
