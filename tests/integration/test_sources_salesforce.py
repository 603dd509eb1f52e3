"""The CRM source against the simulator, with the public client inside: login, windows, paging, deletions, limits."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from sources_support import Lander, ScriptedServer, write_world

from demo.simulators.faults import Fault, Weather
from demo.simulators.salesforce import CrmLogin, SalesforceApp
from demo.simulators.server import LoopbackServer
from demo.simulators.tables import Instance
from revenue_assets.sources.base import PaginationError, Source, SourceError, SourceUnavailable
from revenue_assets.sources.salesforce import SalesforceSource

NOW = dt.datetime(2026, 11, 1, 3, tzinfo=dt.UTC)
SECRET = "canary-client-secret"  # pragma: allowlist secret
CREDENTIALS = {"client_id": "canary-client-id", "client_secret": SECRET}


def stamp(n: int) -> str:
    return (dt.datetime(2026, 10, 1) + dt.timedelta(minutes=n)).strftime("%Y-%m-%dT%H:%M:%S.000+0000")  # noqa: DTZ001


def record(n: int, at: int | None = None, **more: Any) -> dict[str, Any]:
    body = {"Id": f"006Hu{n:010d}AAA", "IsDeleted": False, "CreatedDate": stamp(n)}
    body |= {"SystemModstamp": stamp(n if at is None else at)}
    body |= {"AccountId": "001Hu0000000001AAA", "Name": f"Deal {n}", "StageName": "Closed Won", "IsWon": True}
    body |= {"IsClosed": True, "CloseDate": "2026-09-30", "CurrencyIsoCode": "USD", "Amount": 1200.5}
    return body | {"Type": "New Business", "Legal_Entity__c": "US"} | more


def serve(folder: Path, records: list[Any], weather: Weather | None = None, **options: Any) -> Iterator[Any]:
    write_world(folder, {"opportunity": records})
    login = options.pop("login", CrmLogin(CREDENTIALS["client_id"], SECRET))
    app = SalesforceApp(Instance(folder), login, weather or Weather(), **options)
    server = LoopbackServer(app)
    server.start()
    app.url = server.base_url
    try:
        yield app
    finally:
        server.stop()


def crm(url: str, **options: Any) -> SalesforceSource:
    return SalesforceSource("crm", None, url, CREDENTIALS, options, sleep=lambda _: None)


@pytest.fixture
def lander(tmp_path: Path) -> Lander:
    return Lander(tmp_path / "home")


def test_pages_land_whole_and_a_second_run_lands_nothing(tmp_path: Path, lander: Lander) -> None:
    for app in serve(tmp_path / "world", [record(n) for n in range(4321)]):
        source = crm(app.url)
        assert isinstance(source, Source)
        first = lander.land(source, source.OBJECTS, NOW)
        second = lander.land(crm(app.url), source.OBJECTS, NOW + dt.timedelta(hours=1))
    assert {name: r.rows_landed for name, r in first.items()} == {
        **dict.fromkeys(source.OBJECTS, 0),
        "opportunity": 4321,
    }
    assert all(len(result.batches) == 1 for result in first.values())
    assert all(not result.batches for result in second.values())
    assert 0 < second["opportunity"].rows_read <= 20  # the overlap, not the history
    assert first["opportunity"].batches[0].control_totals["amounts"] == {"Amount": {"usd": "5187360.5"}}
    landed = lander.latest("crm", "opportunity")[record(7)["Id"]]
    assert landed["Legal_Entity__c"] == "US"
    assert landed["attributes"]["type"] == "Opportunity"


def test_a_late_commit_with_an_older_stamp_is_not_skipped(tmp_path: Path, lander: Lander) -> None:
    records = [record(n) for n in range(100)]
    for app in serve(tmp_path / "before", records):
        lander.land(crm(app.url), ["opportunity"], NOW)
    records += [record(500, at=90), record(501, at=101)]
    for app in serve(tmp_path / "after", records):
        result = lander.land(crm(app.url), ["opportunity"], NOW + dt.timedelta(hours=1))["opportunity"]
    assert result.rows_landed == 2


def test_recycle_bin_and_purged_records(tmp_path: Path, lander: Lander) -> None:
    records = [record(n) for n in range(30)]
    for app in serve(tmp_path / "before", records):
        lander.land(crm(app.url), ["opportunity"], NOW)
    records[5] = record(5, at=40, IsDeleted=True)
    purged = records.pop(6)
    for app in serve(tmp_path / "after", records):
        soon = lander.land(crm(app.url), ["opportunity"], NOW + dt.timedelta(hours=1))["opportunity"]
        later = lander.land(crm(app.url), ["opportunity"], NOW + dt.timedelta(days=7))["opportunity"]
    assert (soon.rows_landed, soon.rows_deleted, later.rows_deleted) == (1, 0, 1)
    latest = lander.latest("crm", "opportunity")
    assert latest[record(5)["Id"]]["IsDeleted"] is True
    assert latest[purged["Id"]] == {"id": purged["Id"], "deleted": True}


def test_faults_on_the_way_and_an_ended_session_lose_nothing(tmp_path: Path, lander: Lander) -> None:
    weather = Weather(
        [Fault(429, first=1, times=1, path="/query", retry_after="1"), Fault(503, first=3, times=1, path="/query")]
    )
    for app in serve(tmp_path / "world", [record(n) for n in range(4100)], weather):
        source = crm(app.url)
        lander.land(source, ["account"], NOW)
        assert source._org is not None
        source._org.headers["Authorization"] = "Bearer one-that-has-ended"
        result = lander.land(source, ["opportunity"], NOW)["opportunity"]
    assert result.rows_landed == 4100
    assert [fault.hits for fault in weather.faults] == [1, 1]


@pytest.mark.parametrize(("kind", "message"), [("same_cursor", "circle"), ("empty_page", "claims that more")])
def test_broken_pages_fail_the_run_and_save_no_cursor(tmp_path: Path, lander: Lander, kind: str, message: str) -> None:
    weather = Weather([Fault(kind, path="/query")])
    for app in serve(tmp_path / "world", [record(n) for n in range(4100)], weather):
        with pytest.raises(PaginationError, match=message):
            lander.land(crm(app.url), ["opportunity"], NOW)
    assert lander.cursors.get("crm", "opportunity") is None


def test_daily_limit_gives_the_slot_back_without_hammering(tmp_path: Path, lander: Lander) -> None:
    for app in serve(tmp_path / "world", [record(1)], daily_requests=0):
        with pytest.raises(SourceUnavailable, match="daily number of requests") as caught:
            lander.land(crm(app.url), ["opportunity"], NOW)
    assert caught.value.retry_after == 3600


def test_wrong_secret_is_refused_without_showing_it(tmp_path: Path, lander: Lander, caplog: Any) -> None:
    caplog.set_level("DEBUG")
    for app in serve(tmp_path / "world", [record(1)], login=CrmLogin("canary-client-id", "another")):
        with pytest.raises(SourceError, match="no access token") as caught:
            lander.land(crm(app.url), ["opportunity"], NOW)
    for canary in CREDENTIALS.values():
        assert canary not in str(caught.value)
        assert canary not in caplog.text
        assert canary not in lander.all_text()


def test_token_of_a_good_session_is_nowhere(tmp_path: Path, lander: Lander, caplog: Any) -> None:
    caplog.set_level("DEBUG")
    for app in serve(tmp_path / "world", [record(1)]):
        source = crm(app.url)
        lander.land(source, ["opportunity"], NOW)
    assert source._org is not None
    token = source._org.session_id
    assert len(token) > 20
    assert token not in caplog.text
    assert token not in lander.all_text()


def test_jwt_bearer_login(tmp_path: Path, lander: Lander) -> None:
    key = rsa.generate_private_key(65537, 2048)
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    login = CrmLogin("canary-client-id", SECRET, public.decode(), "robot@example.com")
    credentials = {"client_id": "canary-client-id", "username": "robot@example.com", "private_key": private.decode()}
    options = {"auth": "jwt_bearer", "audience": "https://login.salesforce.com"}
    for app in serve(tmp_path / "world", [record(1)], login=login):
        source = SalesforceSource("crm", None, app.url, credentials, options)
        assert lander.land(source, ["opportunity"], NOW)["opportunity"].rows_landed == 1


def test_a_field_the_org_lacks_is_left_out_or_named(tmp_path: Path, lander: Lander) -> None:
    for app in serve(tmp_path / "world", [record(1, Region__c="EMEA")]):
        lander.land(crm(app.url, fields={"opportunity": ["Region__c"]}), ["opportunity"], NOW)
        with pytest.raises(SourceError, match="no field Nope__c"):
            lander.land(crm(app.url, fields={"opportunity": ["Nope__c"]}), ["opportunity"], NOW)
    assert lander.latest("crm", "opportunity")[record(1)["Id"]]["Region__c"] == "EMEA"


def test_text_and_poison_of_an_answer() -> None:
    good = (
        '{"attributes":{"type":"Opportunity"},"Id":"006Hu0000000001AAA","SystemModstamp":"2026-10-01","Amount":10.10}'
    )
    bad = good.replace('"Amount":10.10', '"Amount":1,"Amount":900').replace("1AAA", "2AAA")
    page = f'{{"totalSize":2,"done":true,"records":[{good},{bad}]}}'
    fields = json.dumps({"fields": [{"name": name} for name in _fields()]})

    def reply(method: str, path: str, query: Any, headers: Any) -> tuple[int, dict[str, str], str]:
        if path.endswith("/token"):
            return 200, {}, '{"access_token":"t"}'
        return 200, {}, fields if path.endswith("/describe") else page

    with ScriptedServer(reply) as server:
        pages = list(crm(server.base_url).pull("opportunity", None, NOW))
    assert [r.raw for r in pages[0].records] == [good]
    assert [r.raw for r in pages[0].rejected] == [bad]


def _fields() -> list[str]:
    return [*SalesforceSource.CONTRACTS["opportunity"].required, "IsDeleted", "CreatedDate"]
