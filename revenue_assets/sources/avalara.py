"""Tax documents of one AvaTax account, through the vendor's client: transactions with lines and details per company.

The list is always asked with a date range: without one the vendor silently answers the last 30 days. Changes are found
by modifiedDate with an overlap. An adjusted document keeps its code and comes under a higher version, so the version
is part of the record id.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

import requests
from avalara import AvataxClient

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

PAGE_ROWS = 500  # with lines and details a page of the vendor's 1,000 grows to tens of megabytes
OVERLAP = dt.timedelta(minutes=10)
SINCE = "2000-01-01"
TIMEOUT_SECONDS = 60
EMPTY_TRIES_MAX = 3

TRANSACTION = ObjectContract(
    required=("id", "code", "type", "status", "date", "currencyCode", "totalTax", "version", "lines"),
    amounts=("totalAmount", "totalTax"),
    amount_kind="major",
    currency="currencyCode",
    stamps=("modifiedDate",),
    stamp_kind="iso",
    id_pattern=r"[A-Za-z0-9_.:\-/# +]{1,200}",  # document codes may hold a few signs more
)


class AvalaraSource:
    """One account. `credentials`: `account`, `license`. `options`: `companies` (codes), `since` (first date)."""

    vendor = "avalara"
    OBJECTS: tuple[str, ...] = ("transaction",)
    CONTRACTS: Mapping[str, ObjectContract] = {"transaction": TRANSACTION}

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
        options = dict(options or {})
        self.name, self.entity_id, self._sleep = name, entity_id, sleep
        self._companies = [str(code) for code in options.get("companies", [])]
        if not self._companies:
            raise SourceError(f"source {name}: option 'companies' names no company code")
        self._since = str(options.get("since", SINCE))
        self._secret = credential(credentials, "license", name)
        self._client = AvataxClient("revenue-assets", "1", "revenue-assets", "production", TIMEOUT_SECONDS)
        self._client.base_url = checked_base_url(base_url or "https://rest.avatax.com", name)
        self._client.add_credentials(credential(credentials, "account", name), self._secret)

        # The client wraps each call in a logger that fails on any answer without its correlation header, such as a
        # gateway's own 429 or 503, and writes addresses to the root logger: the call itself is underneath.
        listed = AvataxClient.list_transactions_by_company
        self._list: Callable[..., requests.Response] = getattr(listed, "__wrapped__", listed)

    def pull(self, object_name: str, cursor: Cursor | None, now: dt.datetime) -> Iterator[Page]:
        """See `Source.pull`. The cursor is the newest modifiedDate seen of each company."""
        if object_name != "transaction":
            raise SourceError(f"{self.name}: no object {object_name!r}")
        newest: dict[str, str] = dict((cursor or {}).get("modified", {}))
        for company in self._companies:
            since = self._since
            if company in newest:
                since = (dt.datetime.fromisoformat(newest[company]) - OVERLAP).isoformat()
            for records, rejected in self._company_pages(company, since, now):
                stamps = [str(r.data["modifiedDate"]) for r in records if r.data and r.data.get("modifiedDate")]
                newest[company] = max([newest.get(company, ""), *(_naive(stamp) for stamp in stamps)])
                newest = {code: stamp for code, stamp in newest.items() if stamp}
                yield Page("transaction", records, {}, rejected=rejected)
        yield Page("transaction", [], {"modified": newest})

    def _company_pages(
        self, company: str, since: str, now: dt.datetime
    ) -> Iterator[tuple[list[Record], list[Rejected]]]:
        what = f"{self.name}: transactions of {company}"
        guard = LoopGuard(what)
        until = (now.astimezone(dt.UTC) + dt.timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%S")
        asked: dict[str, Any] = {
            "$include": "Lines,Details",
            "$filter": f"modifiedDate ge '{since}' and modifiedDate lt '{until}'",
            "$orderBy": "id ASC",
            "$top": PAGE_ROWS,
            "$skip": 0,
        }
        rows, seen = 0, set[str]()
        while True:
            records, rejected, total, following = self._page(what, company, asked, rows)
            rows += len(records) + len(rejected)
            ids = {record.record_id for record in records}
            if ids and ids <= seen:
                raise PaginationError(f"{what}: a page holds only rows already read; the listing runs in a circle")
            seen |= ids
            yield records, rejected
            if following is None and (total is None or rows >= total):
                if total is not None and rows < total:
                    raise PaginationError(f"{what}: {rows} rows came, the vendor announced {total}")
                return
            page_rows = len(records) + len(rejected)
            if following is not None:
                guard.follow(following, page_rows=page_rows)
                asked = dict(parse_qsl(urlsplit(following).query))
            else:
                guard.follow(str(rows), page_rows=page_rows)
                asked = {**asked, "$skip": rows}

    def _page(
        self, what: str, company: str, asked: dict[str, Any], rows: int
    ) -> tuple[list[Record], list[Rejected], int | None, str | None]:
        for _ in range(EMPTY_TRIES_MAX):
            text = self._text(what, company, asked)
            page = self._parsed(what, company, text)
            records, rejected, total, following = page
            if records or rejected or (following is None and (total is None or rows >= total)):
                return page
            self._sleep(0.2)
        raise PaginationError(f"{what}: an empty page claims that more follows")

    def _parsed(
        self, what: str, company: str, text: str
    ) -> tuple[list[Record], list[Rejected], int | None, str | None]:
        records: list[Record] = []
        rejected: list[Rejected] = []
        try:
            spans = strict_json.members(text)
            for raw, value, reason in strict_json.elements(text, spans["value"][0]):
                record_id = _record_id(company, value)
                if record_id is None:
                    rejected.append(Rejected(reason or "no code, type or version in the document", raw))
                else:
                    records.append(Record(record_id, raw, value))
            total = strict_json.loads(text[slice(*spans["@recordsetCount"])]) if "@recordsetCount" in spans else None
            following = strict_json.loads(text[slice(*spans["@nextLink"])]) if "@nextLink" in spans else None
        except (strict_json.StrictJsonError, KeyError) as error:
            raise SourceError(f"{what}: the answer is not usable ({error})") from None
        return records, rejected, total if isinstance(total, int) else None, following or None

    def _text(self, what: str, company: str, asked: dict[str, Any]) -> str:
        def call() -> str:
            try:
                answer = self._list(self._client, quote(company, safe=""), asked)
            except (requests.ConnectionError, requests.Timeout) as error:
                raise Transient(type(error).__name__) from None
            if answer.status_code in (429, 503):
                raise Transient(f"HTTP {answer.status_code}", retry_after_seconds(answer.headers))
            if answer.status_code >= 500:
                raise Transient(f"HTTP {answer.status_code}")
            if answer.status_code != 200:
                detail = safe_body(answer.text, (self._secret,))
                raise SourceError(f"{what}: HTTP {answer.status_code}: {detail}")
            try:
                return answer.content.decode("utf-8")
            except UnicodeDecodeError:
                raise SourceError(f"{what}: the answer is not UTF-8") from None

        try:
            return patiently(call, what, sleep=self._sleep)
        except SourceUnavailable:
            raise
        except requests.RequestException as error:
            raise SourceError(f"{what}: {type(error).__name__}") from None


def _record_id(company: str, value: Any) -> str | None:
    if not isinstance(value, dict):
        return None
    parts = [value.get(key) for key in ("code", "type", "version")]
    if any(part is None or isinstance(part, (dict, list, bool)) for part in parts):
        return None
    return ":".join([company, *(str(part) for part in parts)])


def _naive(stamp: str) -> str:
    """A comparable UTC text of a vendor's stamp (`2026-10-01T12:00:00` or with a zone); empty if unreadable."""
    try:
        moment = dt.datetime.fromisoformat(stamp)
    except ValueError:
        return ""
    return (moment.astimezone(dt.UTC).replace(tzinfo=None) if moment.tzinfo else moment).isoformat()
