"""Read-back over the generic contracts: what lands is what the books hold, ours and everybody's, or nothing."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from direct import Direct
from sources_support import Lander

from demo.erp_emulators.behaviour import ALTERATIONS
from demo.erp_emulators.drop import DropFace
from demo.erp_emulators.ledger import EXPONENTS
from demo.erp_emulators.rest import TOKEN, RestFace
from revenue_assets.domain.config import Company
from revenue_assets.domain.config_erp_generic import DropOptions, GenericOptions
from revenue_assets.posting.erp.generic_client import GenericClient
from revenue_assets.posting.erp.generic_csv import GenericCsvErp
from revenue_assets.posting.erp.generic_rest import GenericRestErp
from revenue_assets.posting.erp.port import Application, Customer, ErpPort, Journal, Line, Master
from revenue_assets.sources import catalogue
from revenue_assets.sources.base import Page, PaginationError, Source, SourceError, SourceUnavailable
from revenue_assets.sources.generic_books import GenericSource
from revenue_assets.sources.generic_csv import GenericCsvSource
from revenue_assets.sources.generic_rest import GenericRestSource
from revenue_assets.sources.read_back import CONTRACTS

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


def test_a_posted_journal_lands_with_every_line(ledger):
    lines = (Line(1, "1100", 10_800, 0, "EUR", 10_000, "receivable"), Line(2, "2100", 0, 10_800, "USD", -10_800))
    post(ledger, journal(KEY, lines=lines))
    assert isinstance(ledger.source(), Source)
    (move,) = moves(ledger.source())
    assert {name: move[name] for name in ("description", "number", "state", "date", "period", "entity_id")} == {
        "description": KEY, "number": "J000001", "state": "posted", "date": "2026-03-31", "period": "2026-03",
        "entity_id": "US",
    }  # fmt: skip
    assert (move["company"], move["currency"], move["total_debit"], move["total_credit"]) == (
        "US Inc", "USD", "108.00", "108.00"
    )  # fmt: skip
    first, second = move["lines"]
    assert (first["account_code"], first["debit"], first["amount_second_currency"], first["second_currency"]) == (
        "1100", "108.00", "100.00", "EUR"
    )  # fmt: skip
    assert (second["credit"], second["second_currency"], second["customer_id"]) == ("108.00", None, None)


def test_staging_finds_every_field_it_reads(ledger):
    post(ledger, journal(KEY))
    for name, model in (("move", "moves"), ("account_balance", "account_balances"), ("period", "periods")):
        record = next(iter(read(list(ledger.source().pull(name, None, NOW))).values()))
        wanted = set(re.findall(r"'\$\.([a-z_]+)'", (STAGING / f"stg_erp__{model}.sql").read_text()))
        assert wanted
        assert wanted <= set(record)
        assert not set(CONTRACTS[name].required) - set(record)
    wanted = set(re.findall(r"'\$\.([a-z_]+)'", (STAGING / "stg_erp__move_lines.sql").read_text()))
    assert wanted == set(moves(ledger.source())[0]["lines"][0])


def test_people_drafts_and_other_companies(ledger):
    """What somebody entered has no key of ours and lands with its text; a draft as one; other companies do not."""
    post(ledger, journal(KEY), journal("other", company="UK Ltd"))
    held = ledger.face.erp.documents()[0].entry
    ledger.face.erp.ledger.add(replace(held, key="", text="Reclass by hand"), 0.0)
    ledger.face.erp.ledger.add(replace(held, key="draft", state="created"), 0.0)
    ledger.settle()
    found = {move["description"]: move["state"] for move in moves(ledger.source(US="US Inc"))}
    assert found == {KEY: "posted", "Reclass by hand": "posted", "draft": "created"}


def test_one_number_in_two_companies_is_two_journals(rest):
    """Ids are a company's own: two companies of one ledger may both have a journal 1."""
    post(rest, journal("k1"), journal("k2", company="UK Ltd"))

    def same_ids(request: httpx.Request, body: dict[str, Any]) -> None:
        for row in body.get("journals", ()):
            row["id"] = "1"

    rest.spoilt = same_ids
    assert set(read(list(rest.source().pull("move", None, NOW)))) == {"US:1", "UK:1"}


def test_a_journal_altered_after_posting_is_read_as_it_is_now(ledger):
    post(ledger, journal(KEY), journal("k2"))
    before, after = ledger.face.erp.documents()
    books = ledger.face.erp.ledger
    books.replace(before.id, replace(ALTERATIONS["cent"](before, ledger.face.erp.dice).entry, state="posted"))
    books.delete(after.id)
    ledger.settle()
    (move,) = moves(ledger.source())
    assert (move["description"], move["total_debit"]) == (KEY, "120.01")


