"""The simulators as a supervised process: ports, secrets, exported variables, and every way to end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from simulators_world import write_world

from demo import services
from demo.erp.processes import identity
from demo.simulators.faults import Fault, FaultError, demo_faults

ROOT = Path(__file__).resolve().parents[2]
STARTER = """
import sys, time
from pathlib import Path
from demo import services
with services.simulators(Path(sys.argv[1])) as up:
    print(up.pid, flush=True)
    time.sleep(60)
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    write_world(tmp_path / "home" / "demo" / "world")
    return tmp_path / "home"


def start(home: Path) -> tuple[subprocess.Popen[str], int]:
    """A starter process in its own session with the simulators up; returns it and the simulators' pid."""
    starter = subprocess.Popen(
        [sys.executable, "-c", STARTER, str(home)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        start_new_session=True,
        # A test run in the background of a shell inherits an ignored SIGINT; a terminal's does not.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert starter.stdout is not None
    return starter, int(starter.stdout.readline())


def gone(pid: int, seconds: float = 5) -> bool:
    limit = time.monotonic() + seconds
    while identity(pid) is not None and time.monotonic() < limit:
        time.sleep(0.02)
    return identity(pid) is None


def balance(up: services.Simulators) -> int:
    key = up.environment()["STRIPE_KEY_US"]
    return httpx.get(f"{up.billing_url}/v1/payouts", headers={"Authorization": f"Bearer {key}"}).status_code


def test_the_simulators_serve_for_the_length_of_the_block(home: Path) -> None:
    started = time.monotonic()
    with services.simulators(home) as up:
        assert time.monotonic() - started < 5
        assert balance(up) == 200
        token = {"grant_type": "client_credentials", "client_id": up.secrets.crm_client_id}
        token["client_secret"] = up.secrets.crm_client_secret
        assert httpx.post(f"{up.crm_url}/services/oauth2/token", data=token).status_code == 200
        assert httpx.get(f"{up.tax_url}/api/v2/utilities/ping").status_code == 200
        assert set(up.environment()) == {
            *("CRM_BASE_URL", "CRM_CLIENT_ID", "CRM_CLIENT_SECRET", "STRIPE_BASE_URL", "STRIPE_KEY_US"),
            *("STRIPE_KEY_UK", "AVATAX_BASE_URL", "AVATAX_ACCOUNT", "AVATAX_LICENSE"),
        }
        assert up.secrets.crm_client_secret not in repr(up)
    assert gone(up.pid)
    assert not (home / "demo" / "simulators.json").exists()


def test_secrets_are_random_kept_and_private(home: Path, tmp_path: Path) -> None:
    with services.simulators(home) as up:
        first = up.environment()
    with services.simulators(home) as up:
        again = up.environment()
    assert {k: v for k, v in first.items() if "URL" not in k} == {k: v for k, v in again.items() if "URL" not in k}
    assert (home / "demo" / "secrets.json").stat().st_mode & 0o777 == 0o600
    other = tmp_path / "other"
    write_world(other / "demo" / "world")
    with services.simulators(other) as up:
        assert up.environment()["STRIPE_KEY_US"] != first["STRIPE_KEY_US"]


def test_exported_variables_come_and_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRM_BASE_URL", "before")
    monkeypatch.delenv("CRM_CLIENT_ID", raising=False)
    seen: list[str] = []

    def interrupted() -> None:
        with services.exported({"CRM_BASE_URL": "during", "CRM_CLIENT_ID": "x"}):
            seen.extend((os.environ["CRM_BASE_URL"], os.environ["CRM_CLIENT_ID"]))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert seen == ["during", "x"]
    assert os.environ["CRM_BASE_URL"] == "before"
    assert "CRM_CLIENT_ID" not in os.environ


def test_a_second_start_is_refused_while_one_runs(home: Path) -> None:
    with (
        services.simulators(home) as up,
        pytest.raises(services.ServicesError, match="already run"),
        services.simulators(home),
    ):
        pass
    assert gone(up.pid)


def test_without_a_world_a_sentence_says_so(tmp_path: Path) -> None:
    with pytest.raises(services.ServicesError, match="no demo company"), services.simulators(tmp_path):
        pass


def test_a_broken_world_is_named(home: Path) -> None:
    (home / "demo" / "world" / "billing_us" / "event.jsonl").write_text('{"id": "evt_1"\n', encoding="utf-8")
    with (
        pytest.raises(services.ServicesError, match=r"event.jsonl line 1: not JSON"),
        services.simulators(home),
    ):
        pass


def test_ctrl_c_stops_everything(home: Path) -> None:
    starter, pid = start(home)
    os.killpg(starter.pid, signal.SIGINT)
    assert starter.wait(10) != 0
    assert gone(pid)
    assert not (home / "demo" / "simulators.json").exists()


def test_a_killed_starter_takes_the_simulators_along(home: Path) -> None:
    starter, pid = start(home)
    starter.kill()
    starter.wait()
    if sys.platform == "linux":  # elsewhere nobody tells a child that its parent died: the next start ends it
        assert gone(pid)
    with services.simulators(home) as up:
        assert balance(up) == 200
        assert gone(pid)


def test_what_a_crash_left_is_ended_by_the_next_start(home: Path) -> None:
    """A leftover as it is where no kernel helps: started without a parent to follow."""
    port_file = home / "demo" / "simulators.json"
    command = [sys.executable, "-m", "demo.simulators", "--world", str(home / "demo" / "world")]
    leftover = subprocess.Popen([*command, "--port-file", str(port_file)], cwd=ROOT)
    try:
        while not port_file.exists():
            assert leftover.poll() is None
            time.sleep(0.02)
        with services.simulators(home) as up:
            assert leftover.wait(5) == 0
            assert up.pid != leftover.pid
            assert balance(up) == 200
    finally:
        leftover.kill()


def test_a_stranger_with_the_same_number_is_left_alone(home: Path) -> None:
    stranger = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    run = {"pid": stranger.pid, "identity": "1 another command", "urls": {}}
    (home / "demo" / "simulators.json").write_text(json.dumps(run), encoding="utf-8")
    try:
        with services.simulators(home):
            pass
        assert stranger.poll() is None
    finally:
        stranger.kill()


@pytest.mark.parametrize(
    "text", ['{"stripe": [{"status": 429, "evry": 2}]}', '{"paypal": []}', "{", '{"stripe": [{"status": "late"}]}']
)
def test_faults_that_cannot_be_read_stop_the_start(home: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEMO_FAULTS", text)
    with pytest.raises(services.ServicesError, match="fault"), services.simulators(home):
        pass


def test_faults_strike_as_counted() -> None:
    fault = Fault(429, first=2, every=3, times=2, path="/v1/")
    assert [fault.strikes("/v1/x") for _ in range(9)] == [n in (1, 4) for n in range(9)]
    assert not fault.strikes("/other")
    with pytest.raises(FaultError, match="every"):
        Fault(429, every=0)


def test_the_demos_own_faults_cost_each_vendor_little() -> None:
    for vendor, faults in demo_faults().items():
        waits = sum(int(fault.retry_after or 0) * (fault.times or 0) for fault in faults)
        assert all(fault.times for fault in faults), vendor
        assert any(fault.status == 429 for fault in faults), vendor
        assert waits <= 5, vendor
