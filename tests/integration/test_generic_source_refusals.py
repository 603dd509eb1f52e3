"""A listing or an extract that cannot be believed lands nothing and says why."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from generic_ledgers import ENTITIES, KEY, NOW, Drop, journal, moves, post
from sources_support import Lander

from demo.erp_emulators.ledger import EXPONENTS
from revenue_assets.domain.config_erp_generic import DropOptions
from revenue_assets.sources.base import PaginationError, SourceError, SourceUnavailable
from revenue_assets.sources.generic_csv import GenericCsvSource


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
