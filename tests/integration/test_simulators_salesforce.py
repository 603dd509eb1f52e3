"""The CRM simulator, driven by simple-salesforce; a session adapter sends its https:// calls to the loopback port."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
import requests
import requests.adapters
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from simple_salesforce import Salesforce, SalesforceLogin
from simple_salesforce.exceptions import (
    SalesforceAuthenticationFailed,
    SalesforceExpiredSession,
    SalesforceGeneralError,
    SalesforceMalformedRequest,
    SalesforceRefusedRequest,
    SalesforceResourceNotFound,
)
from simulators_world import KEYS, write_world

from demo.simulators.faults import Fault
from demo.simulators.runtime import Running, serving

DOMAIN = "meridian.my"
VERSION = "67.0"


class Loopback(requests.adapters.HTTPAdapter):
    """Sends every https:// request to one loopback port over plain HTTP."""

    def __init__(self, base_url: str) -> None:
        super().__init__()
        self._base_url = base_url

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        assert request.url is not None
        request.url = self._base_url + "/" + request.url.split("/", 3)[3]
        return super().send(request, *args, **kwargs)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_world(tmp_path_factory.mktemp("sim") / "world")


@pytest.fixture
def running(world: Path) -> Iterator[Running]:
    with serving(world, KEYS, log=pytest.fail) as up:
        yield up


def session(running: Running) -> requests.Session:
    made = requests.Session()
    made.mount("https://", Loopback(running.urls["salesforce"]))
    return made


@pytest.fixture
def crm(running: Running) -> Salesforce:
    return Salesforce(
        consumer_key=KEYS.crm_client_id,
        consumer_secret=KEYS.crm_client_secret,
        domain=DOMAIN,
        version=VERSION,
        session=session(running),
    )


# -- login


def test_client_credentials_give_a_session_on_this_instance(running: Running, crm: Salesforce) -> None:
    assert f"http://{crm.sf_instance}" == running.urls["salesforce"]
    assert crm.query("SELECT COUNT() FROM Opportunity")["totalSize"] == 450


@pytest.mark.parametrize(
    ("key", "secret", "message"),
    [("3MVGother", "CRMSECRET", "client identifier invalid"), ("3MVG9demo", "wrong", "invalid client credentials")],
)
def test_wrong_client_credentials_are_refused(running: Running, key: str, secret: str, message: str) -> None:
    with pytest.raises(SalesforceAuthenticationFailed, match=message):
        SalesforceLogin(session=session(running), consumer_key=key, consumer_secret=secret, domain=DOMAIN)


def test_credentials_may_come_in_the_form_and_bad_grants_are_named(running: Running) -> None:
    url = running.urls["salesforce"] + "/services/oauth2/token"
    form = {"grant_type": "client_credentials", "client_id": "3MVG9demo", "client_secret": "CRMSECRET"}
    answer = httpx.post(url, data=form).json()
    assert (answer["token_type"], answer["instance_url"]) == ("Bearer", running.urls["salesforce"])
    refused = httpx.post(url, data={**form, "grant_type": "password"})
    assert (refused.status_code, refused.json()["error"]) == (400, "unsupported_grant_type")


@pytest.fixture(scope="module")
def private_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture
def with_jwt(world: Path, private_key: rsa.RSAPrivateKey) -> Iterator[Running]:
    public = private_key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    keys = dataclasses.replace(KEYS, crm_jwt_public_key=public.decode(), crm_jwt_username="robot@meridian.example")
    with serving(world, keys, log=pytest.fail) as up:
        yield up


def _pem(key: rsa.RSAPrivateKey) -> str:
    kind = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, kind, serialization.NoEncryption()).decode()


