"""What NetSuite refuses, breaks or leaves open: each answer ends in its failure class, whatever language it speaks."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace

import httpx
import pytest
from netsuite_account import Account, journal, running

from demo.erp_emulators.behaviour import ALTERATIONS
from demo.erp_emulators.netsuite_login import Integration
from demo.simulators.server import HangUp, Request, Response
from revenue_assets.domain.config_erp import NetSuiteOptions
from revenue_assets.posting.erp.netsuite import NetSuiteErp
from revenue_assets.posting.erp.port import ErpError, Line, Outcome
from revenue_assets.sources.netsuite_auth import Certificate
from revenue_assets.sources.netsuite_client import READ_TRIES_MAX

CANARY = "canary-3f9a1c77-never-in-a-log"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    with running(tmp_path_factory.mktemp("netsuite")) as account:
        yield account


@pytest.fixture
def account(served: Account, monkeypatch: pytest.MonkeyPatch) -> Account:
    served.reset()
    served.face.may_query = served.face.may_write = True
    return served


@pytest.fixture
def erp(account: Account) -> NetSuiteErp:
    return account.adapter()


def failed(outcomes: tuple[Outcome, ...]) -> str:
    (outcome,) = outcomes
    assert outcome.failure is not None, outcome
    return outcome.failure.failure_class


def answering(account: Account, monkeypatch: pytest.MonkeyPatch, method: str, path: str, *answers: object) -> list[str]:
    """The account gives these answers to requests of that kind, one after the other, and then its own. A HangUp after
    `commit` closes the connection once the work is done."""
    original, left, seen = account.face.answer, list(answers), []

    def answer(request: Request) -> Response:
        if request.method != method or path not in request.path.lower():
            return original(request)
        seen.append(request.path)
        if not left:
            return original(request)
        planned = left.pop(0)
        if planned == "commit and hang up":
            original(request)
            raise HangUp
        if isinstance(planned, BaseException):
            raise planned
        assert isinstance(planned, Response)
        return planned

    monkeypatch.setattr(account.face, "answer", answer)
    return seen


def envelope(status: int, code: str) -> Response:
    body = f'{{"status":{status},"o:errorDetails":[{{"detail":"irgendwas","o:errorCode":"{code}"}}]}}'
    return Response(status, body)


# -- the books say no --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["closed", "locked"])
def test_a_closed_or_locked_period_is_seen_before_the_send(account, erp, state):
    account.face.close_period("2026-03", state)
    assert failed(erp.submit([journal("k1")])) == "period_closed"
    assert not account.face.erp.calls["take"], "nothing was sent"


def test_a_period_that_closes_after_the_look_is_explained_by_looking_again(account, erp):
    assert erp.submit([journal("k0")])[0].state == "posted", "the masters are kept from here on"
    account.face.close_period("2026-03")
    outcomes = erp.submit([journal("k1")])
    assert failed(outcomes) == "period_closed"
    assert "gesperrt" in outcomes[0].failure.evidence, "the ERP's own words are kept for the person"
    account.face.close_period("2026-03", "open")
    assert erp.submit([journal("k1")])[0].state == "posted", "kept masters never refuse"


def test_missing_masters_and_unsound_documents(account, erp):
    unknown = (*journal("k").lines[:1], Line(2, "7777", 0, 12_000, "USD", -12_000))
    assert failed(erp.submit([journal("k1", lines=unknown)])) == "mapping_missing"
    assert failed(erp.submit([replace(journal("k2"), company="Nowhere Ltd")])) == "mapping_missing"
    assert failed(erp.submit([replace(journal("k3"), functional_currency="EUR")])) == "mapping_missing"
    assert failed(erp.submit([replace(journal("k4"), accounting_date=journal("x").accounting_date.replace(2031))])) == (
        "mapping_missing"
    )
    assert failed(erp.submit([replace(journal("k5"), lines=journal("x").lines[:1])])) == "invalid"
    only_foreign = (*journal("k").lines, Line(3, "1999", 0, 0, "EUR", 5))
    assert failed(account.adapter(foreign_fields={"currency": "custcol_a", "amount": "custcol_b"}).submit(
        [journal("k6", lines=only_foreign)]
    )) == "unsupported"  # fmt: skip
    assert not account.face.erp.calls["take"]


def test_one_bad_document_harms_no_other(erp):
    bad = replace(journal("bad"), company="Nowhere Ltd")
    outcomes = erp.submit([journal("k1"), bad, journal("k2")])
    assert [o.state for o in outcomes] == ["posted", None, "posted"]


def test_a_reference_that_vanished_meanwhile(account, erp, monkeypatch):
    answering(account, monkeypatch, "POST", "journalentry", envelope(400, "INVALID_KEY_OR_REF"))
    assert failed(erp.submit([journal("k1")])) == "mapping_missing"


def test_a_refusal_that_nobody_can_explain_is_for_a_person(account, erp, monkeypatch):
    answering(account, monkeypatch, "POST", "journalentry", envelope(400, "USER_ERROR"))
    outcomes = erp.submit([journal("k1")])
    assert failed(outcomes) == "invalid"
    assert "irgendwas" in outcomes[0].failure.evidence


def test_a_refusal_is_unknown_while_nobody_can_look(account, erp, monkeypatch):
    """It may be the refusal of a second copy: calling it invalid would lose sight of the first."""
    erp.submit([journal("k0")])
    answering(account, monkeypatch, "POST", "journalentry", envelope(400, "USER_ERROR"))
    answering(account, monkeypatch, "GET", "journalentry", *[Response(503, "")] * READ_TRIES_MAX)
    assert failed(erp.submit([journal("k1")])) == "uncertain"


# -- rights ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_login_is_auth(account, erp, monkeypatch, status):
    answering(account, monkeypatch, "POST", "suiteql", *[Response(status, "")] * 4)
    assert failed(erp.submit([journal("k1")])) == "auth"


def test_a_token_that_ended_is_renewed_without_a_word(account, erp):
    assert erp.submit([journal("k1")])[0].state == "posted"
    issued = account.face.integration.issued
    account.face.integration.revoke()
    assert erp.submit([journal("k2")])[0].state == "posted"
    assert account.face.integration.issued == issued + 1
    erp.submit([journal("k3")])
    assert account.face.integration.issued == issued + 1, "kept as long as it is good"


def test_a_token_is_renewed_before_it_ends(account):
    account.face.integration.token_seconds = 30  # less than the margin: never good enough to keep
    erp = account.adapter()
    issued = account.face.integration.issued
    erp.periods("US Inc")
    account.face.integration.token_seconds = 3600
    assert account.face.integration.issued > issued + 1


def test_a_role_without_queries_keeps_the_batches(account, erp):
    """Live accounts say 400 USER_ERROR for a missing right: not the document's fault, so it must not be buried."""
    account.face.may_query = False
    outcomes = erp.submit([journal("k1")])
    assert failed(outcomes) == "auth"
    assert "role lacks a right" in outcomes[0].failure.message


