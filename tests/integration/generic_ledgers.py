"""Emulated in-house ledgers for the tests of their read-back: one over REST without a socket, one behind a folder."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from direct import Direct

from demo.erp_emulators.drop import DropFace
from demo.erp_emulators.ledger import EXPONENTS
from demo.erp_emulators.rest import TOKEN, RestFace
from revenue_assets.domain.config_erp_generic import DropOptions, GenericOptions
from revenue_assets.posting.erp.generic_client import GenericClient
from revenue_assets.posting.erp.generic_csv import GenericCsvErp
from revenue_assets.posting.erp.generic_rest import GenericRestErp
from revenue_assets.posting.erp.port import ErpPort, Journal, Line
from revenue_assets.sources.base import Page
from revenue_assets.sources.generic_books import GenericSource
from revenue_assets.sources.generic_csv import GenericCsvSource
from revenue_assets.sources.generic_rest import GenericRestSource

NOW = dt.datetime(2026, 11, 1, 6, 0, tzinfo=dt.UTC)
MARCH = dt.date(2026, 3, 31)
COMPANIES = {"US Inc": "USD", "UK Ltd": "GBP", "KW Co": "KWD"}
ENTITIES = {"US": "US Inc", "UK": "UK Ltd", "KW": "KW Co"}
STAGING = Path(__file__).parents[2] / "dbt_project" / "models" / "staging" / "erp"
KEY = "0123456789abcdef0123456789abcdef"  # pragma: allowlist secret
ALL = ["journal", "invoice", "credit_note", "cash_application"]


@dataclass
class Rest:
    """A ledger over REST without a socket; `spoilt` changes its answers."""

    face: RestFace
    spoilt: Callable[[httpx.Request, dict[str, Any]], None] = lambda request, body: None
    page_size: int = 200

    def port(self) -> ErpPort:
        options = GenericOptions(kinds=ALL, masters=["customer", "item"])
        return GenericRestErp("http://127.0.0.1:1", {"token": TOKEN}, options, EXPONENTS, transport=Direct(self.face))

    def source(self, **companies: str) -> GenericRestSource:
        client = GenericClient("http://127.0.0.1:1", token=TOKEN, transport=httpx.MockTransport(self._answer))
        return GenericRestSource(
            "erp", client, companies or ENTITIES, EXPONENTS, page_size=self.page_size, sleep=lambda _: None
        )

    def _answer(self, request: httpx.Request) -> httpx.Response:
        answer = Direct(self.face).handle_request(request)
        if answer.status_code != 200:
            return answer
        body = answer.json()
        self.spoilt(request, body)
        return httpx.Response(200, json=body)

    def settle(self) -> None:
        """Requests are answered at once."""


@dataclass
class Drop:
    """A ledger behind a folder; its importer does a round when `settle` is called."""

    face: DropFace

    def port(self) -> ErpPort:
        return GenericCsvErp(self.face.folder, DropOptions(), EXPONENTS)

    def source(self, **companies: str) -> GenericCsvSource:
        return GenericCsvSource(
            "erp", self.face.folder, DropOptions(), companies or ENTITIES, EXPONENTS, sleep=lambda _: None
        )

    def settle(self) -> None:
        self.face.step()


@pytest.fixture
def rest(tmp_path: Path) -> Iterator[Rest]:
    face = RestFace(tmp_path / "rest")
    face.setup(COMPANIES, ["1100", "2100", "2200"], [2026])
    yield Rest(face)
    face.erp.ledger.close()


@pytest.fixture
def drop(tmp_path: Path) -> Iterator[Drop]:
    face = DropFace(tmp_path / "drop")
    face.setup(COMPANIES, ["1100", "2100", "2200"], [2026])
    face.step()
    yield Drop(face)
    face.erp.ledger.close()


@pytest.fixture(params=["rest", "drop"])
def ledger(request: pytest.FixtureRequest) -> Rest | Drop:
    return request.getfixturevalue(request.param)


def journal(key: str, amount: int = 12_000, company: str = "US Inc", date: dt.date = MARCH, **more: Any) -> Journal:
    currency = COMPANIES[company]
    lines = (
        Line(1, "1100", amount, 0, currency, amount, "receivable"),
        Line(2, "2100", 0, amount, currency, -amount, "deferred"),
    )
    return Journal(key, company, date, f"{date:%Y-%m}", currency, more.pop("lines", lines), "invoice.posted", **more)


def post(ledger: Rest | Drop, *documents: Journal) -> None:
    """Everything is in the books."""
    port = ledger.port()
    outcomes = port.submit(documents)
    assert [o.failure for o in outcomes] == [None] * len(documents)
    ledger.settle()


def read(pages: list[Page]) -> dict[str, dict[str, Any]]:
    """Record id -> value; no id twice in one pull."""
    records = [record for page in pages for record in page.records]
    found = {record.record_id: json.loads(record.raw) for record in records}
    assert len(found) == len(records)
    return found


def moves(source: GenericSource, cursor: dict[str, Any] | None = None, now: dt.datetime = NOW) -> list[dict[str, Any]]:
    return list(read(list(source.pull("move", cursor, now))).values())
