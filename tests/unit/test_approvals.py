"""Maker is not checker: what the functions refuse with a sentence, the database refuses too, whoever asks."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest
from click.testing import CliRunner, Result
from fake_erp import FakeErp
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError
from store_kit import AS_OF, FakeClock, House, invoice

from revenue_assets import exception_queue
from revenue_assets.cli import main
from revenue_assets.close.close import read_books
from revenue_assets.close.gates import _batches
from revenue_assets.domain.config_approvals import Approvals, Approver, Limit, problems
from revenue_assets.posting.batches import cut
from revenue_assets.posting.booking import book
from revenue_assets.posting.outbox import drain, ready, replay
from revenue_assets.store import approvals, audit, exceptions, outbox, periods
from revenue_assets.store.engine import Store, StoreError

# A batch of more than 1,000.00 waits. anna prepares, ben approves any of them, dora small ones, carla only looks.
LIMITS = [Limit(entity="US", currency="USD", above=100_000)]
APPROVERS = [
    Approver(name=name, entity="US", currency="USD", up_to=up_to)
    for name, up_to in (("anna", 10_000_000), ("ben", 10_000_000), ("dora", 150_000))
]
AUTHORITY = Approvals(limits=LIMITS, approvers=APPROVERS)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def house(tmp_path: Path) -> House:
    """anna's cut: January is exactly at the limit, February 200,000 above nobody's doubt."""
    house = House.build(tmp_path / "home")
    house.store = Store(house.store.engine, actor="anna")
    approvals.adopt(house.store, AUTHORITY, actor="admin")
    house.should(invoice("i1", "2026-01-05", 100_000), invoice("i2", "2026-02-05", 200_000))
    book_and_cut(house)
    return house


def book_and_cut(house: House) -> None:
    book(house.store, house.journal, house.warehouse, house.state, AS_OF)
    cut(house.store, house.journal, house.state, AS_OF, tenant="t")


def states(house: House) -> dict[str, str]:
    return {b["period"]: b["status"] for b in outbox.all_batches(house.store)}


def large(house: House) -> str:
    return next(b["batch_key"] for b in outbox.all_batches(house.store) if b["debit_fc"] == 200_000)


def decide(house: House, who: str, decision: str = "approved", **more: str) -> None:
    more = {"reason": "contract seen", "os_login": "x"} | more
    approvals.decide(house.store, large(house), decision, checker=who, **more)


def post(house: House, clock: FakeClock) -> FakeErp:
    erp = FakeErp(clock.now)
    drain(house.store, {"US Inc": erp}, clock=clock)
    return erp


def test_above_the_limit_a_batch_waits_and_at_the_limit_it_does_not(house, clock):
    assert states(house) == {"2026-01": "planned", "2026-02": "awaiting_approval"}
    (one,) = approvals.waiting(house.store)
    assert (one.id, one.amount, one.currency, one.limit, one.maker) == (large(house), 200_000, "USD", 100_000, "anna")
    erp = post(house, clock)
    assert [d.journal.period for d in erp.documents] == ["2026-01"], "what waits is not sent"
    assert ready(house.store, clock=clock) == []


def test_an_approved_batch_is_posted_once_under_its_key(house, clock):
    decide(house, "ben")
    assert approvals.waiting(house.store) == []
    assert sorted(post(house, clock).copies().values()) == [1, 1]
    assert set(states(house).values()) == {"verified"}
    (kept,) = approvals.decisions(house.store)
    assert (kept["maker"], kept["checker"], kept["limit_exceeded"], kept["os_login"]) == ("anna", "ben", 100_000, "x")
    log = [(h["actor"], h["detail"]) for h in audit.of_subject(house.store, f"batch:{large(house)}")]
    assert log[:2] == [("anna", "awaiting_approval"), ("ben", "awaiting_approval -> planned")]
    with pytest.raises(StoreError, match="nothing that waits for approval"):
        decide(house, "ben")


def test_a_rejected_batch_stays_dead_visible_and_owned(house, clock):
    decide(house, "dora", "rejected", reason="wrong customer")  # to reject takes no amount
    assert states(house)["2026-02"] == "dead"
    (row,) = exception_queue.listed(house.store)
    assert (row["category"], row["owner_team"], row["blocks_close"]) == ("rejected", "Revenue accounting", True)
    assert row["error_message"] == "The batch was rejected by dora: wrong customer"
    assert "Correct the document at its source" in row["next_step"]
    with pytest.raises(StoreError, match="was rejected; it is never posted"):
        replay(house.store, large(house), actor="ben", clock=clock)
    (left,) = exception_queue.replay(house.store, category="rejected", actor="ben", clock=clock)
    assert (left.moved, "never posted" in left.words) == (False, True)
    assert [d.journal.period for d in post(house, clock).documents] == ["2026-01"]
    shown = exception_queue.described(house.store, row["exception_id"])
    assert [(d["checker"], d["decision"]) for d in shown["decisions"]] == [("dora", "rejected")]


def test_what_takes_back_a_rejected_batch_is_not_posted_either(house, clock):
    """The ERP never had it: its reversal alone would put the negative there."""
    post(house, clock)
    decide(house, "ben", "rejected")
    gates = found_gates(house)
    assert gates["batches_are_verified"] == (False, "0 batches are verified in the ERP; 1 dead.")
    house.should(invoice("i1", "2026-01-05", 100_000), invoice("i2", "2026-02-05", 150_000))  # the source is corrected
    book_and_cut(house)
    assert exception_queue.listed(house.store) == []
    gates = found_gates(house)
    assert gates["lines_are_batched"] == (True, "0 booked lines are in no posting batch.")
    assert gates["batches_are_verified"] == (False, "0 batches are verified in the ERP; 1 awaiting approval.")
    (again,) = approvals.waiting(house.store)
    assert again.amount == 150_000
    approvals.decide(house.store, again.id, "approved", checker="dora", reason="right now", os_login="x")
    documents = [d.journal for d in post(house, clock).documents]
    assert [(d.period, sum(line.debit for line in d.lines)) for d in documents] == [("2026-02", 150_000)]
    assert found_gates(house)["batches_are_verified"] == (True, "1 batches are verified in the ERP; none waits.")
    book_and_cut(house)
    assert [b["status"] for b in outbox.all_batches(house.store)].count("dead") == 1, "it stays visible"
    lines = house.sql(f"select sum(amount_fc), count(*) from read_parquet('{house.journal.lines}/*.parquet')")
    assert lines == [(0, 8)]


def found_gates(house: House) -> dict[str, tuple[bool, str]]:
    with duckdb.connect() as connection:
        books = read_books(house.store, house.journal, connection, house.state, AS_OF)
        return {g.name: (g.is_green, g.sentence) for g in _batches(books, "US", "2026-02")}


# Who may do what to a waiting batch: role -> the refusal, None where it is allowed.
ROLES = {"maker": "anna", "approver": "ben", "small approver": "dora", "reader": "carla"}
MATRIX: dict[str, dict[str, str | None]] = {
    "approve": {
        "maker": "a second person must", "approver": None, "small approver": "may approve up to 150000 USD",
        "reader": "is no approver of US",
    },
    "reject": {"maker": "a second person must", "approver": None, "small approver": None, "reader": "is no approver"},
    "replay": dict.fromkeys(ROLES, "not dead; there is nothing to replay"),
    "accept its exception": dict.fromkeys(ROLES, "no exception has the id"),
}  # fmt: skip


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("action", MATRIX)
def test_each_role_can_do_what_it_may_and_nothing_else(house, role, action):
    who, key = ROLES[role], large(house)
    act: dict[str, Callable[[], object]] = {
        "approve": lambda: decide(house, who),
        "reject": lambda: decide(house, who, "rejected"),
        "replay": lambda: replay(house.store, key, actor=who),
        "accept its exception": lambda: exception_queue.settle(house.store, key, "Accepted", actor=who, note="x"),
    }
    before, words = audit.newest(house.store), MATRIX[action][role]
    if words is None:
        act[action]()
        assert audit.newest(house.store) != before
        return
    with pytest.raises(StoreError, match=words):
        act[action]()
    assert (audit.newest(house.store), states(house)["2026-02"]) == (before, "awaiting_approval")


SIGN = """insert into approvals (subject, entity_id, maker, checker, decision, currency, amount, limit_exceeded, at,
    reason, os_login) values ('batch:' || :key, 'US', :maker, :checker, :decision, 'USD', :amount, 100000,
    '2026-04-01 09:00:00.000000', :reason, 'x')"""
SIGNED = {"maker": "anna", "checker": "ben", "decision": "approved", "amount": 200_000, "reason": "seen"}
# SQL that somebody writes who goes around the functions, and what the database says.
AROUND: list[tuple[str, dict[str, object] | None, str]] = [
    ("update posting_batches set status = 'planned' where batch_key = :key", None, "approval of a second person"),
    ("update posting_batches set status = 'sent' where batch_key = :key", None, "approval of a second person"),
    ("update posting_batches set approval_limit = null where batch_key = :key", None, "never change"),
    ("update posting_batches set prepared_by = 'eve' where batch_key = :key", None, "never change"),
    (SIGN, {"checker": "anna"}, "second_person"),
    (SIGN, {"checker": "Anna"}, "second_person|no approver"),
    (SIGN, {"maker": "eve", "checker": "anna"}, "its maker, entity"),
    (SIGN, {"amount": 1}, "its maker, entity"),
    (SIGN, {"checker": "dora"}, "no approver of this entity for this amount"),
    (SIGN, {"checker": "carla"}, "no approver"),
    (SIGN, {"checker": "carla", "decision": "rejected"}, "no approver"),
    (SIGN, {"reason": " "}, "reason"),
    (SIGN, {"decision": "waived"}, "decision"),
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(AROUND)))
def test_the_database_refuses_who_goes_around_the_functions(house, number):
    refused_by_the_database(house.store, large(house), number)
    assert states(house)["2026-02"] == "awaiting_approval"


def refused_by_the_database(store: Store, key: str, number: int) -> None:
    statement, changed, words = AROUND[number]
    values = {"key": key} | ({} if changed is None else SIGNED | changed)
    with pytest.raises(DBAPIError, match=words), store.write() as connection:
        connection.execute(text(statement), values)


def test_sql_around_the_functions_ends_where_they_do(house):
    """A rejected batch stays dead, a large one cannot enter as planned, a decision cannot be taken back."""
    key = large(house)
    with house.store.write() as connection:
        connection.execute(text(SIGN), SIGNED | {"key": key, "decision": "rejected"})
        connection.execute(text("update posting_batches set status = 'dead' where batch_key = :key"), {"key": key})
    for statement, words in (
        ("update posting_batches set status = 'planned' where batch_key = :key", "second person|never posted"),
        ("update posting_batches set status = 'uncertain' where batch_key = :key", "second person|never posted"),
        ("update approvals set decision = 'approved'", "append-only"),
        ("delete from approvals", "append-only"),
        (COPY.format(status="planned", limit="null"), "is cut as awaiting_approval"),
        (COPY.format(status="planned", limit="100000"), "is cut as awaiting_approval"),
    ):
        # A batch comes after its lines.
        before = ("pragma defer_foreign_keys = on", COPY_LINES) if statement.startswith("insert") else ()
        with pytest.raises(DBAPIError, match=words), house.store.write() as connection:
            _execute(connection, (*before, statement), key)
    with pytest.raises(DBAPIError, match="its maker, entity"), house.store.write() as connection:
        connection.execute(text(SIGN), SIGNED | {"key": key})  # it waits no longer


def _execute(connection: Connection, statements: tuple[str, ...], key: str) -> None:
    for statement in statements:
        connection.execute(text(statement), {"key": key} if ":key" in statement else {})


COPY_LINES = """insert into posting_batch_lines (batch_key, line_no, account_role, account_code, currency, amount_tc,
    functional_currency, debit_fc, credit_fc, product_family, prior_period, dimensions, member_count)
    select 'another', line_no, account_role, account_code, currency, amount_tc, functional_currency, debit_fc,
    credit_fc, product_family, prior_period, dimensions, member_count from posting_batch_lines where batch_key = :key"""
COPY = """insert into posting_batches (batch_key, seq, content_hash, cut_id, tenant, entity_id, erp_company, book,
    period, event_class, rule_hash, functional_currency, currency_set, accounting_date, line_count, member_count,
    debit_fc, credit_fc, document_json, mode, created_at, status, fence, attempts, prepared_by, approval_limit)
    select 'another', 99, content_hash, cut_id, tenant, entity_id, erp_company, book, period, event_class, rule_hash,
    functional_currency, currency_set, accounting_date, line_count, member_count, debit_fc, credit_fc, document_json,
    mode, created_at, '{status}', 0, 0, prepared_by, {limit} from posting_batches where batch_key = :key"""


def test_a_period_that_closed_meanwhile_takes_no_approved_batch(house, clock):
    lock(house, "2026-01", "2026-02")
    with pytest.raises(StoreError, match="2026-02 of US is hard closed: nothing is posted there any more"):
        decide(house, "ben")
    erp = post(house, clock)
    assert erp.calls["submit"] == 0
    (item,) = exceptions.all_exceptions(house.store, open_only=True)
    assert (item["category"], item["owner_team"]) == ("period_closed", "Controller")
    assert item["error_message"] == "2026-01 of US was hard closed here before this batch was sent; nothing was sent."
    for status in ("planned", "sent"):  # and the database says so to whoever bypasses the worker
        with pytest.raises(DBAPIError, match=r"second person|hard closed"), house.store.write() as connection:
            connection.execute(text(f"update posting_batches set status = '{status}' where status <> 'dead'"))
    for period in ("2026-02", "2026-01"):
        periods.reopen(house.store, "US", period, actor="anna", approver="ben", reason="unsent batches")
    assert exception_queue.replay(house.store, category="period_closed", actor="anna", clock=clock)[0].moved
    decide(house, "ben")
    assert sorted(post(house, clock).copies().values()) == [1, 1]


def lock(house: House, *months: str) -> None:
    """Closes around the gates, which would refuse it: as a restored or hand-made close would."""
    for month in months:
        with house.store.write() as connection:
            now = FakeClock().now()
            periods.hard_close(connection, "US", month, "x", snapshot_hash="h", snapshot_json="{}", now=now)


def test_reopening_takes_a_second_person_who_is_an_approver(house, monkeypatch):
    for name in ("REVENUE_STORE_URL", "REVENUE_AS_OF", "REVENUE_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("REVENUE_HOME", str(house.root))

    def command(who: str, *arguments: str) -> Result:
        monkeypatch.setenv("REVENUE_ACTOR", who)
        return CliRunner().invoke(main, ["period", *arguments])

    assert "is soft closed" in command("anna", "soft-close", "US", "2026-01", "--reason", "waiting for tax").output
    assert "is open: requested by anna, approved by nobody" in command(
        "anna", "reopen", "US", "2026-01", "--reason", "tax is in"
    ).output  # fmt: skip
    lock(house, "2026-01")
    twice = ("reopen", "US", "2026-01", "--reason", "late invoice")
    for who, more, words in (
        ("anna", (), "needs a second person"),
        ("anna", ("--requested-by", "anna"), "needs a second person"),
        ("ben", (), "needs a second person"),
        ("ben", ("--requested-by", "anna"), "2026-01 of US is open: requested by anna, approved by ben"),
        ("ben", ("--requested-by", "anna"), "2026-01 of US is open already"),
        ("ben", ("--requested-by", "anna", "2027-13"), "unexpected extra argument"),
    ):
        assert words in command(who, *twice, *more).output
    assert "US  2026-01  open  anna" in command("carla", "list", "--entity", "US").output
    lock(house, "2026-01")
    approvals.adopt(house.store, AUTHORITY, actor="admin")
    with pytest.raises(StoreError, match="carla is no approver of US"):
        approvals.reopen_period(house.store, "US", "2026-01", requested_by="anna", approver="carla", reason="x")


def test_a_changed_authority_is_logged_with_who_changed_it(house):
    assert not approvals.adopt(house.store, AUTHORITY, actor="eve")
    assert approvals.adopt(house.store, Approvals(approvers=APPROVERS), actor="eve")
    assert [(h["actor"], h["detail"]) for h in audit.of_subject(house.store, "approvals")] == [
        ("admin", "1 limits, 3 approvers"),
        ("eve", "0 limits, 3 approvers"),
    ]
    decide(house, "ben")  # a batch that was cut under the limit still needs its second person


def test_the_commands(house, tmp_path, monkeypatch):
    config = Path(__file__).parents[2] / "config" / "demo"
    folder = tmp_path / "config"
    folder.mkdir()
    for file in config.iterdir():
        (folder / file.name).write_text(file.read_text())
    block = AUTHORITY.model_dump()
    with (folder / "company.yaml").open("a") as company:
        company.write(f"approvals: {json.dumps(block)}\n")
    for name in ("REVENUE_STORE_URL", "REVENUE_AS_OF"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("REVENUE_HOME", str(house.root))
    monkeypatch.setenv("REVENUE_CONFIG", str(folder))
    waiting = run("list", "--json")
    assert [w["id"] for w in json.loads(waiting.output)] == [large(house)]
    assert "200000 USD (minor units) above 100000  prepared by anna" in run("list").output
    for who, code, words in (
        ("anna", 1, "anna prepared it and cannot decide about it"),
        ("carla", 1, "carla is no approver of US (company.yaml, approvals)"),
        ("ben", 0, "of US is approved by ben"),
    ):
        monkeypatch.setenv("REVENUE_ACTOR", who)
        done = run("approve", large(house)[:8], "--reason", "contract seen")
        assert (done.exit_code, words in done.output) == (code, True), done.output
    assert "approved by ben" in run("list", "--decided").output


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["approvals", *arguments])


def test_what_is_wrong_with_the_configuration_is_said_in_words():
    data = {
        "entities": [{"id": "US", "functional_currency": "USD"}, {"id": "UK", "functional_currency": "GBP"}],
        "policy": [{"entity": "UK", "set": {"prior_period_materiality": 5}}],
        "approvals": {
            "limits": [
                {"entity": "US", "currency": "EUR", "above": 5}, {"entity": "XX", "currency": "USD", "above": 5},
                {"entity": "US", "currency": "USD", "above": 50},
            ],
            "approvers": [
                {"name": "system", "entity": "US", "currency": "USD", "up_to": 10},
                {"name": "system", "entity": "US", "currency": "USD", "up_to": 10},
            ],
        },
    }  # fmt: skip
    found = [message for _, _, message, _ in problems(data)]
    for words in (
        "'system' is nobody", "system / US appears more than once", "US keeps its books in USD; an amount in EUR",
        "entity 'XX' is not in entities.yaml", "US appears more than once", "nobody may approve for US above 50",
        "nobody may approve late documents of UK",
    ):  # fmt: skip
        assert any(words in message for message in found), (words, found)
    assert list(problems({"entities": data["entities"], "approvals": AUTHORITY.model_dump()})) == []
