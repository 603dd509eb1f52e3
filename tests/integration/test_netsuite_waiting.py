"""Journals that are not in the ledger at once: approvals, and asynchronous jobs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from netsuite_account import Account, journal, running

from demo.simulators.server import HangUp, Request, Response
from revenue_assets.posting.erp.netsuite import NetSuiteErp


class Now:
    """A clock that stands until it is moved."""

    at = 1_000.0

    def __call__(self) -> float:
        return self.at


@pytest.fixture
def now() -> Now:
    return Now()


@pytest.fixture
def account(tmp_path, now: Now) -> Iterator[Account]:
    with running(tmp_path, clock=now, approvals=True) as account:
        yield account


@pytest.fixture
def queue(account: Account) -> NetSuiteErp:
    """An adapter in asynchronous mode, on an account that needs no approvals."""
    account.face.approvals = False
    return account.adapter(mode="async")


# -- approvals ---------------------------------------------------------------------------------------------------


def test_a_pending_journal_is_created_and_posted_only_when_approved(account):
    erp = account.adapter()
    document = journal("k1")
    (outcome,) = erp.submit([document])
    assert (outcome.state, outcome.failure) == ("created", None)
    assert erp.lines("US Inc", [outcome.document_id])[outcome.document_id].state == "created"
    assert erp.balances("US Inc", "2026-03") == (), "it does not count"
    (again,) = erp.submit([document])
    assert (again.state, again.already_there) == ("created", True), "asked again, it waits on"
    account.face.approve(outcome.document_id)
    (hit,) = erp.find("US Inc", ["k1"])["k1"]
    assert (hit.state, hit.document_id) == ("posted", outcome.document_id)
    assert [b.balance for b in erp.balances("US Inc", "2026-03")] == [12_000, -12_000]
    assert dict(account.face.erp.copies()) == {"k1": 1}


@pytest.mark.parametrize("field", ["approvalStatus", "approved"])
def test_the_configuration_may_set_the_approval(account, field):
    approved = account.adapter(create_as="approved", approval_field=field)
    assert approved.submit([journal("k1")])[0].state == "posted"
    account.face.approvals = False
    pending = account.adapter(create_as="pending", approval_field=field)
    assert pending.submit([journal("k2")])[0].state == "created"


def test_a_pending_journal_cannot_be_reversed(account):
    from netsuite_account import MARCH

    from revenue_assets.posting.erp.port import Reversal

    erp = account.adapter()
    (outcome,) = erp.submit([journal("k1")])
    back = erp.reverse(Reversal("r1", "US Inc", outcome.document_id, MARCH, "2026-03"))
    assert "not posted" in back.failure.message


# -- asynchronous jobs -------------------------------------------------------------------------------------------


def test_a_job_is_accepted_and_followed(account, queue, now):
    account.reset({"job_seconds": 5.0})
    assert queue.capabilities.mode == "async"
    (outcome,) = queue.submit([journal("k1")])
    assert (outcome.state, outcome.failure) == ("accepted", None)
    (waiting,) = queue.poll("US Inc", {"k1": outcome.job_id})
    assert (waiting.state, waiting.job_id) == ("accepted", outcome.job_id)
    now.at += 5
    (done,) = queue.poll("US Inc", {"k1": outcome.job_id})
    assert (done.state, done.failure) == ("posted", None)
    held = queue.lines("US Inc", [done.document_id])[done.document_id]
    assert held.key == "k1"


def test_the_same_request_again_leads_to_the_first_job(account, queue, now):
    account.reset({"job_seconds": 5.0})
    (first,) = queue.submit([journal("k1")])
    (second,) = queue.submit([journal("k1")])
    assert (second.state, second.job_id) == ("accepted", first.job_id)
    now.at += 5
    (third,) = queue.submit([journal("k1")])
    assert (third.state, third.already_there) == ("posted", True)
    assert dict(account.face.erp.copies()) == {"k1": 1}


def test_a_forgotten_idempotency_key_makes_no_second_journal(account, queue, now):
    """How long NetSuite keeps the key is not written anywhere; the external id is what holds."""
    account.reset({"job_seconds": 5.0, "remembers_keys": False})
    jobs = [queue.submit([journal("k1")])[0].job_id for _ in range(2)]
    assert len(set(jobs)) == 2, "two jobs are under way"
    now.at += 5
    outcomes = [queue.poll("US Inc", {"k1": job})[0] for job in jobs]
    assert [(o.state, o.document_id) for o in outcomes] == [("posted", "1"), ("posted", "1")]
    assert dict(account.face.erp.copies()) == {"k1": 1}


def test_a_failed_job_says_why_and_may_be_tried_again_after_the_fix(account, queue, now):
    account.reset({"job_seconds": 5.0})
    (queued,) = queue.submit([journal("k1")])
    account.face.close_period("2026-03")
    now.at += 5
    (failed,) = queue.poll("US Inc", {"k1": queued.job_id})
    assert (failed.state, failed.failure.failure_class) == (None, "invalid")
    assert "gesperrt" in failed.failure.evidence
    assert queue.submit([journal("k1")])[0].failure.failure_class == "period_closed", "seen before it is sent again"
    account.face.close_period("2026-03", "open")
    (retried,) = queue.submit([journal("k1")])
    assert retried.state == "accepted"
    assert retried.job_id != queued.job_id, "the failed job's key is spent"
    now.at += 5
    assert queue.poll("US Inc", {"k1": retried.job_id})[0].state == "posted"
    assert dict(account.face.erp.copies()) == {"k1": 1}


def test_a_job_that_netsuite_forgot_is_looked_up(account, queue, now):
    (unknown,) = queue.poll("US Inc", {"k1": "4711"})
    assert unknown.failure.failure_class == "uncertain"
    account.adapter().submit([journal("k1")])
    (found,) = queue.poll("US Inc", {"k1": "4711"})
    assert (found.state, found.document_id) == ("posted", "1")


def test_a_poll_without_an_answer_stays_accepted(account, queue):
    (queued,) = queue.submit([journal("k1")])
    account.face.erp.down = True
    (outcome,) = queue.poll("US Inc", {"k1": queued.job_id})
    assert (outcome.state, outcome.failure.failure_class) == ("accepted", "unavailable")


def test_a_pending_journal_of_a_job_is_created(account, now):
    erp = account.adapter(mode="async")
    (queued,) = erp.submit([journal("k1")])
    now.at += 5
    assert erp.poll("US Inc", {"k1": queued.job_id})[0].state == "created"


def test_a_queue_whose_answer_is_lost_is_unknown_and_found_by_its_key(account, queue, now, monkeypatch):
    original, lost = account.face.answer, []

    def answer(request: Request) -> Response:
        response = original(request)
        if request.method == "POST" and "journalentry" in request.path.lower() and not lost:
            lost.append(request)
            raise HangUp
        return response

    monkeypatch.setattr(account.face, "answer", answer)
    (outcome,) = queue.submit([journal("k1")])
    assert outcome.failure.failure_class == "uncertain"
    (again,) = queue.submit([journal("k1")])
    assert (again.state, again.job_id) == ("accepted", "1"), "the idempotency key names the first job"
    now.at += 5
    assert queue.poll("US Inc", {"k1": "1"})[0].state == "posted"
    changed = replace(journal("k1", 5))
    assert queue.submit([changed])[0].failure.failure_class == "conflict"