def test_balances_are_exact_and_everybodys(ledger):
    big = 10**15 + 7
    post(ledger, journal("k1", big, "KW Co"), journal("k2", 5, "KW Co", dt.date(2026, 2, 28)))
    pages = list(ledger.source().pull("account_balance", None, NOW))
    rows = {(r["entity_id"], r["period"], r["account_code"]): r["balance"] for r in read(pages).values()}
    assert rows == {
        ("KW", "2026-03", "1100"): "1000000000000.007", ("KW", "2026-03", "2100"): "-1000000000000.007",
        ("KW", "2026-02", "1100"): "0.005", ("KW", "2026-02", "2100"): "-0.005",
    }  # fmt: skip
    assert pages[-1].complete


def test_periods_of_every_company_with_their_state(ledger):
    ledger.face.erp.ledger.set_period("US Inc", "2026-01", "closed")
    ledger.settle()
    found = read(list(ledger.source().pull("period", None, NOW)))
    states = {(r["entity_id"], r["name"]): r["state"] for r in found.values()}
    assert len(states) == 3 * 12
    assert [key for key, state in states.items() if state == "closed"] == [("US", "2026-01")]
    assert (found["US:2026-02"]["start_date"], found["US:2026-02"]["end_date"]) == ("2026-02-01", "2026-02-28")


def test_closed_periods_are_read_at_least_daily_and_open_ones_each_time(ledger):
    post(ledger, journal("k1", date=dt.date(2026, 1, 31)), journal("k2"))
    ledger.face.erp.ledger.set_period("US Inc", "2026-01", "closed")
    ledger.settle()
    pages = list(ledger.source().pull("move", None, NOW))
    assert (len(read(pages)), pages[-1].complete) == (2, True)
    cursor = pages[-1].cursor
    soon = list(ledger.source().pull("move", cursor, NOW + dt.timedelta(hours=23)))
    assert [m["description"] for m in read(soon).values()] == ["k2"]
    assert (soon[-1].complete, soon[-1].cursor) == (False, cursor)
    assert len(moves(ledger.source(), cursor, NOW + dt.timedelta(days=1))) == 2


def test_what_lands_passes_the_contract_and_lands_once(ledger, tmp_path):
    """A journal that was deleted in the ledger is gone after the next full reading."""
    post(ledger, journal(KEY), journal("k2"))
    lander, objects = Lander(tmp_path / "home"), ("move", "account_balance", "period")
    results = lander.land(ledger.source(), objects, NOW)
    assert {name: (r.rows_landed, r.rows_quarantined) for name, r in results.items()} == {
        "move": (2, 0), "account_balance": (2, 0), "period": (36, 0)
    }  # fmt: skip
    again = lander.land(ledger.source(), objects, NOW + dt.timedelta(hours=1))
    assert sum(r.rows_landed for r in again.values()) == 0
    ledger.face.erp.ledger.delete(ledger.face.erp.documents()[1].id)
    ledger.settle()
    lander.land(ledger.source(), objects, NOW + dt.timedelta(days=2))
    latest = lander.latest("erp", "move")
    assert [move["description"] for move in latest.values() if not move.get("deleted")] == [KEY]


# -- open items ------------------------------------------------------------------------------------------------------


def test_open_items_land_with_customer_number_and_what_they_settle(rest):
    """INV-1 is paid in part, INV-2 whole; a person's line without a customer is nobody's open item."""
    port, ada = rest.port(), Customer("cus_1", "Ada Ltd")
    port.ensure(
        [Master("customer", "US Inc", "cus_1", "Ada Ltd", "1100"), Master("item", "US Inc", "SEAT", "S", "2100")]
    )

    def line(number: int, account: str, amount: int, role: str, item: str | None = None) -> Line:
        return Line(number, account, max(amount, 0), max(-amount, 0), "USD", amount, role=role, item=item)

    def invoice(number: str) -> Journal:
        lines = line(1, "1100", 120_00, "accounts_receivable"), line(2, "2100", -120_00, "deferred_revenue", "SEAT")
        due = dt.date(2026, 4, 30)
        return journal(f"k-{number}", lines=lines, kind="invoice", customer=ada, reference=number, due_date=due)

    lines = line(1, "2200", 150_00, "cash"), line(2, "1100", -150_00, "accounts_receivable")
    parts = Application("INV-1", 20_00, "USD"), Application("INV-2", 120_00, "USD")
    paid = journal("k-paid", lines=lines, kind="cash_application", customer=ada, applies_to=parts)
    post(rest, paid, invoice("INV-1"), invoice("INV-2"), journal("k-hand"))
    found = {move["description"]: move for move in moves(rest.source())}
    assert {key: (move["document_kind"], move["reference"]) for key, move in found.items()} == {
        "k-INV-1": ("invoice", "INV-1"), "k-INV-2": ("invoice", "INV-2"), "k-paid": ("cash_application", None),
        "k-hand": (None, None),
    }  # fmt: skip
    shown = [
        (key, x["debit"], x["credit"], x["maturity_date"], x["is_reconciled"], x["settles"])
        for key, move in found.items()
        for x in move["lines"]
        if x["customer_id"] == "cus_1"
    ]
    assert sorted(shown, key=str) == [
        ("k-INV-1", "120.00", "0.00", "2026-04-30", False, None),
        ("k-INV-2", "120.00", "0.00", "2026-04-30", True, None),
        ("k-paid", "0.00", "10.00", None, False, None),
        ("k-paid", "0.00", "120.00", None, True, "INV-2"),
        ("k-paid", "0.00", "20.00", None, False, "INV-1"),
    ]


