"""The conformance suite over the file adapter and its emulated importer, which runs in rounds of its own."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
from emulated import ACCOUNTS, COMPANY, EXPONENTS, SETUP, alter, copies_of

from demo.erp_emulators.drop import DropFace
from demo.erp_emulators.face import serving
from revenue_assets.domain.config_erp_generic import DropOptions
from revenue_assets.posting.erp.generic_csv import GenericCsvErp
from revenue_assets.testing.erp_bench import ErpBench
from revenue_assets.testing.erp_conformance import ErpConformance, failure_of


@pytest.fixture
def face(tmp_path: Path) -> DropFace:
    face = DropFace(tmp_path)
    face.setup(**SETUP)
    face.step()
    return face


@pytest.fixture
def bench(face: DropFace) -> ErpBench:
    def port() -> GenericCsvErp:
        return GenericCsvErp(face.folder, DropOptions(), EXPONENTS)

    def set_period(name: str, state: str) -> None:
        face.erp.ledger.set_period(COMPANY, name, state)
        face.step()

    def altered(number: str) -> None:
        alter(face.erp, number)
        face.step()

    return ErpBench(
        company=COMPANY, currency="USD", exponents=EXPONENTS, accounts=ACCOUNTS, date=dt.date(2026, 3, 31),
        closable="2026-01", port=port, copies=lambda keys: copies_of(face.erp, keys), alter=altered,
        origin=lambda number: face.erp.one(number).entry.reverses, set_period=set_period,
        foreign=("EUR", "JPY", "KWD"), settle=face.settle,
    )  # fmt: skip


class TestGenericCsv(ErpConformance):
    """`bench` of this module; nothing of it is HTTP."""


def test_a_file_is_sent_once_until_it_is_rejected(bench: ErpBench, face: DropFace) -> None:
    """No answer: the file that lies there is the journal. Rejected: the next attempt is a new file."""
    document = bench.journal()
    port = bench.port()
    first, again = port.submit([document])[0], bench.port().submit([document])[0]
    assert (first.state, first.already_there, again.already_there) == ("accepted", False, True)
    face.erp.ledger.set_period(COMPANY, "2026-03", "closed")
    face.step()
    (refused,) = port.poll(COMPANY, {document.key: ""})
    assert failure_of(refused) == "period_closed"
    assert not any(port.find(COMPANY, [document.key]).values())
    bench.set_period("2026-03", "open")
    (outcome,) = bench.brought_in(port, [document])
    assert outcome.state == "posted"
    assert sorted(p.name for p in (face.folder / "archive").iterdir()) == [f"{document.key}.{n}.csv" for n in (1, 2)]
    assert bench.copies([document.key]) == {document.key: 1}


def test_the_same_key_with_other_content_waits_for_nobody(bench: ErpBench) -> None:
    document, port = bench.journal(), bench.port()
    port.submit([document])
    (outcome,) = port.submit([bench.journal(1, -1, key=document.key)])
    assert failure_of(outcome) == "conflict"


def test_a_share_that_is_not_mounted_is_no_empty_ledger(bench: ErpBench, face: DropFace) -> None:
    port, document = bench.port(), bench.journal()
    (face.folder / "extract").rename(face.folder / "gone")
    assert failure_of(port.submit([document])[0]) == "unavailable"
    assert not list((face.folder / "inbox").iterdir())


def test_a_torn_extract_is_no_answer(bench: ErpBench, face: DropFace) -> None:
    port, document = bench.port(), bench.journal()
    assert bench.brought_in(port, [document])[0].state == "posted"
    (path,) = (face.folder / "extract" / COMPANY).iterdir()
    path.write_text(path.read_text()[:-20])
    (outcome,) = port.submit([document])
    assert failure_of(outcome) == "unavailable"


def test_an_importer_that_commits_and_dies_is_believed_by_its_books(bench: ErpBench, face: DropFace) -> None:
    """No acknowledgement ever comes; the extract shows the journal."""
    face.reset({"drop_after_commit": 1.0}, setup=SETUP)
    (outcome,) = bench.brought_in(bench.port(), [bench.journal()])
    assert outcome.state == "posted"
    assert not list((face.folder / "ack").iterdir())


def test_the_importer_runs_by_itself(face: DropFace, bench: ErpBench) -> None:
    with serving(face):
        port, document = bench.port(), bench.journal()
        port.submit([document])
        for _ in range(500):
            (outcome,) = port.poll(COMPANY, {document.key: ""})
            if outcome.state == "posted":
                return
    raise AssertionError("the importer's thread did not take the file")
