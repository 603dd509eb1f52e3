"""The ERP port over a real Tryton: post, read back, find again, refuse, and tell one failure from another."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal

import httpx
import psycopg2
import pytest
from erp_fixture import ErpServer, new_key

from revenue_assets.posting.erp.documents import compare
from revenue_assets.posting.erp.port import ErpPort, Journal, Line, MasterKey, Reversal
from revenue_assets.posting.erp.tryton import TrytonErp
from revenue_assets.sources.tryton_rpc import RpcFault

DATE = dt.date(2026, 3, 31)


@pytest.fixture
def erp(erp_server: ErpServer) -> Iterator[TrytonErp]:
    adapter = erp_server.adapter()
    yield adapter
    adapter.close()


def journal(
    *amounts: tuple[str, int], key: str | None = None, company: str = "Meridian Inc", currency: str = "USD",
    date: dt.date = DATE,
) -> Journal:  # fmt: skip
    """A journal from (account, signed minor units), debit positive, all in functional currency."""
    lines = tuple(
        Line(number, account, max(amount, 0), max(-amount, 0), currency, amount, f"{account} summary")
        for number, (account, amount) in enumerate(amounts, start=1)
    )
    return Journal(key or new_key(), company, date, f"{date:%Y-%m}", currency, lines)


def simple(**options: object) -> Journal:
    return journal(("1100", 12_000), ("2100", -10_000), ("2200", -2_000), **options)  # type: ignore[arg-type]


def sql(server: ErpServer, statement: str, *values: object) -> int:
    """Runs one statement in the ERP's database, past the ERP; returns the rows it changed."""
    connection = psycopg2.connect(server.erp.dsn)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(statement, values)
            return cursor.rowcount
    finally:
        connection.close()


def test_the_adapter_is_a_port(erp: TrytonErp) -> None:
    assert isinstance(erp, ErpPort)
    assert (erp.capabilities.mode, erp.capabilities.writer_scope) == ("sync", "company")
    assert not erp.capabilities.key_unique


def test_a_posted_journal_reads_back_equal(erp: TrytonErp) -> None:
    document = simple()
    (outcome,) = erp.submit([document])
    assert (outcome.state, outcome.failure, outcome.already_there) == ("posted", None, False)
    assert outcome.number is not None
    assert outcome.number.startswith("1-2026/")
    held = erp.lines(document.company, [outcome.document_id])[outcome.document_id]
    assert compare(document, held) == []
    assert (held.state, held.number, held.period) == ("posted", outcome.number, "2026-03")


def test_foreign_currency_lines_keep_their_own_amounts(erp: TrytonErp) -> None:
    """JPY has no minor digits; an exchange difference moves functional currency alone; FC may round to nothing."""
    lines = (
        Line(1, "1100", 63_21, 0, "JPY", 12_000),
        Line(2, "2100", 0, 60_00, "JPY", -11_400),
        Line(3, "7000", 0, 3_21, "JPY", 0),
        Line(4, "1900", 0, 0, "JPY", -600),
        Line(5, "1100", 1_005, 0, "EUR", 1_100),
        Line(6, "2200", 0, 1_005, "EUR", -1_100),
    )
    document = Journal(new_key(), "Meridian Ltd", DATE, "2026-03", "GBP", lines)
    (outcome,) = erp.submit([document])
    assert outcome.failure is None
    held = erp.lines(document.company, [outcome.document_id])[outcome.document_id]
    assert compare(document, held) == []
    assert [(x.currency, x.amount_tc) for x in held.lines] == [
        ("JPY", 12_000), ("JPY", -11_400), ("GBP", -321), ("JPY", -600), ("EUR", 1_100), ("EUR", -1_100)
    ]  # fmt: skip


def test_the_largest_amounts_survive_to_the_cent(erp: TrytonErp) -> None:
    amount = 9_007_199_254_740_993_01  # more than a float holds
    document = journal(("1100", amount), ("2100", -amount), date=dt.date(2025, 12, 31))
    (outcome,) = erp.submit([document])
    held = erp.lines(document.company, [outcome.document_id])[outcome.document_id]
    assert compare(document, held) == []
    (reversal,) = erp.submit([journal(("2100", amount), ("1100", -amount), date=dt.date(2025, 12, 31))])
    assert reversal.state == "posted"


