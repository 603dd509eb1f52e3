"""How each way in which a call can fail is classed, without a server."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterator
from decimal import Decimal

import httpx
import pytest
import stamina

from revenue_assets.domain.failures import CLASSES
from revenue_assets.posting.erp.port import Failure, Journal, Line
from revenue_assets.posting.erp.tryton import TrytonErp
from revenue_assets.sources.tryton_rpc import TRIES_MAX, RpcFault, TrytonRpc, decode, encode

LOGIN = {"id": 1, "result": [4, "token", None]}
NAIVE_INSTANT = dt.datetime(2026, 1, 2, 3, 4, 5, 6)  # noqa: DTZ001 - so the server writes them
Handler = Callable[[httpx.Request], httpx.Response]


@pytest.fixture(autouse=True)
def _no_waiting() -> Iterator[None]:
    with stamina.set_testing(True, attempts=TRIES_MAX):
        yield


def rpc(handler: Handler) -> TrytonRpc:
    """A client whose login works and whose other calls go to `handler`."""

    def answer(request: httpx.Request) -> httpx.Response:
        if b"common.db.login" in request.content:
            return httpx.Response(200, json=LOGIN)
        return handler(request)

    return TrytonRpc("http://127.0.0.1:1", "erp", "robot", "secret-password", transport=httpx.MockTransport(answer))


def fault(handler: Handler, *, write: bool) -> RpcFault:
    with pytest.raises(RpcFault) as caught:
        rpc(handler).call("model.account.move.create", [], {}, write=write)
    return caught.value


def status(code: int, text: str = "", **headers: str) -> Handler:
    return lambda _: httpx.Response(code, text=text, headers={k.replace("_", "-"): v for k, v in headers.items()})


def broken(error: type[httpx.TransportError]) -> Handler:
    def raise_it(request: httpx.Request) -> httpx.Response:
        raise error("broken", request=request)

    return raise_it


LOCK = "<html><p>could not obtain lock on row in relation ir_sequence_strict</p></html>"


@pytest.mark.parametrize(
    ("handler", "read", "write"),
    [
        (status(401), "auth", "auth"),
        (status(403), "auth", "auth"),
        (status(429), "throttled", "throttled"),
        (status(503, LOCK), "throttled", "throttled"),
        (status(503, "maintenance"), "unavailable", "unavailable"),
        (status(502), "unavailable", "unavailable"),
        (status(500), "unavailable", "uncertain"),
        (status(504), "unavailable", "uncertain"),
        (status(302), "unavailable", "uncertain"),
        (status(200, "<html>proxy</html>"), "unavailable", "uncertain"),
        (status(200, '{"id": 2}'), "unavailable", "uncertain"),
        (status(200, "[1, 2"), "unavailable", "uncertain"),
        (status(422), "refused", "refused"),
        (status(413), "refused", "refused"),
        (status(200, '{"id":2,"error":["UserError",["No.","",null]]}'), "refused", "refused"),
        (status(200, '{"id":2,"error":["\'account.nope\'","traceback"]}'), "refused", "refused"),
        (broken(httpx.ConnectError), "unavailable", "unavailable"),
        (broken(httpx.ConnectTimeout), "unavailable", "unavailable"),
        (broken(httpx.ReadTimeout), "unavailable", "uncertain"),
        (broken(httpx.ReadError), "unavailable", "uncertain"),
        (broken(httpx.WriteError), "unavailable", "uncertain"),
        (broken(httpx.RemoteProtocolError), "unavailable", "uncertain"),
    ],
)
def test_every_failure_has_one_class(handler: Handler, read: str, write: str) -> None:
    assert fault(handler, write=False).kind == read
    assert fault(handler, write=True).kind == write


@pytest.mark.parametrize(
    ("handler", "write", "calls"),
    [
        (status(503, LOCK), True, TRIES_MAX),  # nothing was done: again
        (status(429), True, TRIES_MAX),
        (status(503), False, TRIES_MAX),
        (status(503), True, 1),  # the worker looks up first
        (broken(httpx.ReadTimeout), True, 1),
        (broken(httpx.ConnectError), True, 1),
        (broken(httpx.ReadTimeout), False, TRIES_MAX),
        (status(422), False, 1),
        (status(200, '{"id":2,"error":["UserError",["No.","",null]]}'), True, 1),
        (status(401), True, 2),  # once more with a new session
        (status(403), True, 1),
    ],
)
def test_only_what_surely_did_nothing_is_sent_again(handler: Handler, write: bool, calls: int) -> None:
    seen: list[bytes] = []

    def counting(request: httpx.Request) -> httpx.Response:
        seen.append(request.content)
        return handler(request)

    fault(counting, write=write)
    assert len(seen) == calls


def test_a_lock_collision_that_clears_is_no_failure() -> None:
    answers = iter([httpx.Response(503, text=LOCK), httpx.Response(200, json={"id": 2, "result": [7]})])
    assert rpc(lambda _: next(answers)).call("model.account.move.create", [], {}) == [7]


def test_retry_after_is_carried() -> None:
    assert fault(status(429, Retry_After="7"), write=True).retry_after == 7.0


def test_no_message_carries_the_password() -> None:
    assert "secret-password" not in str(fault(status(500, "login secret-password failed"), write=True))


def test_the_robot_speaks_english_so_that_evidence_reads_alike() -> None:
    seen: list[dict[str, object]] = []

    def record(request: httpx.Request) -> httpx.Response:
        seen.append(json.loads(request.content))
        return httpx.Response(200, json=LOGIN)

    TrytonRpc("http://127.0.0.1:1", "erp", "robot", "x", transport=httpx.MockTransport(record)).login()
    assert seen[0]["params"] == ["robot", {"password": "x"}, "en"]  # pragma: allowlist secret


def test_plain_http_is_for_this_machine_alone() -> None:
    with pytest.raises(Exception, match="https"):
        TrytonRpc("http://erp.example.com", "erp", "robot", "x")


def test_typed_values_survive_the_way_there_and_back() -> None:
    values = [
        Decimal("0.10"),
        Decimal("90071992547409930.01"),
        dt.date(2026, 2, 28),
        NAIVE_INSTANT,
    ]
    text = json.dumps(values, default=encode)
    assert json.loads(text, object_hook=decode) == values


@pytest.mark.parametrize("value", [{1, 2}, object()])
def test_what_has_no_exact_form_is_not_sent(value: object) -> None:
    with pytest.raises(ValueError, match="cannot be sent"):
        json.dumps(value, default=encode)


@pytest.mark.parametrize("values", [[1.5], [{"debit": 0.1}], [[["create", [{"debit": 120.0}]]]]])
def test_a_float_is_not_sent(values: list[object]) -> None:
    sent: list[bytes] = []
    with pytest.raises(ValueError, match="float"):
        rpc(lambda request: sent.append(request.content) or httpx.Response(500)).call("model.x.create", values, {})
    assert sent == []


def test_each_kind_of_fault_becomes_a_class_of_the_closed_list() -> None:
    """Through the adapter: nothing that goes wrong in `submit` is raised, and each outcome has a known class."""
    lines = (Line(1, "1", 1, 0, "USD", 1), Line(2, "2", 0, 1, "USD", -1))
    document = Journal("key", "Us", dt.date(2026, 3, 31), "2026-03", "USD", lines)
    for handler, expected in (
        (status(401), "auth"),
        (status(429), "throttled"),
        (status(503), "unavailable"),
        (broken(httpx.ReadTimeout), "unavailable"),
        (status(200, '{"id":2,"error":["UserError",["No.","",null]]}'), "invalid"),
    ):
        erp = TrytonErp("http://127.0.0.1:1", "erp", "robot", "x", {"USD": 2})
        erp._submission._rpc = erp._masters._rpc = erp._ledger._rpc = rpc(handler)
        (outcome,) = erp.submit([document])
        assert outcome.failure is not None
        assert outcome.failure.failure_class == expected
        assert outcome.state is None


def test_only_four_classes_may_retry_and_two_of_them_look_up_first() -> None:
    failures = [Failure(name, "x") for name in CLASSES]
    assert {f.failure_class for f in failures if f.retry} == {"auth", "throttled", "unavailable", "uncertain"}
    assert {f.failure_class for f in failures if f.retry and f.look_up_first} == {"unavailable", "uncertain"}
    with pytest.raises(ValueError, match="not a failure class"):
        Failure("oops", "x")
