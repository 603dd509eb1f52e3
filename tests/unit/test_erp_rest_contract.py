"""What adapter and emulated ledger really say to each other fits the published contract."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest
import yaml
from direct import Direct

from demo.erp_emulators.ledger import EXPONENTS
from demo.erp_emulators.rest import TOKEN, RestFace, RestJobsFace
from revenue_assets.domain.config_erp_generic import GenericOptions
from revenue_assets.posting.erp.generic_documents import REASONS
from revenue_assets.posting.erp.generic_rest import GenericRestErp
from revenue_assets.posting.erp.port import Journal, Line, Reversal

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


def test_the_reasons_are_those_of_the_contract() -> None:
    words = CONTRACT["components"]["schemas"]["Reason"]["properties"]["code"]["description"]
    assert set(words.partition(": ")[2].partition(".")[0].split(", ")) == set(REASONS)
    assert set(REASONS.values()) <= {"period_closed", "mapping_missing", "conflict", "invalid"}
