"""The emulated ERP keeps what it took, and misbehaves when and as it is told."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from demo.erp_emulators.behaviour import ALTERATIONS, BEHAVIOURS
from demo.erp_emulators.core import Trap
from demo.erp_emulators.face import CONTROL, serving
from demo.erp_emulators.rest import TOKEN, RestFace

SETUP = {"companies": {"US Inc": "USD"}, "accounts": ["1100", "4000"], "years": [2026]}
HEADERS = {"Authorization": f"Bearer {TOKEN}"}
CALLER = """
import json, signal, sys, urllib.request
order = json.loads(sys.stdin.readline())
body = json.dumps(order["body"]).encode()
urllib.request.urlopen(urllib.request.Request(order["url"], body, order["headers"]), timeout=20).read()
signal.pause()
"""


class Now:
    """A clock that stands until it is moved."""

    at = 1_000.0

    def __call__(self) -> float:
        return self.at


@pytest.fixture
def now() -> Now:
    return Now()


@pytest.fixture
def face(tmp_path: Path, now: Now) -> RestFace:
    face = RestFace(tmp_path, clock=now)
    face.setup(**SETUP)
    return face


@pytest.fixture
def http(face: RestFace):
    with serving(face, log=print) as url, httpx.Client(base_url=url, headers=HEADERS) as client:
        yield client


def journal(key: str, amount: str = "120.00", date: str = "2026-03-31") -> dict:
    zero = "0.00"
    return {
        "external_id": key, "date": date, "currency": "USD", "text": "t",
        "lines": [
            {"account": "1100", "debit": amount, "credit": zero, "currency": "USD", "amount": amount},
            {"account": "4000", "debit": zero, "credit": amount, "currency": "USD", "amount": f"-{amount}"},
        ],
    }  # fmt: skip


def post(http: httpx.Client, key: str, **changes: str) -> httpx.Response:
    return http.post("/v1/companies/US Inc/journals", json=journal(key, **changes), headers={"Idempotency-Key": key})


def find(http: httpx.Client, key: str) -> list[dict]:
    return http.get("/v1/companies/US Inc/journals", params={"external_id": key}).json()["journals"]


def test_books_survive_the_process(face, http, tmp_path):
    assert post(http, "k1").status_code == 201
    again = RestFace(tmp_path)
    assert dict(again.erp.copies()) == {"k1": 1}
    assert again.erp.documents()[0].entry.lines[0].debit == 12_000


def test_a_key_is_remembered_expires_or_is_ignored(face, http):
    first = post(http, "k1")
    assert post(http, "k1").json()["id"] == first.json()["id"]
    assert post(http, "k1", amount="1.00").status_code == 422
    face.erp.behaviour = BEHAVIOURS["key_expired"]
    face.erp.restart()
    assert post(http, "k1").json()["id"] != first.json()["id"]
    face.erp.behaviour = BEHAVIOURS["no_key"]
    post(http, "k2")
    post(http, "k2")
    assert dict(face.erp.copies()) == {"k1": 2, "k2": 2}
    face.erp.behaviour = BEHAVIOURS["unique_id"]
    statuses = {post(http, "k3").status_code for _ in range(8)}
    assert statuses <= {201, 409, 504}
    assert face.erp.copies()["k3"] == 1


def test_the_index_lags(face, http, now):
    face.erp.behaviour = BEHAVIOURS["index_lag"]
    post(http, "k1")
    assert find(http, "k1") == []
    now.at += BEHAVIOURS["index_lag"].index_lag
    assert len(find(http, "k1")) == 1


def test_a_gateway_gives_up_and_the_work_goes_on(face, http, now):
    face.reset({"remembers_keys": False, "gateway": 1.0, "late_commit": 10.0}, seed=3, setup=SETUP)
    assert post(http, "k1").status_code == 504
    assert find(http, "k1") == []
    now.at += 10
    assert len(find(http, "k1")) == 1


def test_a_connection_drops_after_the_commit(face, http):
    face.reset({"drop_after_commit": 1.0}, setup=SETUP)
    with pytest.raises(httpx.RemoteProtocolError):
        post(http, "k1")
    assert dict(face.erp.copies()) == {"k1": 1}


def test_storms_throttling_outage_and_closed_periods(face, http):
    face.reset({"storm_before": 1.0}, setup=SETUP)
    assert post(http, "k1").status_code in (500, 503, 504)
    face.reset({"throttle": 1.0, "retry_after": 2}, setup=SETUP)
    assert (post(http, "k1").status_code, post(http, "k1").headers["retry-after"]) == (429, "2")
    face.reset(setup=SETUP)
    face.erp.down = True
    assert post(http, "k1").status_code == 503
    face.erp.down = False
    face.erp.ledger.set_period("US Inc", "2026-03", "closed")
    assert post(http, "k1").json()["error"]["code"] == "period_closed"
    assert post(http, "k1", date="2031-03-31").json()["error"]["code"] == "no_period"
    assert not face.erp.copies()


@pytest.mark.parametrize("alteration", ALTERATIONS)
def test_reads_are_altered_and_the_books_are_not(face, http, alteration):
    made = post(http, "key-1").json()
    face.erp.behaviour = BEHAVIOURS["ideal"].__class__(alter=alteration)
    (read,) = http.get("/v1/companies/US Inc/journals", params={"id": made["id"]}).json()["journals"]
    assert {k: v for k, v in read.items() if k not in ("id", "lines", "external_id", "date")} == {
        k: v for k, v in made.items() if k not in ("id", "lines", "external_id", "date")
    }
    assert read != made
    assert face.erp.documents()[0].entry.key == "key-1"


@pytest.mark.parametrize("phase", ["received", "committed", "replied"])
def test_a_trap_ends_the_caller_and_the_seed_decides_what_becomes_of_the_request(face, phase, tmp_path):
    with serving(face) as url:
        caller = subprocess.Popen([sys.executable, "-c", CALLER], stdin=subprocess.PIPE, text=True)
        face.erp.trap = Trap(phase, 1, caller.pid)
        order = {"url": f"{url}/v1/companies/US%20Inc/journals", "headers": HEADERS, "body": journal("k")}
        caller.stdin.write(f"{json.dumps(order)}\n")
        caller.stdin.flush()
        assert caller.wait(30) == -signal.SIGKILL
    if phase != "received":
        assert dict(face.erp.copies()) == {"k": 1}
    assert face.erp.calls[f"trap: {phase}"] == 1


def test_another_process_turns_the_faults(face, http):
    http.post(CONTROL, content=json.dumps({"do": "reset", "how": "unique_id", "seed": 5, "setup": SETUP}))
    assert face.erp.behaviour == BEHAVIOURS["unique_id"]
    http.post(CONTROL, content=json.dumps({"do": "down", "down": True}))
    assert post(http, "k").status_code == 503
    assert http.post(CONTROL, content=json.dumps({"do": "copies"})).json() == {}