@pytest.mark.parametrize("algorithm", ["ES256", "PS256"])
def test_the_assertion_is_checked_for_real(tmp_path, algorithm):
    with running(tmp_path, algorithm=algorithm) as account:
        assert account.adapter().submit([journal("k1")])[0].state == "posted"
        good = account.certificate
        foreign_key = Integration(tmp_path / "other", algorithm=algorithm, rsa_bits=2048).credentials["private_key"]
        for bad in (
            replace(good, client_id="somebody"),
            replace(good, certificate_id="another"),
            replace(good, private_key=foreign_key),
        ):
            assert failed(account.adapter(certificate=bad).submit([journal("k2")])) == "auth"


def test_no_secret_in_logs_messages_or_reprs(account, caplog, capsys):
    caplog.set_level(logging.DEBUG)
    certificate = replace(
        account.certificate,
        private_key=f"-----BEGIN PRIVATE KEY-----\n{CANARY}\n-----END PRIVATE KEY-----",  # pragma: allowlist secret
    )
    outcomes = account.adapter(certificate=certificate).submit([journal("k1")])
    assert failed(outcomes) == "auth"
    good = account.adapter()
    good.submit([journal("k2")])
    real = account.certificate.private_key.splitlines()[1]
    token = next(iter(account.face.integration._tokens))
    everything = f"{outcomes!r} {certificate!r} {good!r} {caplog.text} {capsys.readouterr()}"
    for secret in (CANARY, real, token):
        assert secret not in everything