def test_a_second_submit_finds_and_does_not_create(erp: TrytonErp) -> None:
    documents = [simple() for _ in range(3)]
    first = erp.submit(documents)
    again = erp.submit([*documents, fresh := simple()])
    assert [o.document_id for o in again[:3]] == [o.document_id for o in first]
    assert [o.already_there for o in again] == [True, True, True, False]
    assert all(len(hits) == 1 for hits in erp.find(fresh.company, [d.key for d in documents]).values())


def test_the_same_key_with_other_content_is_a_conflict(erp: TrytonErp) -> None:
    document = simple()
    erp.submit([document])
    (outcome,) = erp.submit([journal(("1100", 12_001), ("2100", -12_001), key=document.key)])
    assert outcome.failure is not None
    assert outcome.failure.failure_class == "conflict"
    assert not outcome.failure.retry
    assert len(erp.find(document.company, [document.key])[document.key]) == 1


def test_a_copy_made_by_a_person_is_a_conflict(erp: TrytonErp, erp_server: ErpServer) -> None:
    document = simple()
    (posted,) = erp.submit([document])
    with erp_server.admin() as admin:
        admin.call("model.account.move.copy", [int(posted.document_id or 0)], {"company": 1})
    (outcome,) = erp.submit([document])
    assert outcome.failure is not None
    assert (outcome.failure.failure_class, "2 times" in outcome.failure.message) == ("conflict", True)


def test_a_draft_left_by_a_kill_is_found_and_posted(erp: TrytonErp, erp_server: ErpServer) -> None:
    """A kill between create and post leaves a draft: made here by refusing the post call."""
    document = simple()

    def no_post(request: httpx.Request) -> httpx.Response:
        if b'"model.account.move.post"' in request.content:
            raise httpx.ReadTimeout("killed here", request=request)
        return httpx.HTTPTransport().handle_request(request)

    broken = erp_server.adapter(transport=httpx.MockTransport(no_post))
    (outcome,) = broken.submit([document])
    assert (outcome.state, outcome.failure.failure_class if outcome.failure else "") == ("created", "uncertain")
    assert [hit.state for hit in erp.find(document.company, [document.key])[document.key]] == ["created"]
    (outcome,) = erp.submit([document])
    assert (outcome.state, outcome.already_there, outcome.failure) == ("posted", True, None)
    assert len(erp.find(document.company, [document.key])[document.key]) == 1


@pytest.mark.parametrize("method", ["create", "post"])
def test_a_timeout_after_the_commit_is_uncertain_and_then_found(
    erp: TrytonErp, erp_server: ErpServer, method: str
) -> None:
    """The server does the work, the answer never arrives."""
    document = simple()

    def lost_answer(request: httpx.Request) -> httpx.Response:
        response = httpx.HTTPTransport().handle_request(request)
        if f'"model.account.move.{method}"'.encode() in request.content:
            response.read()
            raise httpx.ReadError("connection reset", request=request)
        return response

    broken = erp_server.adapter(transport=httpx.MockTransport(lost_answer))
    (outcome,) = broken.submit([document])
    assert outcome.failure is not None
    assert (outcome.failure.failure_class, outcome.failure.look_up_first) == ("uncertain", True)
    (hit,) = erp.find(document.company, [document.key])[document.key]
    assert hit.state == ("created" if method == "create" else "posted")
    (outcome,) = erp.submit([document])
    assert (outcome.state, outcome.document_id, outcome.already_there) == ("posted", hit.document_id, True)


def test_one_bad_document_harms_only_itself(erp: TrytonErp) -> None:
    """Unbalanced and unmapped are caught before the call; what only the server knows is hunted down by halves."""
    good = [simple() for _ in range(5)]
    unbalanced = journal(("1100", 100), ("2100", -99))
    unmapped = journal(("1100", 100), ("9999", -100))
    outcomes = erp.submit([good[0], unbalanced, good[1], unmapped, *good[2:]])
    assert [o.state for o in outcomes] == ["posted", None, "posted", None, "posted", "posted", "posted"]
    failures = [o.failure for o in outcomes if o.failure]
    assert [f.failure_class for f in failures] == ["invalid", "mapping_missing"]
    assert "do not balance" in failures[0].message
    assert "account 9999" in failures[1].message


