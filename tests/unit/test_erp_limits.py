"""Limits of an ERP: from erp.yaml to the worker, and requests that are spaced out on the wire."""

from __future__ import annotations

import httpx
import pytest
from pydantic import ValidationError

from revenue_assets.domain.config_posting import ErpLimits
from revenue_assets.posting.erp.pacing import PacedTransport, paced
from revenue_assets.posting.limits import limits_of
from revenue_assets.posting.steps import Limits


class Watch:
    """A clock that moves when somebody sleeps."""

    def __init__(self) -> None:
        self.at = 100.0

    def now(self) -> float:
        return self.at

    def sleep(self, seconds: float) -> None:
        self.at += seconds


def test_requests_are_spaced_out_and_none_is_delayed_without_need() -> None:
    watch, sent = Watch(), []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(round(watch.at, 3))
        return httpx.Response(200)

    transport = PacedTransport(httpx.MockTransport(answer), 0.4, now=watch.now, sleep=watch.sleep)
    with httpx.Client(transport=transport, base_url="http://erp") as client:
        for _ in range(3):
            client.get("/")
        watch.at = 200.0
        client.get("/")
    assert sent == [100.0, 100.4, 100.8, 200.0]


def test_without_a_rate_the_connection_is_the_usual_one() -> None:
    assert paced(None) is None
    assert isinstance(paced("2.5"), PacedTransport)


def test_the_defaults_are_the_workers_own() -> None:
    assert limits_of(ErpLimits(), max_wait_seconds=0.0) == Limits()
    asked = ErpLimits(documents_per_call=7, breaker_failures=9, lease_seconds=60)
    limits = limits_of(asked, max_wait_seconds=5.0)
    found = (limits.documents_per_call, limits.breaker_failures, limits.lease_seconds, limits.max_wait_seconds)
    assert found == (7, 9, 60.0, 5.0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"requests_per_second": "0"},
        {"requests_per_second": "fast"},
        {"requests_per_second": 2.5},
        {"documents_per_call": 0},
        {"backoff_base_seconds": 10, "backoff_cap_seconds": 5},
        {"document_per_call": 5},
    ],
)
def test_limits_that_make_no_sense_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        ErpLimits.model_validate(wrong)