def test_a_sandbox_is_not_posted_to_production():
    options = NetSuiteOptions.model_validate({"account": "1234567_SB1"})
    certificate = Certificate("client", "certificate", "key")
    with pytest.raises(ErpError, match=r"1234567\.suitetalk.*1234567-sb1\.suitetalk"):
        NetSuiteErp("https://1234567.suitetalk.api.netsuite.com", certificate, options, {"USD": 2})


# -- the line breaks ---------------------------------------------------------------------------------------------


def test_too_many_at_once_waits_as_long_as_netsuite_says(account, erp, monkeypatch):
    answering(
        account, monkeypatch, "POST", "journalentry", Response(429, "", {"Retry-After": "7"}),
        envelope(400, "SSS_REQUEST_LIMIT_EXCEEDED"),
    )  # fmt: skip
    (first,) = erp.submit([journal("k1")])
    assert (first.failure.failure_class, first.failure.retry_after) == ("throttled", 7.0)
    assert failed(erp.submit([journal("k1")])) == "throttled"
    assert erp.submit([journal("k1")])[0].state == "posted"


def test_the_accounts_own_limit_is_met(account, erp):
    account.reset({"throttle": 1.0, "retry_after": 2.0})
    outcomes = erp.submit([journal("k1")])
    assert (failed(outcomes), outcomes[0].failure.retry_after) == ("throttled", 2.0)


@pytest.mark.parametrize("answer", [Response(500, ""), Response(503, "<html>"), Response(408, ""), HangUp()])
def test_a_write_without_an_answer_is_unknown(account, erp, monkeypatch, answer):
    posts = answering(account, monkeypatch, "POST", "journalentry", answer)
    assert failed(erp.submit([journal("k1")])) == "uncertain"
    assert len(posts) == 1, "a write is sent once"


@pytest.mark.parametrize(
    ("answer", "first", "rest"),
    [
        (Response(500, ""), "uncertain", "throttled"),
        (Response(429, "", {"Retry-After": "7"}), "throttled", "throttled"),
        (Response(403, ""), "auth", "auth"),
    ],
)
def test_after_a_request_without_an_answer_the_rest_is_not_sent(account, erp, monkeypatch, answer, first, rest):
    posts = answering(account, monkeypatch, "POST", "journalentry", answer)
    outcomes = erp.submit([journal("k1"), journal("k2"), journal("k3")])
    assert [o.failure.failure_class for o in outcomes] == [first, rest, rest]
    assert len(posts) == 1
    assert [o.state for o in erp.submit([journal("k1"), journal("k2"), journal("k3")])] == ["posted"] * 3


def test_a_commit_whose_answer_is_lost_is_found(account, erp, monkeypatch):
    answering(account, monkeypatch, "POST", "journalentry", "commit and hang up")
    assert failed(erp.submit([journal("k1")])) == "uncertain"
    (hit,) = erp.find("US Inc", ["k1"])["k1"]
    assert hit.state == "posted"
    assert erp.submit([journal("k1")])[0].already_there
    assert dict(account.face.erp.copies()) == {"k1": 1}


def test_a_success_without_its_record_is_unknown(account, erp, monkeypatch):
    answering(account, monkeypatch, "POST", "journalentry", Response(204, ""), Response(302, "", {"Location": "/x"}))
    assert failed(erp.submit([journal("k1")])) == "uncertain"
    assert failed(erp.submit([journal("k1")])) == "uncertain"


def test_reads_are_patient_and_then_say_so(account, erp, monkeypatch):
    answering(account, monkeypatch, "POST", "suiteql", Response(503, ""), Response(200, "no json"))
    assert len(erp.periods("US Inc")) == 24
    account.face.erp.down = True
    with pytest.raises(ErpError) as caught:
        erp.balances("US Inc", "2026-03")
    assert caught.value.failure.failure_class == "unavailable"


