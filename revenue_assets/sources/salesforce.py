"""CRM and CPQ records of one Salesforce org, through the public client, by SOQL over REST.

Changes are found by SystemModstamp with an overlap: a long transaction commits late with an older stamp, so the high
water mark alone would skip it. `queryAll` also shows records in the recycle bin; what was purged is seen by a full
listing now and then.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import httpx
import jwt
import requests
from requests.adapters import HTTPAdapter
from simple_salesforce.api import Salesforce
from simple_salesforce.exceptions import SalesforceError, SalesforceExpiredSession

from revenue_assets.domain import strict_json
from revenue_assets.sources.base import (
    Cursor,
    LoopGuard,
    ObjectContract,
    Page,
    PaginationError,
    Record,
    Rejected,
    SourceError,
    SourceUnavailable,
    Transient,
    checked_base_url,
    credential,
    patiently,
    retry_after_seconds,
    safe_body,
)
from revenue_assets.sources.salesforce_objects import CRM_OBJECTS, SYSTEM_FIELDS, CrmObject

API_VERSION = "66.0"
OVERLAP = dt.timedelta(minutes=15)
FULL_RESCAN_DAYS = 7
TIMEOUT_SECONDS = 60
EMPTY_TRIES_MAX = 3
URL_CHARS_MAX = 15_000  # the vendor refuses more than 16,384 of address and headers
_DAILY_LIMIT = "REQUEST_LIMIT_EXCEEDED"


class _Loopback(HTTPAdapter):
    """The public client speaks https only; for an org simulated on this machine the last hop is plain http."""

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        request.url = str(request.url).replace("https://", "http://", 1)
        return super().send(request, *args, **kwargs)


class _Session(requests.Session):
    """Every request has a time limit; the public client sets none."""

    def request(self, *args: Any, **kwargs: Any) -> requests.Response:
        kwargs.setdefault("timeout", TIMEOUT_SECONDS)
        return super().request(*args, **kwargs)


class SalesforceSource:
    """One org. `credentials`: `client_id` and `client_secret` (client credentials), or `client_id`, `username` and
    `private_key` (JWT bearer, `options.auth: jwt_bearer`).

    `options`: `api_version`, `login_url` (default: base_url), `audience`, `fields` (object -> more field names),
    `full_rescan_days`.
    """

    vendor = "salesforce"
    OBJECTS: tuple[str, ...] = tuple(CRM_OBJECTS)
    CONTRACTS: Mapping[str, ObjectContract] = {name: item.contract for name, item in CRM_OBJECTS.items()}

    def __init__(
        self,
        name: str,
        entity_id: str | None,
        base_url: str | None,
        credentials: Mapping[str, Any],
        options: Mapping[str, Any] | None = None,
        *,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.name, self.entity_id, self._sleep = name, entity_id, sleep
        self._options = dict(options or {})
        self._base_url = checked_base_url(base_url, name)
        self._credentials = credentials
        self._full_every = dt.timedelta(days=float(self._options.get("full_rescan_days", FULL_RESCAN_DAYS)))
        self._org: Salesforce | None = None
        self._last: requests.Response | None = None

    def pull(self, object_name: str, cursor: Cursor | None, now: dt.datetime) -> Iterator[Page]:
        """See `Source.pull`. The cursor is the newest SystemModstamp seen and the time of the last full listing."""
        if object_name not in CRM_OBJECTS:
            raise SourceError(f"{self.name}: no object {object_name!r}")
        item = CRM_OBJECTS[object_name]
        full = cursor is None or now - dt.datetime.fromisoformat(cursor["full_at"]) >= self._full_every
        newest = None if cursor is None else cursor.get("modstamp")
        since = None if full or newest is None else dt.datetime.fromisoformat(newest) - OVERLAP
        after: Cursor = {
            "modstamp": newest,
            "full_at": now.isoformat() if full or cursor is None else cursor["full_at"],
        }
        for text, expected in self._query_pages(object_name, self._soql(object_name, item, since, now)):
            records, rejected = self._records(object_name, text)
            stamps = [str(record.data["SystemModstamp"]) for record in records if record.data]
            after["modstamp"] = max([s for s in (after["modstamp"], *stamps) if s], default=None)
            yield Page(object_name, records, dict(after), {"expected_rows": expected}, rejected)
        yield Page(object_name, [], after, complete=full)

    def _soql(self, object_name: str, item: CrmObject, since: dt.datetime | None, now: dt.datetime) -> str:
        has = self._field_names(item.name)
        missing = [field for field in (*SYSTEM_FIELDS, *item.contract.required) if field not in has]
        if missing:
            raise SourceError(f"{self.name}: {item.name} of this org has no field {missing[0]}")
        more = (self._options.get("fields") or {}).get(object_name, [])
        unknown = [field for field in more if field not in has]
        if unknown:
            raise SourceError(f"{self.name}: option fields: {item.name} of this org has no field {unknown[0]}")
        fields = [field for field in dict.fromkeys((*item.fields, *more)) if field in has]
        where = [f"SystemModstamp < {_soql_time(now)}"]
        if since is not None:
            where.insert(0, f"SystemModstamp >= {_soql_time(since)}")
        soql = f"SELECT {', '.join(fields)} FROM {item.name} WHERE {' AND '.join(where)} ORDER BY SystemModstamp, Id"
        if len(soql) > URL_CHARS_MAX:
            raise SourceError(f"{self.name}: too many fields for one query of {item.name}")
        return soql

    def _field_names(self, sobject: str) -> set[str]:
        described = self._call(f"describe {sobject}", lambda org: getattr(org, sobject).describe())
        return {field["name"] for field in described["fields"]}

    def _query_pages(self, object_name: str, soql: str) -> Iterator[tuple[str, int]]:
        """Text of each page and the announced number of rows. `queryAll`, so deleted rows are in it."""
        what = f"{self.name}: query of {object_name}"
        guard = LoopGuard(what)
        text, page = self._page(what, lambda org: org.query(soql, include_deleted=True))
        while True:
            yield text, int(page["totalSize"])
            if page["done"]:
                return
            following = str(page["nextRecordsUrl"])
            if not following.startswith("/services/data/"):
                raise PaginationError(f"{what}: the next page lies outside of the query API")
            guard.follow(following, page_rows=len(page["records"]))
            text, page = self._page(what, partial(_more, following))

    def _page(self, what: str, ask: Callable[[Salesforce], Any]) -> tuple[str, dict[str, Any]]:
        for _ in range(EMPTY_TRIES_MAX):
            page = self._call(what, ask)
            if page["records"] or page["done"]:
                return str(self._last.text if self._last is not None else ""), page
            self._sleep(0.2)
        raise PaginationError(f"{what}: an empty page claims that more follows")

    def _records(self, object_name: str, text: str) -> tuple[list[Record], list[Rejected]]:
        records: list[Record] = []
        rejected: list[Rejected] = []
        try:
            spans = strict_json.members(text)
            for raw, value, reason in strict_json.elements(text, spans["records"][0]):
                record_id = value.get("Id") if isinstance(value, dict) else None
                if isinstance(record_id, str) and isinstance(value.get("SystemModstamp"), str):
                    records.append(Record(record_id, raw, value))
                else:
                    rejected.append(Rejected(reason or "no Id or no SystemModstamp in the record", raw))
        except (strict_json.StrictJsonError, KeyError) as error:
            raise SourceError(f"{self.name}: {object_name}: the answer is not usable ({error})") from None
        return records, rejected

    def _call(self, what: str, ask: Callable[[Salesforce], Any]) -> Any:
        def attempt() -> Any:
            if self._org is None:
                self._org = self._connect()
            try:
                return ask(self._org)
            except SalesforceExpiredSession:
                self._org = None
                raise Transient("the session has ended", 0) from None
            except SalesforceError as error:
                raise self._refusal(what, error) from None
            except (requests.ConnectionError, requests.Timeout) as error:
                raise Transient(type(error).__name__) from None
            except (ValueError, KeyError, TypeError, RecursionError) as error:
                raise SourceError(f"{what}: the answer is not usable ({type(error).__name__})") from None

        return patiently(attempt, what, sleep=self._sleep)

    def _refusal(self, what: str, error: SalesforceError) -> Exception:
        headers = self._last.headers if self._last is not None else {}
        detail = safe_body(error.content, self._secrets())
        if error.status == 403 and _DAILY_LIMIT in detail:
            return SourceUnavailable(f"{what}: the org's daily number of requests is used up", 3600)
        if error.status in (429, 503) or error.status >= 500:
            return Transient(f"HTTP {error.status}", retry_after_seconds(headers))
        return SourceError(f"{what}: HTTP {error.status}: {detail}")

    def _connect(self) -> Salesforce:
        session = _Session()
        if self._base_url.startswith("http://"):
            session.trust_env = False  # no proxy for this very machine
            session.mount(self._base_url.replace("http://", "https://", 1), _Loopback())
        session.hooks["response"].append(self._remember)
        return Salesforce(
            instance_url=self._base_url,
            session_id=self._token(),
            version=str(self._options.get("api_version", API_VERSION)),
            session=session,
        )

    def _remember(self, response: requests.Response, *_: Any, **__: Any) -> None:
        """Keeps the answer: the client returns parsed floats, we land the text."""
        response.encoding = "utf-8"
        self._last = response

    def _token(self) -> str:
        login = checked_base_url(self._options.get("login_url") or self._base_url, self.name)
        form = self._jwt_form(login) if self._options.get("auth") == "jwt_bearer" else self._secret_form()

        def ask() -> str:
            try:
                answer = httpx.post(f"{login}/services/oauth2/token", data=form, timeout=TIMEOUT_SECONDS)
            except httpx.TransportError as error:
                raise Transient(type(error).__name__) from None
            if answer.status_code == 429 or answer.status_code >= 500:
                raise Transient(f"HTTP {answer.status_code}", retry_after_seconds(answer.headers))
            token = None
            if answer.status_code == 200:
                try:
                    token = answer.json().get("access_token")
                except (ValueError, AttributeError):
                    token = None
            if not isinstance(token, str):
                detail = safe_body(answer.text, (*self._secrets(), *form.values())) if answer.status_code != 200 else ""
                raise SourceError(f"{self.name}: no access token, HTTP {answer.status_code}: {detail}")
            return token

        return patiently(ask, f"{self.name}: login", sleep=self._sleep)

    def _secret_form(self) -> dict[str, str]:
        keys = ("client_id", "client_secret")
        return {"grant_type": "client_credentials"} | {k: credential(self._credentials, k, self.name) for k in keys}

    def _jwt_form(self, login: str) -> dict[str, str]:
        claims = {
            "iss": credential(self._credentials, "client_id", self.name),
            "sub": credential(self._credentials, "username", self.name),
            "aud": str(self._options.get("audience", login)),
            "exp": int(dt.datetime.now(dt.UTC).timestamp()) + 180,
        }
        try:
            assertion = jwt.encode(claims, credential(self._credentials, "private_key", self.name), algorithm="RS256")
        except (ValueError, TypeError, jwt.PyJWTError):
            raise SourceError(f"source {self.name}: credential 'private_key' is not an RSA private key") from None
        return {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": assertion}

    def _secrets(self) -> tuple[str, ...]:
        token = self._org.session_id if self._org is not None else ""
        keys = ("client_id", "client_secret", "private_key")
        return (token, *(credential(self._credentials, key, self.name) for key in keys if self._credentials.get(key)))


def _soql_time(moment: dt.datetime) -> str:
    return moment.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def _more(url: str, org: Salesforce) -> Any:
    return org.query_more(url, identifier_is_url=True)
