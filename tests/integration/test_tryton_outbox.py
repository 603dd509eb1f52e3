"""The outbox worker over a real Tryton, and what the people of the demo do to its journals afterwards."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import psycopg2
import pytest
from erp_fixture import COMPANIES, REPOSITORY, ErpServer
from erp_house import drained, house_of
from sqlalchemy import text
from store_kit import House, invoice, recognition

from demo.erp import plants, setup
from demo.world.truth import CONTROLLER, ERP_FILE, INTEGRATION, REVENUE, TRUTH_FILE
from revenue_assets.posting.erp.documents import compare
from revenue_assets.posting.steps import journal_of
from revenue_assets.store import outbox

MANUAL = {
    "id": "manual_erp_journal-1", "kind": "manual_erp_journal", "entity": "US", "month": "2026-02", "currency": "USD",
    "amount_minor": 250_000, "date": "2026-02-20", "description": "Manual revenue accrual",
    "lines": [
        {"account_role": "deferred_revenue", "product_family": "platform", "debit_minor": 250_000, "credit_minor": 0},
        {"account_role": "revenue", "product_family": "platform", "debit_minor": 0, "credit_minor": 250_000},
    ],
    "expect": [["R11", "manual_erp_journal"], ["R12", "manual_erp_journal"]],
}  # fmt: skip
OUTSIDE = MANUAL | {
    "id": "manual_erp_journal-2", "description": "Reclassification asked for by e-mail",
    "lines": [
        {"account_role": "outside", "product_family": None, "debit_minor": 99, "credit_minor": 0},
        {"account_role": "accounts_receivable", "product_family": None, "debit_minor": 0, "credit_minor": 99},
    ],
    "expect": [["R10", "manual_erp_journal"]],
}  # fmt: skip
ALTERED = {
    "id": "altered_erp_journal-1", "kind": "altered_erp_journal", "entity": "US", "month": "2026-01", "currency": "USD",
    "amount_minor": 777, "event_class": "revenue.recognised", "delta_minor": 777, "debit_role": "deferred_revenue",
    "credit_role": "revenue", "expect": [["R16", "amount"], ["R11", "amount"], ["R12", "amount"]],
}  # fmt: skip


@pytest.fixture
def house(tmp_path: Path) -> House:
    """Three batches of the US company, cut and not yet sent; the chart's accounts are the demo company's."""
    unique = tmp_path.name  # another content, so other keys, than in another test of the session
    return house_of(
        tmp_path, invoice(f"i1-{unique}", "2026-01-05", 120_000), recognition(f"r1-{unique}", "2026-01-31", 10_000),
        invoice(f"i2-{unique}", "2026-02-05", 60_000),
    )  # fmt: skip


def post(house: House, server: ErpServer) -> int:
    """Drains the outbox; returns how many batches it verified."""
    report = drained(house, server)
    assert report.is_finished
    assert report.total("dead") == 0
    return report.total("verified")


def moves(server: ErpServer, *keys: str) -> list[tuple[int, str]]:
    connection = psycopg2.connect(server.erp.dsn)
    with connection, connection.cursor() as cursor:
        cursor.execute("select id, description from account_move where description = any(%s)", (list(keys),))
        found = cursor.fetchall()
    connection.close()
    return found


def test_batches_arrive_verified_and_once(house: House, erp_server: ErpServer) -> None:
    assert post(house, erp_server) == 3
    batches = outbox.all_batches(house.store)
    assert {b["status"] for b in batches} == {"verified"}
    keys = [b["batch_key"] for b in batches]
    assert sorted(description for _, description in moves(erp_server, *keys)) == sorted(keys)
    assert post(house, erp_server) == 0
    assert len(moves(erp_server, *keys)) == 3


def test_a_batch_whose_process_died_after_the_send_is_looked_up(house: House, erp_server: ErpServer) -> None:
    """The ERP has it, the store says `sent`: the next worker finds it and does not make another."""
    batch = outbox.all_batches(house.store)[0]
    with house.store.read() as connection:
        document = journal_of(outbox.get(connection, batch["batch_key"]), 128)
    adapter = erp_server.adapter()
    (outcome,) = adapter.submit([document])
    assert outcome.state == "posted"
    with house.store.write() as connection:
        connection.execute(
            text("update posting_batches set status = 'sent', attempts = 1 where batch_key = :k"),
            {"k": batch["batch_key"]},
        )
    assert post(house, erp_server) == 3
    assert len(moves(erp_server, batch["batch_key"])) == 1


@pytest.fixture
def company(house: House, erp_server: ErpServer, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home of the running ERP with the instructions of its pretend company."""
    home = erp_server.erp.folder.parents[1]
    world = home / "demo" / "world"
    world.mkdir(parents=True, exist_ok=True)
    plans = [MANUAL, OUTSIDE, ALTERED]
    (world / ERP_FILE).write_text(json.dumps(plans))
    truth = {"planted": [{"id": p["id"], "kind": p["kind"], "signals": []} for p in plans], "natural": []}
    (world / TRUTH_FILE).write_text(json.dumps(truth))
    (home / "demo" / "erp" / plants.CHOSEN_FILE).unlink(missing_ok=True)
    monkeypatch.setenv("REVENUE_HOME", str(home))
    monkeypatch.setenv("REVENUE_CONFIG", str(REPOSITORY / "config" / "demo"))
    monkeypatch.setenv("REVENUE_STORE_URL", f"sqlite:///{house.root / 'store' / 'operational.sqlite'}")
    monkeypatch.setenv("REVENUE_AS_OF", "2026-03-31")
    return home


