"""The ways in which a request to NetSuite can fail.

Decisions rest on the HTTP status and on machine-readable codes alone. Texts are localised, and NetSuite says
`400 USER_ERROR` for a closed period, an existing external id and a missing right alike: which of them it was is found
out by looking (at the record, at the period), never by reading.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any, Literal

import httpx

from revenue_assets.sources.base import retry_after_seconds, safe_body

FaultKind = Literal["auth", "throttled", "unavailable", "uncertain", "refused", "repeated"]

# Codes under which NetSuite's services say "too many at once"; all of them mean that nothing was done.
THROTTLE_CODES = frozenset(
    {
        "CONCURRENCY_LIMIT_EXCEEDED",
        "CONCURRENT_REQUEST_LIMIT_EXCEEDED",
        "REQUEST_LIMIT_EXCEEDED",
        "SSS_REQUEST_LIMIT_EXCEEDED",
        "WS_REQUEST_BLOCKED",
    }
)
AUTH_CODES = frozenset({"INSUFFICIENT_PERMISSION", "INVALID_LOGIN", "INVALID_LOGIN_ATTEMPT"})
REFERENCE_CODES = frozenset({"INVALID_KEY_OR_REF", "NONEXISTENT_ID", "RCRD_DSNT_EXIST"})


class NetSuiteFault(Exception):
    """A request that gave no result.

    kind: `auth`, `throttled`, `unavailable` (a read, or a write that did not leave) did nothing; `uncertain` a write
    left and its outcome is unknown; `refused` NetSuite answered 4xx; `repeated` an asynchronous request with this
    idempotency key was taken before, `location` is its job. `codes`: machine-readable codes of the answer.
    """

    def __init__(
        self,
        kind: FaultKind,
        message: str,
        evidence: str = "",
        *,
        status: int | None = None,
        codes: tuple[str, ...] = (),
        location: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.kind, self.evidence, self.status = kind, evidence, status
        self.codes, self.location, self.retry_after = codes, location, retry_after


def transport_fault(error: httpx.TransportError, *, write: bool) -> NetSuiteFault:
    """A connection that was never made sent nothing; any other break leaves a write's outcome unknown."""
    name = type(error).__name__
    if not write or isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)):
        return NetSuiteFault("unavailable", f"NetSuite cannot be reached ({name}).")
    return NetSuiteFault("uncertain", f"The connection broke after the request was sent ({name}).")


def answer_fault(response: httpx.Response, *, write: bool, secrets: tuple[str, ...] = ()) -> NetSuiteFault:
    """The fault of an answer that is not the expected success."""
    status = response.status_code
    codes, words = _details(response.content)
    evidence = safe_body(f"HTTP {status}: {words}" if words else f"HTTP {status}", secrets)
    location = response.headers.get("Location")
    wait = retry_after_seconds(response.headers)
    if status == 429 or (400 <= status < 500 and THROTTLE_CODES & set(codes)):
        kind: FaultKind = "throttled"
    elif status == 400 and "IDEMPOTENCY_ERROR" in codes and location:
        kind = "repeated"
    elif status in (401, 403) or (400 <= status < 500 and AUTH_CODES & set(codes)):
        kind = "auth"
    elif 400 <= status < 500 and status != 408:
        kind = "refused"
    else:
        # 5xx, a redirect, a success without its record: a write may have been done.
        kind = "uncertain" if write else "unavailable"
    return NetSuiteFault(
        kind, _SENTENCES[kind], evidence, status=status, codes=codes, location=location, retry_after=wait
    )


_SENTENCES: dict[FaultKind, str] = {
    "auth": "NetSuite refused the integration's login or its right to this call.",
    "throttled": "NetSuite asked us to come back later: too many requests of the account at once.",
    "unavailable": "NetSuite does not answer.",
    "uncertain": "The request was sent and its outcome is not known.",
    "refused": "NetSuite refused the request.",
    "repeated": "NetSuite has already taken a request with this idempotency key.",
}


def _details(body: bytes) -> tuple[tuple[str, ...], str]:
    """(codes, texts) of the error envelope; ((), "") for a body that is none."""
    try:
        envelope = json.loads(body, parse_float=Decimal)
        details = envelope["o:errorDetails"]
        rows: list[dict[str, Any]] = [detail for detail in details if isinstance(detail, dict)]
    except (ValueError, KeyError, TypeError):
        return (), ""
    codes = tuple(str(row["o:errorCode"]) for row in rows if row.get("o:errorCode"))
    words = "; ".join(
        " ".join(str(row[k]) for k in ("o:errorCode", "o:errorPath", "detail") if row.get(k)) for row in rows
    )
    return codes, " ".join(words.split())