def test_jwt_bearer_logs_in_with_the_right_key_only(with_jwt: Running, private_key: rsa.RSAPrivateKey) -> None:
    login: dict[str, Any] = {"consumer_key": "3MVG9demo", "domain": "login", "version": VERSION}
    crm = Salesforce(
        username="robot@meridian.example", privatekey=_pem(private_key), session=session(with_jwt), **login
    )
    assert crm.query("SELECT COUNT() FROM Account")["totalSize"] == 4
    other = _pem(rsa.generate_private_key(public_exponent=65537, key_size=2048))
    with pytest.raises(SalesforceAuthenticationFailed, match="invalid assertion"):
        Salesforce(username="robot@meridian.example", privatekey=other, session=session(with_jwt), **login)
    with (
        pytest.warns(UserWarning, match="authorize"),
        pytest.raises(SalesforceAuthenticationFailed, match="hasn't approved"),
    ):
        Salesforce(username="mallory@x.example", privatekey=_pem(private_key), session=session(with_jwt), **login)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"aud": "https://evil.example"}, "invalid_grant"),
        ({"iss": "3MVGother"}, "invalid_client_id"),
        ({"exp": dt.datetime(2026, 1, 1, tzinfo=dt.UTC)}, "invalid_grant"),
        ({"exp": dt.datetime(2126, 1, 1, tzinfo=dt.UTC)}, "invalid_grant"),
    ],
)
def test_jwt_claims_are_checked(
    with_jwt: Running, private_key: rsa.RSAPrivateKey, change: dict[str, Any], error: str
) -> None:
    claims = {
        "iss": "3MVG9demo",
        "sub": "robot@meridian.example",
        "aud": "https://login.salesforce.com",
        "exp": dt.datetime.now(dt.UTC) + dt.timedelta(minutes=3),
    }
    form = {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer"}
    url = with_jwt.urls["salesforce"] + "/services/oauth2/token"
    form["assertion"] = jwt.encode(claims, private_key, algorithm="RS256")
    assert httpx.post(url, data=form).status_code == 200
    form["assertion"] = jwt.encode(claims | change, private_key, algorithm="RS256")
    answer = httpx.post(url, data=form)
    assert (answer.status_code, answer.json()["error"]) == (400, error)
    form["assertion"] = jwt.encode(claims, "x" * 32, algorithm="HS256")
    assert httpx.post(url, data=form).status_code == 400


def test_sessions_end_and_the_client_logs_in_again(running: Running, crm: Salesforce) -> None:
    host = running.urls["salesforce"]
    fixed = Salesforce(session_id="00Dstolen", instance_url=host, version=VERSION, session=session(running))
    with pytest.raises(SalesforceExpiredSession) as caught:
        fixed.query("SELECT Id FROM Account")
    assert caught.value.content[0]["errorCode"] == "INVALID_SESSION_ID"
    crm.session_id = "00Dstolen"
    crm._generate_headers()
    assert crm.query("SELECT Id FROM Account")["done"]  # the client meets the 401 and takes a new session
    assert crm.session_id != "00Dstolen"
    running.crm.session_seconds = 0
    crm._refresh_session()
    with pytest.raises(SalesforceExpiredSession):
        crm.query("SELECT Id FROM Account")


# -- queries


def test_query_all_iter_follows_locators_over_pages(crm: Salesforce) -> None:
    headers = {"Sforce-Query-Options": "batchSize=200"}
    first = crm.query("SELECT Id FROM Opportunity ORDER BY Id", headers=headers)
    assert (len(first["records"]), first["done"], first["totalSize"]) == (200, False, 450)
    rows = list(crm.query_all_iter("SELECT Id, Name, Amount FROM Opportunity ORDER BY Id", headers=headers))
    assert [row["Name"] for row in rows] == [f"Deal {n}" for n in range(450)]
    assert rows[1]["attributes"] == {
        "type": "Opportunity",
        "url": f"/services/data/v{VERSION}/sobjects/Opportunity/{rows[1]['Id']}",
    }
    assert list(rows[1])[1:] == ["Id", "Name", "Amount"]


@pytest.mark.parametrize(("hint", "size"), [("batchSize=50", 200), ("batchSize=250", 250), ("batchSize=9999", 450)])
def test_the_batch_size_hint_is_kept_in_bounds(crm: Salesforce, hint: str, size: int) -> None:
    page = crm.query("SELECT Id FROM Opportunity", headers={"Sforce-Query-Options": hint})
    assert len(page["records"]) == size


def test_incremental_landing_query(crm: Salesforce) -> None:
    soql = (
        "SELECT Id, SystemModstamp FROM Opportunity WHERE SystemModstamp >= 2026-10-02T05:30:00Z AND "
        "SystemModstamp < 2026-10-03T08:30:00+02:00 ORDER BY SystemModstamp, Id"
    )
    rows = crm.query_all(soql)["records"]
    assert len(rows) == 25  # 02 05:30 until 03 06:30, one an hour
    assert rows[0]["SystemModstamp"] == "2026-10-02T05:30:00.000+0000"


@pytest.mark.parametrize(
    ("where", "count"),
    [
        ("Name = 'DEAL 7'", 1),
        ("Name LIKE 'deal 1_'", 10),
        ("Name LIKE '%9'", 45),
        ("Id IN ('006Hu0000000001AAA', '006Hu0000000002AAA')", 2),
        ("StageName NOT IN ('Closed Won')", 150),
        ("Amount = null", 45),
        ("Amount > 540.5", 9),
        ("IsWon = true AND CloseDate < 2026-10-03", 23),
        ("(IsWon = false OR Amount = null) AND CloseDate = 2026-10-01", 8),
        ("NOT (IsWon = true)", 150),
        ("region_score__c >= 448", 2),
        ("AccountId = '001Hu0000000001'", 113),
        ("Opportunity.Name != 'Deal 1'", 449),
    ],
)
def test_conditions_select_as_salesforce_does(crm: Salesforce, where: str, count: int) -> None:
    assert crm.query(f"SELECT COUNT() FROM Opportunity WHERE {where}")["totalSize"] == count


def test_quotes_and_unicode_survive(crm: Salesforce) -> None:
    rows = crm.query(r"SELECT Name FROM Account WHERE Name = 'O\'Hara & Söhne'")["records"]
    assert [row["Name"] for row in rows] == ["O'Hara & Söhne"]


def test_order_limit_and_offset(crm: Salesforce) -> None:
    soql = "SELECT Name, Amount FROM Opportunity ORDER BY Amount DESC NULLS LAST, Id LIMIT 2 OFFSET 1"
    assert [row["Name"] for row in crm.query(soql)["records"]] == ["Deal 448", "Deal 447"]
    assert crm.query("SELECT Amount FROM Opportunity ORDER BY Amount LIMIT 1")["records"][0]["Amount"] is None


def test_deleted_rows_come_with_query_all_only(crm: Salesforce) -> None:
    soql = "SELECT Id, IsDeleted FROM Account"
    assert crm.query(soql)["totalSize"] == 4
    rows = list(crm.query_all_iter(soql, include_deleted=True))
    assert sum(row["IsDeleted"] for row in rows) == 1


def test_cpq_objects_and_unfilled_fields(crm: Salesforce) -> None:
    row = crm.query("SELECT FIELDS(ALL) FROM SBQQ__QuoteLine__c LIMIT 200")["records"][0]
    assert (row["SBQQ__NetPrice__c"], row["SBQQ__RequiredBy__c"]) == (12.34, None)
    assert crm.query("SELECT Id FROM SBQQ__Quote__c")["totalSize"] == 0


@pytest.mark.parametrize(
    ("soql", "code", "message"),
    [
        ("SELECT Id FROM Unicorn", "INVALID_TYPE", "sObject type 'Unicorn' is not supported"),
        ("SELECT Colour FROM Account", "INVALID_FIELD", "No such column 'Colour' on entity 'Account'"),
        ("SELECT Id FROM Account WHERE Colour = 'x'", "INVALID_FIELD", "No such column 'Colour'"),
        ("SELECT Owner.Name FROM Account", "INVALID_FIELD", "Didn't understand relationship 'Owner'"),
        ("SELECT Id, Id FROM Account", "INVALID_FIELD", "duplicate field selected: Id"),
        ("SELECT Id FROM Opportunity WHERE CloseDate = '2026-10-01'", "INVALID_FIELD", "must be of type date"),
        ("SELECT Id FROM Account WHERE Name = 5", "INVALID_FIELD", "must be of type string"),
        ("SELECT FROM Account", "MALFORMED_QUERY", "unexpected token"),
        ("SELECT Id FROM Account WHERE", "MALFORMED_QUERY", "unexpected token: '<EOF>'"),
        ("SELECT Id FROM Account WHERE Name = 'x", "MALFORMED_QUERY", "unexpected token: '''"),
        (
            "SELECT Id FROM Account WHERE Id = 'a' OR Id = 'b' AND Id = 'c'",
            "MALFORMED_QUERY",
            "unexpected token: 'AND'",
        ),
        ("SELECT Id FROM Account LIMIT x", "MALFORMED_QUERY", "unexpected token: 'x'"),
        ("SELECT Id FROM Account; DROP", "MALFORMED_QUERY", "unexpected token: ';'"),
        ("SELECT Id, (SELECT Id FROM Contacts) FROM Account", "MALFORMED_QUERY", "subqueries"),
        ("SELECT Id FROM Account GROUP BY Id", "MALFORMED_QUERY", "unexpected token: 'GROUP'"),
        ("SELECT FIELDS(ALL) FROM Account", "MALFORMED_QUERY", "LIMIT of at most 200"),
        ("", "MALFORMED_QUERY", "unexpected token: '<EOF>'"),
    ],
)
def test_bad_queries_answer_with_the_vendors_errors(crm: Salesforce, soql: str, code: str, message: str) -> None:
    with pytest.raises(SalesforceMalformedRequest) as caught:
        crm.query(soql)
    assert isinstance(caught.value.content, list)
    assert caught.value.content[0]["errorCode"] == code
    assert message in caught.value.content[0]["message"]


def test_an_unknown_locator_is_refused(crm: Salesforce) -> None:
    with pytest.raises(SalesforceMalformedRequest) as caught:
        crm.query_more("01gffffffffffffff-2000")
    assert caught.value.content[0]["errorCode"] == "INVALID_QUERY_LOCATOR"


def test_records_and_descriptions_stand_under_their_urls(crm: Salesforce) -> None:
    assert crm.Opportunity.get("006Hu0000000001AAA")["Name"] == "Deal 1"
    with pytest.raises(SalesforceResourceNotFound):
        crm.Opportunity.get("006Hu0000009999AAA")
    with pytest.raises(SalesforceResourceNotFound):
        crm.Unicorn.describe()
    fields = {field["name"]: field["type"] for field in crm.Opportunity.describe()["fields"]}
    assert (fields["CloseDate"], fields["Region_Score__c"]) == ("date", "double")
    assert {item["name"] for item in crm.describe()["sobjects"]} >= {"Account", "SBQQ__Quote__c"}


def test_only_known_api_versions_exist(running: Running, crm: Salesforce) -> None:
    crm.base_url = crm.base_url.replace("67.0", "99.0")
    with pytest.raises(SalesforceResourceNotFound):
        crm.query("SELECT Id FROM Account")
    versions = httpx.get(running.urls["salesforce"] + "/services/data/").json()
    assert versions[-1]["version"] == VERSION


# -- limits and faults


def test_the_daily_allowance_is_counted_and_ends(running: Running, crm: Salesforce) -> None:
    running.crm.daily_requests = running.crm.used + 2
    crm.query("SELECT Id FROM Account")
    assert crm.api_usage["api-usage"].used == running.crm.used  # type: ignore[union-attr]
    assert crm.limits()["DailyApiRequests"] == {"Max": running.crm.daily_requests, "Remaining": 0}
    with pytest.raises(SalesforceRefusedRequest) as caught:
        crm.query("SELECT Id FROM Account")
    assert caught.value.content[0]["errorCode"] == "REQUEST_LIMIT_EXCEEDED"


def test_faults_carry_retry_after(running: Running, crm: Salesforce) -> None:
    running.crm.weather.faults = [Fault(429, every=2, times=1, path="/query", retry_after="1")]
    crm.query("SELECT Id FROM Account")
    with pytest.raises(SalesforceGeneralError) as caught:
        crm.query("SELECT Id FROM Account")
    assert (caught.value.status, caught.value.content[0]["errorCode"]) == (429, "REQUEST_LIMIT_EXCEEDED")
    running.crm.weather.faults = [Fault(503, times=1, retry_after="1")]
    headers = {"Authorization": f"Bearer {crm.session_id}"}
    url = f"{running.urls['salesforce']}/services/data/v{VERSION}/limits"
    assert httpx.get(url, headers=headers).headers["Retry-After"] == "1"
    assert httpx.get(url, headers=headers).status_code == 200


def test_broken_pages_can_be_ordered(running: Running, crm: Salesforce) -> None:
    headers = {"Sforce-Query-Options": "batchSize=200"}
    running.crm.weather.faults = [Fault("empty_page", times=1)]
    page = crm.query("SELECT Id FROM Opportunity", headers=headers)
    assert (page["records"], page["done"]) == ([], False)
    running.crm.weather.faults = [Fault("same_cursor", first=2, times=1)]
    page = crm.query("SELECT Id FROM Opportunity", headers=headers)
    again = crm.query_more(page["nextRecordsUrl"], identifier_is_url=True)
    assert again["nextRecordsUrl"] == page["nextRecordsUrl"]