def test_nobody_listens(account, tmp_path):
    with running(tmp_path) as gone:
        pass
    erp = gone.adapter()
    assert failed(erp.submit([journal("k1")])) == "unavailable"


# -- what others do to our journals ------------------------------------------------------------------------------


# Another internal id is nothing that an adapter can know: the outbox kept the first one and compares.
@pytest.mark.parametrize("alteration", sorted(set(ALTERATIONS) - {"id"}))
def test_an_altered_journal_is_a_conflict_and_not_a_success(account, erp, alteration):
    erp.submit([journal("k1")])
    account.reset({"alter": alteration}, seed=7)
    outcome = erp.submit([journal("k1")])[0]
    again = erp.submit([journal("k1")])[0]
    assert outcome.failure is None, "just made: nothing is read yet"
    assert again.failure.failure_class == "conflict"


# -- the emulator's traps are real -------------------------------------------------------------------------------


@pytest.fixture
def http(account: Account, erp: NetSuiteErp) -> httpx.Client:
    erp.periods("US Inc")
    token = next(iter(account.face.integration._tokens))
    return httpx.Client(base_url=f"{account.url}/services/rest", headers={"Authorization": f"Bearer {token}"})


def body(key: str, amount: str = "10.00", **more: object) -> dict[str, object]:
    items = [{"account": {"id": "101"}, "debit": amount}, {"account": {"id": "103"}, "credit": amount}]
    head = {"externalId": key, "tranDate": "2026-03-31", "subsidiary": {"id": "5"}, "currency": {"id": "1"}}
    return {**head, "line": {"items": items}, **more}


def test_a_create_answers_nothing_but_a_location(http):
    made = http.post("/record/v1/journalEntry", json=body("k1"), headers={"X-NetSuite-Idempotency-Key": "same"})
    assert (made.status_code, made.content) == (204, b"")
    assert made.headers["Location"].endswith("/record/v1/journalentry/1")
    other = http.post("/record/v1/journalEntry", json=body("k2"), headers={"X-NetSuite-Idempotency-Key": "same"})
    assert other.status_code == 204, "the idempotency key of a synchronous request is ignored"
    again = http.post("/record/v1/journalEntry", json=body("k1"))
    assert again.status_code == 400
    assert again.json()["o:errorDetails"][0]["o:errorCode"] == "USER_ERROR"
    assert http.get("/record/v1/journalEntry/eid:k1").json()["id"] == "1"
    assert http.get("/record/v1/journalEntry/eid:k9").status_code == 404


def test_an_upsert_writes_over_a_posted_journal(http, account):
    http.post("/record/v1/journalEntry", json=body("k1"))
    assert http.put("/record/v1/journalEntry/eid:k1", json=body("k1", "99.00")).status_code == 204
    (held,) = account.face.erp.documents()
    assert held.entry.lines[0].debit == 9_900


def test_amounts_are_rounded_and_the_first_line_takes_the_difference(http, account):
    cad = [{"account": {"id": "101"}, "debit": "9.99"}] * 4 + [{"account": {"id": "103"}, "credit": "39.96"}]
    sent = body("k1", currency={"id": "3"}, exchangeRate=0.69, line={"items": cad})
    assert http.post("/record/v1/journalEntry", json=sent).status_code == 204
    (held,) = account.face.erp.documents()
    assert [x.debit or -x.credit for x in held.entry.lines] == [690, 689, 689, 689, -2757]


def test_suiteql_is_no_database(http):
    def ask(sql: str, **headers: str) -> httpx.Response:
        return http.post("/query/v1/suiteql", json={"q": sql}, headers={"Prefer": "transient", **headers})

    http.post("/record/v1/journalEntry", json=body("k1"))
    rows = ask("SELECT t.trandate, t.memo FROM transaction t ORDER BY t.id").json()["items"]
    assert rows == [{"links": [], "trandate": "3/31/2026", "memo": ""}]
    assert ask("SELECT id FROM account LIMIT 1").status_code == 400
    assert ask("SELECT id FROM account WHERE id = ?").status_code == 400
    assert ask("DELETE FROM account").status_code == 400
    assert http.post("/query/v1/suiteql", json={"q": "SELECT id FROM account"}).status_code == 400
