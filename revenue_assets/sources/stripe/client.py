"""Reading from Stripe with the vendor's client, keeping each object's text exactly as it came.

The client gives authentication, version pin, parameters and error classes. Retries are ours: the client's own would
try a 429 again within seconds whatever Retry-After says. The client's parsed objects are not used either: they hold
binary floats; bodies are cut into records by the strict reader instead.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httpx
import stripe

from revenue_assets.domain import strict_json
from revenue_assets.sources.base import (
    LoopGuard,
    PaginationError,
    Record,
    Rejected,
    SourceError,
    SourceUnavailable,
    Transient,
    patiently,
    retry_after_seconds,
    safe_body,
)

API_VERSION = "2026-10-28.endive"
PAGE_ROWS = 100
EMPTY_TRIES_MAX = 3
TIMEOUT_SECONDS = 60
FILE_BYTES_MAX = 64 * 1024 * 1024


class NotFound(SourceError):
    """The object asked for by its id does not exist (any more)."""


@dataclass(slots=True)
class Listed:
    """One page of a list: records, what was no record, and whether more follows."""

    records: list[Record] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    has_more: bool = False


class StripeReader:
    """GET (and the one POST of the Reporting API) against one account. Errors never carry the key."""

    def __init__(
        self,
        name: str,
        base_url: str,
        api_key: str,
        *,
        account: str | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._name, self._base_url, self._key, self._sleep = name, base_url, api_key, sleep
        self._client = stripe.StripeClient(
            api_key,
            stripe_account=account,
            stripe_version=API_VERSION,
            base_addresses={"api": base_url, "files": base_url},
            max_network_retries=0,
            http_client=stripe.RequestsClient(timeout=TIMEOUT_SECONDS),
        )

    def text(self, method: str, path: str, params: dict[str, Any] | None = None) -> str:
        """The body of one answer. Raises NotFound, SourceUnavailable or SourceError."""
        what = f"{self._name}: {method.upper()} {path}"

        def call() -> str:
            try:
                return self._client.raw_request(method, path, **(params or {})).body
            except stripe.StripeError as error:
                if _worth_a_retry(error):
                    reason = f"{type(error).__name__}, HTTP {error.http_status}"
                    raise Transient(reason, retry_after_seconds(error.headers)) from None
                raise self._refusal(what, error) from None

        return patiently(call, what, sleep=self._sleep)

    def pages(self, path: str, params: dict[str, Any] | None = None) -> Iterator[Listed]:
        """Every page of a list, newest first. At least one, maybe empty.

        Raises PaginationError if the listing runs in a circle, or stays empty while it promises more.
        """
        guard = LoopGuard(f"{self._name}: {path}")
        asked: dict[str, Any] = {"limit": PAGE_ROWS, **(params or {})}
        while True:
            page = self._page(path, asked)
            yield page
            if not page.has_more:
                return
            last = page.records[-1].record_id
            guard.follow(last, page_rows=len(page.records))
            asked["starting_after"] = last

    def _page(self, path: str, asked: dict[str, Any]) -> Listed:
        for _ in range(EMPTY_TRIES_MAX):
            page = self._parsed(path, self.text("get", path, asked))
            if page.records or not page.has_more:
                return page
            if page.rejected:
                raise PaginationError(f"{self._name}: {path}: no record of a page could be read, cannot go on")
            self._sleep(0.2)
        raise PaginationError(f"{self._name}: {path}: an empty page claims that more follows")

    def _parsed(self, path: str, body: str) -> Listed:
        page = Listed()
        try:
            spans = strict_json.members(body)
            if "data" not in spans or "has_more" not in spans:
                raise strict_json.StrictJsonError("the list has no data or no has_more")
            page.has_more = body[slice(*spans["has_more"])] == "true"
            for raw, value, reason in strict_json.elements(body, spans["data"][0]):
                record_id = value.get("id") if isinstance(value, dict) else None
                if isinstance(record_id, str):
                    page.records.append(Record(record_id, raw, value))
                else:
                    page.rejected.append(Rejected(reason or "no id in the record", raw))
        except strict_json.StrictJsonError as error:
            raise SourceError(f"{self._name}: {path}: the answer is not usable ({error})") from None
        return page

    def one(self, path: str, params: dict[str, Any] | None = None) -> Record:
        """One object by its path. Raises NotFound."""
        raw = self.text("get", path, params)
        try:
            value = strict_json.loads_object(raw)
            record_id = value["id"]
        except (strict_json.StrictJsonError, KeyError) as error:
            raise SourceError(f"{self._name}: {path}: the answer is not usable ({error})") from None
        return Record(str(record_id), raw, value)

    def file(self, url: str) -> str:
        """A report file as text. The key is sent only to the vendor's own hosts or to the configured address."""
        parts, own = urlsplit(url), urlsplit(self._base_url)
        host = parts.hostname or ""
        vendor = parts.scheme == "https" and (host == "stripe.com" or host.endswith(".stripe.com"))
        if not vendor and (parts.scheme, parts.netloc) != (own.scheme, own.netloc):
            raise SourceError(f"{self._name}: a report file lies on an unexpected host")

        def call() -> str:
            try:
                with httpx.stream("GET", url, headers={"Authorization": f"Bearer {self._key}"}, timeout=60) as answer:
                    if answer.status_code == 429 or answer.status_code >= 500:
                        raise Transient(f"HTTP {answer.status_code}", retry_after_seconds(answer.headers))
                    if answer.status_code != 200:
                        raise SourceError(f"{self._name}: report file: HTTP {answer.status_code}")
                    body = b""
                    for chunk in answer.iter_bytes():
                        body += chunk
                        if len(body) > FILE_BYTES_MAX:
                            raise SourceError(f"{self._name}: a report file is larger than {FILE_BYTES_MAX} bytes")
                    return body.decode("utf-8")
            except httpx.TransportError as error:
                raise Transient(type(error).__name__) from None
            except UnicodeDecodeError:
                raise SourceError(f"{self._name}: a report file is not UTF-8") from None

        return patiently(call, f"{self._name}: report file", sleep=self._sleep)

    def _refusal(self, what: str, error: stripe.StripeError) -> SourceError:
        status = error.http_status
        detail = safe_body(error.http_body or type(error).__name__, (self._key,))
        if status == 404:
            return NotFound(f"{what}: HTTP 404")
        if status is not None and status >= 500:
            return SourceUnavailable(f"{what}: {type(error).__name__}, HTTP {status}: {detail}")
        return SourceError(f"{what}: {type(error).__name__}, HTTP {status}: {detail}")


def _worth_a_retry(error: stripe.StripeError) -> bool:
    """429 always; lost connections, conflicts and 5xx unless the vendor says that a retry is in vain."""
    if isinstance(error, stripe.RateLimitError):
        return True
    if isinstance(error, stripe.APIConnectionError):
        return error.should_retry
    status = error.http_status or 0
    headers = {key.lower(): value for key, value in (error.headers or {}).items()}
    return (status == 409 or status >= 500) and headers.get("stripe-should-retry") != "false"