# -- what cannot be believed -----------------------------------------------------------------------------------------


def test_pages_are_cut_and_none_is_lost(rest):
    post(rest, *(journal(f"k{n}", 100 + n) for n in range(7)))
    whole = moves(rest.source())
    assert len(whole) == 7
    rest.page_size = 3
    assert moves(rest.source()) == whole


def last_is_missing(request: httpx.Request, body: dict[str, Any]) -> None:
    if "next" in body and body["next"] is None:
        body["journals"] = body["journals"][:-1]


def counts_too_many(request: httpx.Request, body: dict[str, Any]) -> None:
    if "total" in body:
        body["total"] += 1


def ends_early(request: httpx.Request, body: dict[str, Any]) -> None:
    if "next" in body:
        body["next"] = None


def goes_in_a_circle(request: httpx.Request, body: dict[str, Any]) -> None:
    if body.get("next"):
        body["next"] = "0"


def lists_twice(request: httpx.Request, body: dict[str, Any]) -> None:
    if body.get("total"):
        body |= {"journals": body["journals"] * 2, "total": body["total"] * 2}


def says_nothing(request: httpx.Request, body: dict[str, Any]) -> None:
    body.pop("total", None)


def other_period(request: httpx.Request, body: dict[str, Any]) -> None:
    for row in body.get("journals", ()):
        row["period"] = "2026-04"


def too_many_digits(request: httpx.Request, body: dict[str, Any]) -> None:
    for row in body.get("journals", ()):
        row["lines"][0]["debit"] = "120.005"


def json_numbers(request: httpx.Request, body: dict[str, Any]) -> None:
    for row in body.get("journals", ()):
        row["lines"][0]["debit"] = 120.1


def other_currency(request: httpx.Request, body: dict[str, Any]) -> None:
    for row in body.get("journals", ()):
        row["currency"] = "EUR"


@pytest.mark.parametrize(
    ("spoilt", "error", "words"),
    [
        (last_is_missing, PaginationError, "says that there are 4, and listed 3"),
        (counts_too_many, PaginationError, "says that there are 1, and listed 0"),
        (ends_early, PaginationError, "says that there are 4, and listed 2"),
        (goes_in_a_circle, PaginationError, "lists one journal twice"),
        (lists_twice, PaginationError, "lists one journal twice"),
        (says_nothing, SourceUnavailable, "neither how many there are"),
        (other_period, SourceError, "of US Inc 2026-03 cannot be read: it says that it is of period 2026-04"),
        (too_many_digits, SourceError, "journal J000001 of US Inc 2026-03 cannot be read: line 1: 120.005 has more"),
        (json_numbers, SourceError, "120.1 is not an amount in text"),
        (other_currency, SourceError, "it is in EUR, the company's books are in USD"),
    ],
)
def test_a_listing_that_cannot_be_believed_lands_nothing(rest, tmp_path, spoilt, error, words):
    """Not even in part: what landed before stays as it was, and the cursor too."""
    post(rest, journal("k0", 1))
    lander = Lander(tmp_path / "home")
    lander.land(rest.source(), ("move",), NOW)
    before, cursor = lander.latest_raw("erp", "move"), dict(lander.cursors.kept)
    post(rest, *(journal(f"k{n}", 100 + n) for n in range(1, 4)))
    rest.spoilt, rest.page_size = spoilt, 2
    with pytest.raises(error, match=re.escape(words)):
        lander.land(rest.source(), ("move",), NOW + dt.timedelta(hours=1))
    assert (lander.latest_raw("erp", "move"), lander.cursors.kept) == (before, cursor)


def test_balances_that_are_no_money_or_not_one_row_each_are_refused(rest):
    post(rest, journal(KEY))
    rest.spoilt = lambda request, body: [row.update(debit="1.005") for row in body.get("balances", ())]
    with pytest.raises(SourceError, match="A balance of US Inc 2026-03 is no money"):
        list(rest.source().pull("account_balance", None, NOW))
    rest.spoilt = lambda request, body: body.get("balances", []).extend(body.get("balances", [])[:1])
    with pytest.raises(SourceError, match="are not one row per account"):
        list(rest.source().pull("account_balance", None, NOW))