def test_what_the_preflight_cannot_know_is_still_isolated(
    erp: TrytonErp, erp_server: ErpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without its preflight the adapter gets the server's own refusals, and only the bad document fails."""
    monkeypatch.setattr(erp._submission, "preflight", lambda documents: {})
    documents = [simple(), journal(("1100", 100), ("2100", -99)), simple(), simple()]
    outcomes = erp.submit(documents)
    assert [o.state for o in outcomes] == ["posted", "created", "posted", "posted"]
    assert outcomes[1].failure is not None
    assert (outcomes[1].failure.failure_class, "balance" in outcomes[1].failure.evidence) == ("invalid", True)


def test_a_period_closed_in_the_erp_has_its_own_class(erp: TrytonErp, erp_server: ErpServer) -> None:
    document = simple(date=dt.date(2025, 2, 28))
    period = erp_server.setup.periods["Meridian Inc"]["2025-02"]
    with erp_server.admin() as admin:
        admin.call("model.account.period.close", [period], {"company": 1})
        (outcome,) = erp.submit([document])
        assert outcome.failure is not None
        assert (outcome.failure.failure_class, outcome.failure.retry) == ("period_closed", False)
        assert "2025-02" in outcome.failure.message
        assert {p.name: p.state for p in erp.periods("Meridian Inc")}["2025-02"] == "closed"
        admin.call("model.account.period.reopen", [period], {"company": 1})
    (outcome,) = erp.submit([document])
    assert outcome.state == "posted"


def test_a_period_that_closes_between_check_and_call(
    erp: TrytonErp, erp_server: ErpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server's refusal is explained by checking again, not by its text."""
    document = simple(date=dt.date(2025, 3, 31))
    period = erp_server.setup.periods["Meridian Inc"]["2025-03"]
    check = erp._submission.preflight
    with erp_server.admin() as admin:

        def then_close(documents: list[Journal]) -> object:
            result = check(documents)
            monkeypatch.setattr(erp._submission, "preflight", check)
            admin.call("model.account.period.close", [period], {"company": 1})
            return result

        monkeypatch.setattr(erp._submission, "preflight", then_close)
        (outcome,) = erp.submit([document])
        admin.call("model.account.period.reopen", [period], {"company": 1})
    assert outcome.failure is not None
    assert (outcome.failure.failure_class, bool(outcome.failure.evidence)) == ("period_closed", True)


def test_masters_that_are_missing_are_missing_from_the_answer(erp: TrytonErp) -> None:
    wanted = [
        MasterKey("company", "Meridian Inc", "Meridian Inc"), MasterKey("account", "Meridian Inc", "2100"),
        MasterKey("currency", "Meridian Inc", "JPY"), MasterKey("journal", "Meridian Inc", "REV"),
        MasterKey("account", "Meridian Inc", "9999"), MasterKey("company", "Nobody", "Nobody"),
    ]  # fmt: skip
    assert [key.code for key in erp.resolve(wanted)] == ["Meridian Inc", "2100", "JPY", "REV"]
    refused = erp.preflight([simple(company="Nobody"), simple(company="Meridian Ltd")])
    assert [f.failure_class for f in refused.values()] == ["mapping_missing", "mapping_missing"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ("update account_move_line set debit = debit + 0.01 where move = %s and debit > 0", "debit"),
        (
            "update account_move_line set account = "
            "(select id from account_account where code = '1999' and company = 1) where move = %s and debit > 0",
            "account",
        ),
        ("delete from account_move_line where id = (select max(id) from account_move_line where move = %s)", "line"),
        ("update account_move set description = description || 'x' where id = %s", "key"),
        ("update account_move set date = date + 1 where id = %s", "accounting_date"),
        ("update account_move_line set debit = debit + 0.001 where move = %s and debit > 0", "document"),
    ],
)
def test_an_altered_document_is_caught_by_the_read_back(
    erp: TrytonErp, erp_server: ErpServer, change: str, field: str
) -> None:
    document = simple()
    (outcome,) = erp.submit([document])
    assert sql(erp_server, change, int(outcome.document_id or 0)) == 1
    differences = compare(document, erp.lines(document.company, [outcome.document_id])[outcome.document_id])
    assert field in {difference.field for difference in differences}


def test_balances_are_the_period_s_posted_movement(erp: TrytonErp) -> None:
    date = dt.date(2025, 7, 31)
    erp.submit([simple(date=date), simple(date=date)])
    rows = erp.balances("Meridian Inc", "2025-07")
    assert {(b.account_code, b.debit, b.credit) for b in rows} == {
        ("1100", 24_000, 0), ("2100", 0, 20_000), ("2200", 0, 4_000)
    }  # fmt: skip
    assert sum(b.balance for b in rows) == 0


def test_a_reversal_is_the_exact_negative_and_linked(erp: TrytonErp, erp_server: ErpServer) -> None:
    lines = (Line(1, "1100", 63_21, 0, "JPY", 12_000), Line(2, "2100", 0, 63_21, "JPY", -12_000))
    document = Journal(new_key(), "Meridian Ltd", DATE, "2026-03", "GBP", lines)
    (original,) = erp.submit([document])
    request = Reversal(
        new_key("reversal"), document.company, original.document_id or "", dt.date(2026, 4, 1), "2026-04"
    )
    outcome, again = erp.reverse(request), erp.reverse(request)
    assert (outcome.state, again.document_id, again.already_there) == ("posted", outcome.document_id, True)
    held = erp.lines(document.company, [outcome.document_id])[outcome.document_id]
    assert [(x.debit, x.credit, x.amount_tc) for x in held.lines] == [(0, 6_321, -12_000), (6_321, 0, 12_000)]
    with erp_server.admin() as admin:
        (row,) = admin.search_read("account.move", [["id", "=", int(outcome.document_id or 0)]], ["origin"], {})
    assert row["origin"] == f"account.move,{original.document_id}"


def test_companies_post_apart_in_one_call(erp: TrytonErp) -> None:
    documents = [simple(), simple(company="Meridian GmbH", currency="EUR"), simple()]
    outcomes = erp.submit(documents)
    assert [o.state for o in outcomes] == ["posted"] * 3
    assert [(o.number or "")[:2] for o in outcomes] == ["1-", "3-", "1-"]


def test_calls_are_bounded_in_lines(erp: TrytonErp, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seven journals of three lines at seven lines a call are cut so; one that is too long goes alone."""
    monkeypatch.setattr("revenue_assets.posting.erp.tryton_submission.BATCH_LINES_MAX", 7)
    long = journal(*[("1100", 1)] * 8, ("2100", -8))
    documents = [simple(), simple(), simple(), long, simple(), simple(), simple()]
    assert [len(chunk) for chunk in erp._submission.chunks(documents)] == [2, 1, 1, 2, 1]
    assert {o.state for o in erp.submit(documents)} == {"posted"}


def test_masters_are_kept_but_decide_nothing(erp: TrytonErp, erp_server: ErpServer) -> None:
    """What changes in the ERP while accounts and periods are kept: a refusal says what is so now, as does a success."""
    company = erp_server.setup.companies["Meridian Inc"]
    period = erp_server.setup.periods["Meridian Inc"]["2025-09"]
    on_new = journal(("1100", 5), (code := new_key("acc"), -5))
    with erp_server.admin() as admin:
        asked: list[str] = []
        call = erp._rpc.call
        erp._rpc.call = lambda method, *rest, **how: (asked.append(method), call(method, *rest, **how))[1]  # type: ignore[method-assign]
        assert [o.state for o in erp.submit([simple()])] == ["posted"]
        del asked[:]
        assert [o.state for o in erp.submit([simple()])] == ["posted"]
        moves = "model.account.move"
        assert asked == [f"{moves}.search_read", f"{moves}.create", f"{moves}.post", f"{moves}.search_read"]

        admin.call("model.account.period.close", [period], {"company": company})
        (closed,) = erp.submit([late := simple(date=dt.date(2025, 9, 30))])
        assert closed.failure is not None
        assert closed.failure.message == "Period 2025-09 of Meridian Inc is closed in the ERP."
        admin.call("model.account.period.reopen", [period], {"company": company})
        assert erp.submit([late])[0].state == "posted"

        (missing,) = erp.submit([on_new])
        assert missing.failure is not None
        assert missing.failure.message == f"Missing in the ERP for Meridian Inc: account {code}."
        (like,) = admin.search_read(
            "account.account", [["company", "=", company], ["code", "=", "2100"]], ["type"], {"company": company}
        )
        row = {"code": code, "name": code, "type": like["type"], "company": company}
        rows = [row, row | {"code": (other := new_key("acc"))}]
        (_, made) = admin.call("model.account.account.create", rows, {"company": company})
        assert erp.submit([on_new])[0].state == "posted"

        # Kept as open to lines without a customer, and no longer so: the ERP refuses it, and is asked again why.
        admin.call("model.account.account.write", [made], {"party_required": True}, {"company": company})
        (refused,) = erp.submit([journal(("1100", 5), (other, -5))])
        assert refused.failure is not None
        assert "asks for a customer" in refused.failure.message
        assert refused.failure.evidence


def test_no_transaction_outlives_the_settle_time(erp_server: ErpServer) -> None:
    """What the demo's settle time rests on: the database ends a long transaction and the server does not repeat it."""
    connection = psycopg2.connect(erp_server.erp.dsn)
    with connection, connection.cursor() as cursor:
        cursor.execute("show transaction_timeout")
        assert cursor.fetchone() == ("30s",)
    connection.close()
    assert "retry = 0" in (erp_server.erp.folder / "trytond.conf").read_text()


def test_a_lost_session_is_opened_again(erp: TrytonErp, erp_server: ErpServer) -> None:
    erp.periods("Meridian Inc")
    assert sql(erp_server, "delete from ir_session where create_uid = %s", erp_server.setup.robot) >= 1
    assert erp.submit([simple()])[0].state == "posted"


def test_a_wrong_password_is_auth_and_nothing_is_sent(erp_server: ErpServer) -> None:
    stranger = TrytonErp(erp_server.erp.base_url, erp_server.erp.database, "nobody", "wrong-password", {"USD": 2})
    (outcome,) = stranger.submit([simple()])
    assert outcome.failure is not None
    assert (outcome.failure.failure_class, outcome.state) == ("auth", None)


def test_two_writers_collide_without_a_duplicate(erp_server: ErpServer) -> None:
    """The port asks for one writer per company; when two come all the same, collisions are throttling, not errors."""

    def post(documents: list[Journal]) -> list[str | None]:
        adapter = erp_server.adapter(batch_size_max=2)
        return [o.state or (o.failure.failure_class if o.failure else None) for o in adapter.submit(documents)]

    work = [[simple() for _ in range(6)] for _ in range(3)]
    with ThreadPoolExecutor(3) as pool:
        results = [state for states in pool.map(post, work) for state in states]
    assert set(results) <= {"posted", "created", "throttled"}
    keys = [d.key for documents in work for d in documents]
    adapter = erp_server.adapter()
    adapter.submit([d for documents in work for d in documents])
    found = adapter.find("Meridian Inc", keys)
    assert [len(hits) for hits in found.values()] == [1] * len(keys)
    assert {hit.state for hits in found.values() for hit in hits} == {"posted"}


@pytest.mark.parametrize(
    "call",
    [
        ("model.account.move.delete", ["{move}"]),
        ("model.account.move.delete", ["{draft}"]),
        ("model.account.move.write", ["{move}"], {"description": "changed"}),
        ("model.account.move.line.write", ["{line}"], {"debit": {"__class__": "Decimal", "decimal": "1"}}),
        ("model.account.move.line.write", ["{line}"], {"description": "changed"}),
        ("model.account.move.line.delete", ["{line}"]),
        ("model.account.account.create", [{"code": "6666", "name": "Mine", "company": 1}]),
        ("model.account.period.close", ["{period}"]),
        ("model.account.period.write", ["{period}"], {"name": "mine"}),
        ("model.account.fiscalyear.create", [{"name": "1999", "company": 1}]),
        ("model.res.user.create", [{"name": "Second robot", "login": "second"}]),
        ("model.res.user.write", ["{robot}"], {"groups": [["add", [1]]]}),
        ("model.res.group.write", [1], {"users": [["add", ["{robot}"]]]}),
        ("model.ir.model.access.create", [{"model": "res.user", "perm_write": True}]),
        ("model.ir.rule.create", [{"rule_group": 1, "domain": "[]"}]),
        ("model.ir.sequence.strict.create", [{"name": "mine", "sequence_type": 1}]),
        ("model.ir.cron.create", [{"interval_number": 1, "interval_type": "days", "method": "x"}]),
        ("model.company.company.write", [1], {"currency": 2}),
        ("model.currency.currency.write", [1], {"digits": 4}),
        ("model.party.party.write", [1], {"name": "Mine"}),
        ("model.account.move.reconciliation.delete", [1]),
    ],
)  # fmt: skip
def test_the_robot_cannot_do_what_it_must_not(erp: TrytonErp, erp_server: ErpServer, call: tuple[object, ...]) -> None:
    """Refused for its rights, or because a posted move is closed to all; afterwards the move is as it was."""
    document = simple()
    (posted,) = erp.submit([document])
    with erp_server.robot() as robot:
        (draft,) = robot.call("model.account.move.create", [_draft(erp_server)], {"company": 1})
        of_posted = [["move", "=", int(posted.document_id or 0)]]
        names: dict[str, int] = {
            "{move}": int(posted.document_id or 0), "{draft}": draft, "{robot}": erp_server.setup.robot,
            "{period}": erp_server.setup.periods["Meridian Inc"]["2025-11"],
            "{line}": robot.search_read("account.move.line", of_posted, ["id"], {})[0]["id"],
        }  # fmt: skip
        method, *parameters = call
        with pytest.raises(RpcFault) as caught:
            robot.call(str(method), *_filled(parameters, names), {"company": 1})
        assert caught.value.kind in ("refused", "auth")
        assert "not allowed" in str(caught.value)
        robot.call("model.account.move.post", [draft], {"company": 1})
    held = erp.lines(document.company, [posted.document_id or ""])[posted.document_id or ""]
    assert compare(document, held) == []


def _draft(server: ErpServer) -> dict[str, object]:
    """A balanced draft, for the robot to be refused on."""
    accounts = server.setup.accounts["Meridian Inc"]
    lines = [
        {"account": accounts["1100"], "debit": Decimal(1), "credit": Decimal(0)},
        {"account": accounts["2100"], "debit": Decimal(0), "credit": Decimal(1)},
    ]
    period = server.setup.periods["Meridian Inc"]["2026-03"]
    values = {"company": 1, "journal": server.setup.journal, "period": period, "date": DATE, "description": new_key()}
    return {**values, "lines": [["create", lines]]}


def _filled(value: object, names: dict[str, int]) -> list:  # type: ignore[type-arg]
    def fill(part: object) -> object:
        if isinstance(part, list):
            return [fill(item) for item in part]
        if isinstance(part, dict):
            return {key: fill(item) for key, item in part.items()}
        return names.get(part, part) if isinstance(part, str) else part

    filled = fill(value)
    assert isinstance(filled, list)
    return filled


def test_long_keys_are_found_exactly(erp: TrytonErp) -> None:
    """No key is found by a part of it, and `%` is a character like any other."""
    key = new_key() + "-" + "k" * 90
    documents = [simple(key=key), simple(key=key[:-1]), simple(key=key[:-1] + "%")]
    assert [o.state for o in erp.submit(documents)] == ["posted"] * 3
    assert {k: len(v) for k, v in erp.find("Meridian Inc", [d.key for d in documents]).items()} == {
        d.key: 1 for d in documents
    }
    (too_long,) = erp.submit([replace(simple(), key="k" * 129)])
    assert too_long.failure is not None
    assert too_long.failure.failure_class == "invalid"
