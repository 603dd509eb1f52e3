"""What adapter and emulated ledger really say to each other fits the published contract."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest
import yaml
from direct import Direct

from demo.erp_emulators.ledger import EXPONENTS
from demo.erp_emulators.rest import TOKEN, RestFace, RestJobsFace
from demo.erp_emulators.rest_schedules import RestSchedulesFace
from revenue_assets.domain.config_erp_generic import GenericOptions
from revenue_assets.domain.failures import CLASSES
from revenue_assets.posting.erp.documents import masters_of
from revenue_assets.posting.erp.generic_client import AlreadyThere, GenericClient
from revenue_assets.posting.erp.generic_documents import REASONS
from revenue_assets.posting.erp.generic_rest import GenericRestErp
from revenue_assets.posting.erp.generic_schedules import ScheduleRecords, SchedulingRestErp
from revenue_assets.posting.erp.port import Application, Customer, Journal, Line, Master, Reversal
from revenue_assets.posting.erp.schedules import RevenueSchedule, SchedulePart
from revenue_assets.sources.generic_rest import GenericRestSource

CONTRACT = yaml.safe_load((Path(__file__).parents[2] / "docs" / "erp-rest.openapi.yaml").read_text(encoding="utf-8"))
DAY = dt.date(2026, 3, 31)


class Checked(Direct):
    """Holds each request and answer against the contract, and notes which operations it saw."""

    def __init__(self, face: RestFace) -> None:
        super().__init__(face)
        self.seen: set[tuple[str, str, str]] = set()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        response = super().handle_request(request)
        path = operation(request.url.path)
        known = CONTRACT["paths"][path][request.method.lower()]
        status = str(response.status_code)
        self.seen.add((request.method, path, status))
        if body := known.get("requestBody"):
            check(body["content"]["application/json"]["schema"], json.loads(request.content))
        answer = known["responses"][status]
        answer = resolve(answer["$ref"]) if "$ref" in answer else answer
        check(answer["content"]["application/json"]["schema"], response.json())
        return response


def operation(path: str) -> str:
    parts = path.split("/")
    parts[3:4] = ["{company}"] if len(parts) > 3 else []
    parts[5:6] = ["{id}"] if len(parts) > 5 else []
    return "/".join(parts)


def resolve(reference: str) -> Any:
    found: Any = CONTRACT
    for part in reference.removeprefix("#/").split("/"):
        found = found[part]
    return found


def check(schema: Any, value: Any) -> None:
    jsonschema.Draft202012Validator({**schema, "components": CONTRACT["components"]}).validate(value)


@pytest.mark.parametrize("face_class", [RestFace, RestJobsFace])
def test_the_conversation_fits_the_contract(tmp_path: Path, face_class: type[RestFace]) -> None:
    face = face_class(tmp_path)
    face.setup({"US Inc": "USD"}, ["1100", "4000"], [2026])
    network = Checked(face)
    options = GenericOptions(mode="async" if face.asynchronous else "sync")
    port = GenericRestErp("http://127.0.0.1:1", {"token": TOKEN}, options, EXPONENTS, transport=network)
    lines = (Line(1, "1100", 12_000, 0, "KWD", 3_705, "t", {"team": "x"}), Line(2, "4000", 0, 12_000, "USD", -12_000))
    document = Journal("k1", "US Inc", DAY, "2026-03", "USD", lines, "words")
    port.preflight([document])
    outcome = port.submit([document])[0]
    face.settle()
    if outcome.job_id:
        (outcome,) = port.poll("US Inc", {"k1": outcome.job_id})
    port.find("US Inc", ["k1", "k2"])
    port.lines("US Inc", [outcome.document_id or ""])
    port.balances("US Inc", "2026-03")
    port.reverse(Reversal("k3", "US Inc", outcome.document_id or "", DAY, "2026-03"))
    face.erp.ledger.set_period("US Inc", "2026-03", "closed")
    (refused,) = port.submit([Journal("k4", "US Inc", DAY, "2026-03", "USD", lines)])
    if refused.job_id:
        face.settle()
        port.poll("US Inc", {"k4": refused.job_id, "k5": "999"})
    reads = {
        ("GET", "/v1/companies", "200"),
        *(
            ("GET", f"/v1/companies/{{company}}/{what}", "200")
            for what in ("accounts", "periods", "balances", "journals")
        ),
    }
    journals, jobs = "/v1/companies/{company}/journals", "/v1/companies/{company}/jobs/{id}"
    own = (
        {("POST", journals, "202"), ("GET", jobs, "200"), ("GET", jobs, "404")}
        if face.asynchronous
        else {("POST", journals, "201"), ("POST", journals, "422")}
    )
    assert network.seen == reads | own


def test_documents_and_the_read_back_fit_the_contract(tmp_path: Path) -> None:
    """Customers, items, an invoice, its payment, its credit note, what is refused of them, and the paged listing."""
    face = RestFace(tmp_path)
    face.setup({"US Inc": "USD"}, ["1100", "4000"], [2026])
    network = Checked(face)
    options = GenericOptions(
        kinds=["journal", "invoice", "credit_note", "cash_application"], masters=["customer", "item"]
    )
    port = GenericRestErp("http://127.0.0.1:1", {"token": TOKEN}, options, EXPONENTS, transport=network)
    ada = Customer("cus_1", "Ada Ltd")
    owed = Line(1, "1100", 12_000, 0, "USD", 12_000, role="accounts_receivable")
    sold = Line(2, "4000", 0, 12_000, "USD", -12_000, item="SEAT")
    invoice = Journal(
        "k1",
        "US Inc",
        DAY,
        "2026-03",
        "USD",
        (owed, sold),
        kind="invoice",
        customer=ada,
        reference="INV-1",
        due_date=DAY,
    )
    lines = replace(owed, debit=0, credit=5_000, amount_tc=-5_000), Line(2, "4000", 5_000, 0, "USD", 5_000)
    paid = replace(
        invoice, key="k2", kind="cash_application", reference=None, due_date=None, lines=lines,
        applies_to=(Application("INV-1", 4_000, "USD"),),
    )  # fmt: skip
    nowhere = Master("customer", "US Inc", "cus_2", "Ben", "9999")
    assert {failure.failure_class for failure in port.ensure([nowhere]).values()} == {"mapping_missing"}
    assert port.ensure(masters_of(invoice)) == {}
    assert [o.state for o in port.submit([paid, invoice])] == ["posted", "posted"]
    assert port.reverse(Reversal("k3", "US Inc", "1", DAY, "2026-03")).failure.failure_class == "invalid"
    client = GenericClient("http://127.0.0.1:1", token=TOKEN, transport=network)
    source = GenericRestSource("erp", client, {"US": "US Inc"}, EXPONENTS, page_size=1)
    pages = list(source.pull("move", None, dt.datetime(2026, 4, 1, tzinfo=dt.UTC)))
    assert sum(len(page.records) for page in pages) == 2
    where = "/v1/companies/{company}"
    assert network.seen >= {
        *(("GET", f"{where}/{what}", "200") for what in ("customers", "items", "journals")),
        *(("POST", f"{where}/{what}", "201") for what in ("customers", "items", "journals")),
        ("POST", f"{where}/customers", "422"), ("POST", f"{where}/journals", "422"),
    }  # fmt: skip


def test_schedules_fit_the_contract(tmp_path: Path) -> None:
    """A schedule, its change, what is refused of it, and the reads; one part is recognised."""
    face = RestSchedulesFace(tmp_path)
    face.setup({"US Inc": "USD"}, ["1100", "4000"], [2026])
    network = Checked(face)
    options = GenericOptions(revenue_schedules=True)
    port = SchedulingRestErp("http://127.0.0.1:1", {"token": TOKEN}, options, EXPONENTS, transport=network)
    one = RevenueSchedule(
        "k1", 1, "US Inc", "INV-1", "l1", None, None, "USD", "USD", "1100", "4000", None,
        tuple(SchedulePart(DAY.replace(month=m, day=28), f"2026-{m:02d}", 100 * m, 100 * m) for m in (1, 2, 3)),
    )  # fmt: skip
    assert port.put_schedules([one])[0].failure is None
    face.recognise("US Inc", "2026-01-31")
    assert port.put_schedules([replace(one, version=2, parts=one.parts[:2])])[0].failure is None
    face.erp.ledger.set_period("US Inc", "2026-02", "closed")
    (refused,) = port.put_schedules([replace(one, version=3, parts=one.parts[:1])])
    assert (refused.failure and refused.failure.failure_class) == "period_closed"
    client = GenericClient("http://127.0.0.1:1", token=TOKEN, transport=network)
    with pytest.raises(AlreadyThere, match="at version 2 already"):
        client.put("US Inc", "schedules", "k1", ScheduleRecords(EXPONENTS).schedule_record(one))
    assert port.schedules("US Inc", ["k1", "k2"])["k1"].recognised == {(one.parts[0].recognised_on, "2026-01")}
    where = "/v1/companies/{company}/schedules"
    assert network.seen == {
        ("GET", where, "200"), *(("PUT", f"{where}/{{id}}", status) for status in ("200", "409", "422")),
    }  # fmt: skip


def test_the_reasons_are_those_of_the_contract() -> None:
    words = CONTRACT["components"]["schemas"]["Reason"]["properties"]["code"]["description"]
    assert set(words.partition(": ")[2].partition(".")[0].split(", ")) == set(REASONS)
    assert set(REASONS.values()) <= set(CLASSES)