def test_storms_are_sat_out_and_an_outage_is_said(rest):
    post(rest, journal(KEY))
    rest.face.erp.behaviour = replace(rest.face.erp.behaviour, storm_before=0.3, throttle=0.2)
    assert len(moves(rest.source(US="US Inc"))) == 1
    assert rest.face.erp.calls["refused: storm"] > 0
    rest.face.erp.down = True
    with pytest.raises(SourceUnavailable, match="gave up after"):
        moves(rest.source())


def test_what_cannot_be_read_is_said(ledger):
    with pytest.raises(SourceError, match="shows no company Nowhere"):
        moves(ledger.source(XX="Nowhere"))
    with pytest.raises(SourceError, match="no object"):
        list(ledger.source().pull("invoice", None, NOW))


def extract(drop: Drop) -> Path:
    return drop.face.folder / "extract" / "US Inc" / "2026-03.csv"


def lost(drop: Drop) -> None:
    extract(drop).unlink()


def shortened(drop: Drop) -> None:
    """The last journal's lines are missing; what is there is sound."""
    text = extract(drop).read_text()
    extract(drop).write_text("".join(text.splitlines(keepends=True)[:-2]))


def torn(drop: Drop) -> None:
    extract(drop).write_text(extract(drop).read_text()[:-20])


def digits(drop: Drop) -> None:
    """As the ledger keeps it: in its count as well."""
    extract(drop).write_text(extract(drop).read_text().replace("120.00,0.00", "120.005,0.00"))
    counts = drop.face.folder / "masters" / "extracts.csv"
    counts.write_text(counts.read_text().replace(",120.01", ",120.015"))


def unmounted(drop: Drop) -> None:
    (drop.face.folder / "extract").rename(drop.face.folder / "gone")


def uncounted(drop: Drop) -> None:
    (drop.face.folder / "masters" / "extracts.csv").unlink()


def of_another_month(drop: Drop) -> None:
    extract(drop).write_text(extract(drop).read_text().replace(",2026-03,", ",2026-02,"))


@pytest.mark.parametrize(
    ("damage", "error", "words"),
    [
        (lost, PaginationError, "has journals 0, lines 0, debit 0; the ledger's extracts.csv says journals 2, lines 4"),
        (
            shortened,
            PaginationError,
            "has journals 1, lines 2, debit 120.00; the ledger's extracts.csv says journals 2",
        ),
        (torn, SourceUnavailable, "another number of fields than the header"),
        (digits, SourceError, "journal J000001 of US Inc 2026-03 cannot be read: line 1: 120.005 has more"),
        (unmounted, SourceUnavailable, "is it mounted?"),
        (uncounted, SourceUnavailable, "has not left its extracts.csv"),
        (of_another_month, SourceError, "it says that it is of period 2026-02"),
    ],
)
def test_an_extract_that_cannot_be_believed_lands_nothing(drop, damage, error, words):
    post(drop, journal(KEY), journal("k2", 1))
    damage(drop)
    with pytest.raises(error, match=re.escape(words)):
        moves(drop.source())


def test_an_extract_that_is_just_replaced_is_read_again(drop):
    """The count is there before the file is: a moment later both fit."""
    post(drop, journal(KEY))
    text = extract(drop).read_text()
    extract(drop).unlink()
    source = GenericCsvSource(
        "erp",
        drop.face.folder,
        DropOptions(),
        ENTITIES,
        EXPONENTS,
        sleep=lambda _: extract(drop).write_text(text) and None,
    )
    assert [move["description"] for move in moves(source)] == [KEY]


def test_config_makes_the_sources(monkeypatch, tmp_path):
    monkeypatch.setenv("ERP", "https://ledger.example.com")
    monkeypatch.setenv("TOKEN", "a-token")
    folder = Path(__file__).parents[2] / "config" / "demo"
    from revenue_assets.domain.config import Erp, load_company

    company: Company = load_company(folder)
    erp = Erp.model_validate({"vendor": "generic_rest", "base_url": "env:ERP", "credentials": {"token": "env:TOKEN"}})
    made = catalogue.read_back_source(company.model_copy(update={"erp": erp}))
    assert isinstance(made, GenericRestSource)
    assert isinstance(made, Source)
    monkeypatch.setenv("ERP", str(tmp_path))
    erp = Erp.model_validate({"vendor": "generic_csv", "base_url": "env:ERP"})
    assert isinstance(catalogue.read_back_source(company.model_copy(update={"erp": erp})), GenericCsvSource)
