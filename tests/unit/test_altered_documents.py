"""An ERP that alters a cent, a line or an id between the post and the read is always caught.

Seeded journals through the REST adapter and the emulated ERP; `REVENUE_TRIALS=full` takes more seeds.
"""

from __future__ import annotations

import datetime as dt
import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from direct import Direct
from store_kit import AS_OF, FakeClock, House, invoice, recognition

from demo.erp_emulators.behaviour import ALTERATIONS, Behaviour
from demo.erp_emulators.ledger import EXPONENTS
from demo.erp_emulators.rest import TOKEN, RestFace
from revenue_assets.domain.config_erp_generic import GenericOptions
from revenue_assets.posting.batches import cut
from revenue_assets.posting.booking import book
from revenue_assets.posting.erp.documents import compare
from revenue_assets.posting.erp.generic_rest import GenericRestErp
from revenue_assets.posting.erp.port import Journal, Line
from revenue_assets.posting.outbox import Limits, drain
from revenue_assets.store import exceptions, outbox

SEEDS = 1_000 if os.environ.get("REVENUE_TRIALS") == "full" else 40
CHART = ("1000", "1100", "1999", "2100", "2200", "4000", "4010")


@pytest.fixture
def face(tmp_path: Path) -> Iterator[RestFace]:
    face = RestFace(tmp_path / "erp")
    face.setup({"US Inc": "USD", "UK Inc": "GBP"}, CHART, [2026])
    yield face
    face.erp.ledger.close()


def adapter(face: RestFace) -> GenericRestErp:
    options = GenericOptions(settle_seconds=0)
    return GenericRestErp("http://127.0.0.1:1", {"token": TOKEN}, options, EXPONENTS, transport=Direct(face))


def journal(seed: int) -> Journal:
    """One to eight lines against one on an account of its own (a document that is its own mirror image cannot be
    altered by mirroring), amounts from a cent to 10^13, some of them in another currency."""
    dice = random.Random(seed)
    lines: list[Line] = []
    for _ in range(dice.randint(1, 8)):
        amount = dice.randrange(1, 10 ** dice.randint(1, 15)) * dice.choice((1, -1))
        currency = dice.choice(("USD", "USD", "EUR", "JPY", "KWD"))
        own = amount if currency == "USD" else dice.randrange(1, 10**9) * (1 if amount > 0 else -1)
        lines.append(line(len(lines) + 1, dice.choice(CHART[1:]), amount, currency, own))
    rest = -sum(x.debit - x.credit for x in lines)
    lines.append(line(len(lines) + 1, CHART[0], rest, "USD", rest))
    day = dt.date(2026, dice.randint(1, 12), dice.randint(1, 28))
    return Journal(f"{seed:032x}", "US Inc", day, f"{day:%Y-%m}", "USD", tuple(lines), "t")


def line(number: int, account: str, amount: int, currency: str, own: int) -> Line:
    return Line(number, account, max(amount, 0), max(-amount, 0), currency, own, f"line {number}")


def test_no_alteration_of_any_journal_goes_unseen(face: RestFace) -> None:
    port, undetected, compared = adapter(face), [], 0
    for seed in range(SEEDS):
        face.erp.behaviour, face.erp.seed = Behaviour(), seed
        document = journal(seed)
        (outcome,) = port.submit([document])
        assert (outcome.state, outcome.failure) == ("posted", None), seed
        number = outcome.document_id or ""
        assert compare(document, port.lines("US Inc", [number])[number]) == [], f"a false alarm, seed {seed}"
        for alteration in ALTERATIONS:
            face.erp.behaviour = Behaviour(alter=alteration)
            held = port.lines("US Inc", [number]).get(number)
            compared += 1
            if held is not None and not compare(document, held):
                undetected.append((seed, alteration))
    assert undetected == []
    assert compared == SEEDS * len(ALTERATIONS)


@pytest.mark.parametrize("alteration", ALTERATIONS)
def test_an_altered_batch_is_never_verified_and_has_an_owner(tmp_path: Path, face: RestFace, alteration: str) -> None:
    """Through the worker: posted, read back, found different, dead with its exception, and still there once."""
    house = House.build(tmp_path / "house")
    house.should(invoice("i1", "2026-01-05", 120_000), recognition("r1", "2026-01-31", 10_000))
    book(house.store, house.journal, house.warehouse, house.state, AS_OF)
    cut(house.store, house.journal, house.state, AS_OF, tenant="t")
    face.erp.behaviour = Behaviour(alter=alteration)
    clock = FakeClock()
    limits = Limits(max_wait_seconds=600)
    drain(house.store, {"US Inc": adapter(face)}, clock=clock, limits=limits)
    batches = outbox.all_batches(house.store)
    assert [(b["status"], b["last_error_class"]) for b in batches] == [("dead", "readback_mismatch")] * 2
    assert set(face.erp.copies().values()) == {1}
    with house.store.read() as connection:
        rows = connection.execute(exceptions.exceptions.select()).all()
    assert {(row.category, row.owner_team) for row in rows} == {("readback_mismatch", "Integration")}