def test_people_and_database_users_leave_their_marks_once(house: House, erp_server: ErpServer, company: Path) -> None:
    post(house, erp_server)
    first = plants.plant(company)
    assert plants.plant(company) == first
    (manual, outside, altered) = first
    assert len(moves(erp_server, MANUAL["description"])) == 1
    assert manual.reference.startswith("1-2026/")
    assert manual.reference != outside.reference
    (batch,) = [b for b in outbox.all_batches(house.store) if b["batch_key"] == altered.reference]
    assert (batch["event_class"], batch["period"], batch["status"]) == ("revenue.recognised", "2026-01", "verified")

    with house.store.read() as connection:
        sent = journal_of(outbox.get(connection, altered.reference), 128)
    held = erp_server.adapter().lines("Meridian Inc", [batch["erp_document_id"]])[batch["erp_document_id"]]
    assert {str(d) for d in compare(sent, held)} == {
        "total: sent 10000, the ERP has 10777",
        "debit of line 1: sent 10000, the ERP has 10777",
        "amount_tc of line 1: sent 10000, the ERP has 10777",
        "credit of line 2: sent 10000, the ERP has 10777",
        "amount_tc of line 2: sent -10000, the ERP has -10777",
    }
    truth = json.loads((company / "demo" / "world" / TRUTH_FILE).read_text())["planted"]
    assert [[(s["recon"], s["class"], s["owner"]) for s in p["signals"]] for p in truth] == [
        [("R11", "manual_erp_journal", REVENUE), ("R12", "manual_erp_journal", REVENUE)],
        [("R10", "manual_erp_journal", CONTROLLER)],
        [("R16", "amount", INTEGRATION), ("R11", "amount", REVENUE), ("R12", "amount", REVENUE)],
    ]
    assert [p["signals"][0]["reference"] for p in truth] == [p.reference for p in first]


def test_nothing_is_altered_before_it_is_verified(house: House, erp_server: ErpServer, company: Path) -> None:
    with pytest.raises(plants.PlantError, match=r"no verified revenue\.recognised batch of US 2026-01"):
        plants.plant(company)


def test_a_home_without_a_running_erp_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(plants.PlantError, match="does not run"):
        plants.plant(tmp_path)


def test_the_setup_is_idempotent_and_adds_a_company(erp_server: ErpServer) -> None:
    erp = erp_server.erp
    chart = [("1100", "Receivables", "asset"), ("2100", "Deferred", "liability")]
    everybody = {**COMPANIES, "Meridian Canada": "CAD"}
    made = setup.ensure(
        erp.base_url, erp.database, erp.admin_password, everybody, chart, [2026], robot=(erp.user, erp.password)
    )
    again = setup.ensure(
        erp.base_url, erp.database, erp.admin_password, everybody, chart, [2026], robot=(erp.user, erp.password)
    )
    assert made == again
    assert made.companies.items() >= {name: erp_server.setup.companies[name] for name in COMPANIES}.items()
    assert made.robot == erp_server.setup.robot
    assert [p.name for p in erp_server.adapter().periods("Meridian Canada")] == [f"2026-{m:02d}" for m in range(1, 13)]
    assert erp_server.adapter().periods("Meridian Canada")[1].end_date == dt.date(2026, 2, 28)
