"""Tryton's JSON-RPC over HTTP: sessions, typed values, and one closed list of ways in which a call can fail.

Serves the read-back source and the ERP adapter (and the demo's set-up). Knows no accounting. Tryton itself (GPL) is
never imported: this is its public network protocol.
"""

from __future__ import annotations

import base64
import datetime as dt
import json
import re
from decimal import Decimal
from typing import Any, Literal

import httpx
import stamina

from revenue_assets.domain.money import MoneyError
from revenue_assets.sources.base import checked_base_url, retry_after_seconds, safe_body

FaultKind = Literal["auth", "throttled", "unavailable", "uncertain", "refused"]

READ_SECONDS_MAX = 120.0  # of one answer; the server ends a read after 60 s and a write never
CONNECT_SECONDS_MAX = 10.0
# A collision on the strict journal sequence clears in milliseconds; 6 tries ride over every one that was seen.
TRIES_MAX = 6
_LOCK_TEXT = "could not obtain lock"


class RpcFault(Exception):
    """A call that gave no result.

    kind: `auth` bad login, expired session or missing right to the method, nothing was done; `throttled` the server
    refused for now and did nothing (429, lock collision); `unavailable` no answer from a working server; `uncertain`
    the request of a write left and the outcome is unknown; `refused` an application error, its transaction was
    rolled back. `name` is the application's name of the error (`UserError`), else the HTTP status or transport error.
    """

    def __init__(self, kind: FaultKind, message: str, *, name: str = "", retry_after: float | None = None) -> None:
        super().__init__(message)
        self.kind = kind
        self.name = name
        self.retry_after = retry_after


class TrytonRpc:
    """One user's connection to one database; logs in when first needed and again when the session has ended.

    `transport` replaces the network in tests. Not safe for use by several threads at once.
    """

    def __init__(
        self,
        base_url: str,
        database: str,
        user: str,
        password: str,
        *,
        read_seconds: float = READ_SECONDS_MAX,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._url = f"{checked_base_url(base_url, 'erp')}/{database}/rpc/"
        self._user, self._password = user, password
        self._session: str | None = None
        self.user_id: int | None = None
        self._number = 0
        self._http = httpx.Client(
            timeout=httpx.Timeout(read_seconds, connect=CONNECT_SECONDS_MAX), transport=transport, trust_env=False
        )

    def __enter__(self) -> TrytonRpc:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Gives the connection back. The session ends by itself on the server."""
        self._http.close()

    def login(self) -> None:
        """Opens a session. Raises RpcFault; texts come back in English whatever the server's language."""
        self._session = None
        result = self._patiently(
            "common.db.login", [self._user, {"password": self._password}, "en"], write=False, login=True
        )
        if not (isinstance(result, list) and len(result) >= 2):
            raise RpcFault("unavailable", "the login was answered with something that is no session")
        self.user_id = int(result[0])
        token = f"{self._user}:{result[0]}:{result[1]}"
        self._session = base64.b64encode(token.encode()).decode()

    def call(self, method: str, *params: Any, write: bool = True) -> Any:
        """Calls `method` (`model.account.move.create`) and returns its result as plain values.

        The last parameter is always Tryton's context (a dict). `write=False` marks a call that changes nothing: it
        is repeated when the server is unavailable. A write is repeated only where the server surely did nothing.
        """
        if self._session is None:
            self.login()
        try:
            return self._patiently(method, list(params), write=write)
        except RpcFault as fault:
            if fault.kind != "auth" or fault.name != "401":
                raise
        self.login()
        return self._patiently(method, list(params), write=write)

    def search_read(
        self,
        model: str,
        domain: list[Any],
        fields: list[str],
        context: dict[str, Any],
        *,
        order: list[list[str]] | None = None,
        limit: int | None = None,
    ) -> list[dict[str, Any]]:
        """Records of `model` that match `domain`, the named fields only."""
        found: list[dict[str, Any]] = self.call(
            f"model.{model}.search_read", domain, 0, limit, order, fields, context, write=False
        )
        return found

    def _patiently(self, method: str, params: list[Any], *, write: bool, login: bool = False) -> Any:
        def again(error: Exception) -> bool | float:
            if not isinstance(error, RpcFault):
                return False
            if error.kind == "throttled":
                return error.retry_after or True
            return error.kind == "unavailable" and not write

        for attempt in stamina.retry_context(
            on=again, attempts=TRIES_MAX, timeout=60.0, wait_initial=0.1, wait_jitter=0.2, wait_max=5.0
        ):
            with attempt:
                return self._once(method, params, write=write, login=login)
        raise AssertionError("unreachable: the loop returns or raises")

    def _once(self, method: str, params: list[Any], *, write: bool, login: bool) -> Any:
        self._number += 1
        _refuse_floats(params)
        body = json.dumps({"id": self._number, "method": method, "params": params}, default=encode)
        headers = {"Content-Type": "application/json"}
        if not login:
            headers["Authorization"] = f"Session {self._session}"
        try:
            response = self._http.post(self._url, content=body, headers=headers)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise RpcFault("unavailable", f"no connection to the ERP ({error})", name=type(error).__name__) from error
        except httpx.TransportError as error:
            raise RpcFault(
                "uncertain" if write else "unavailable",
                f"the connection broke after the request was sent ({error or type(error).__name__})",
                name=type(error).__name__,
            ) from error
        self._raise_for_status(response, write)
        return self._result(response, write)

    def _raise_for_status(self, response: httpx.Response, write: bool) -> None:
        status = response.status_code
        if status == 200:
            return
        text = safe_body(response.content, (self._password,))
        wait = retry_after_seconds(response.headers)
        kind: FaultKind
        if status in (401, 403):
            kind = "auth"
        elif status == 429 or (status == 503 and _LOCK_TEXT in text):
            kind = "throttled"
        elif status in (502, 503):
            kind = "unavailable"
        elif status >= 500 or status < 400:
            kind = "uncertain" if write else "unavailable"
        else:
            kind = "refused"
        raise RpcFault(kind, f"HTTP {status}: {_plain(text)}", name=str(status), retry_after=wait)

    def _result(self, response: httpx.Response, write: bool) -> Any:
        try:
            answer = json.loads(response.content, object_hook=decode, parse_float=Decimal)
            if not isinstance(answer, dict) or ("result" not in answer and "error" not in answer):
                raise ValueError("neither result nor error")
        except (ValueError, ArithmeticError, KeyError, TypeError) as error:
            raise RpcFault(
                "uncertain" if write else "unavailable", f"the answer cannot be read ({error})", name="unreadable"
            ) from error
        if "error" not in answer:
            return answer["result"]
        raise _application_fault(answer["error"])


def _application_fault(error: Any) -> RpcFault:
    """`["UserError", [text, detail, domain]]`, or `[text, traceback]` for an exception nobody foresaw."""
    parts = error if isinstance(error, list) and error else [str(error)]
    if len(parts) > 1 and isinstance(parts[1], list) and parts[1]:
        return RpcFault("refused", _plain(str(parts[1][0])), name=str(parts[0]))
    return RpcFault("refused", _plain(str(parts[0])), name="ServerError")


def _plain(text: str) -> str:
    """One line without markup, cut short: evidence for a person."""
    return " ".join(re.sub(r"<[^>]+>", " ", text).split())[:500]


def encode(value: Any) -> dict[str, Any]:
    """Tryton's wrapping of types that JSON lacks."""
    if isinstance(value, Decimal):
        return {"__class__": "Decimal", "decimal": format(value, "f")}
    if isinstance(value, dt.datetime):
        return {
            "__class__": "datetime", "year": value.year, "month": value.month, "day": value.day,
            "hour": value.hour, "minute": value.minute, "second": value.second, "microsecond": value.microsecond,
        }  # fmt: skip
    if isinstance(value, bytes):
        return {"__class__": "bytes", "base64": base64.b64encode(value).decode()}
    if isinstance(value, dt.date):
        return {"__class__": "date", "year": value.year, "month": value.month, "day": value.day}
    raise MoneyError(f"{type(value).__name__} cannot be sent to the ERP")


def _refuse_floats(value: Any) -> None:
    """Tryton takes a float for money without a word, and books what it happens to be."""
    if isinstance(value, float):
        raise MoneyError(f"{value!r} is a float and cannot be sent to the ERP")
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ():
        _refuse_floats(part)


def decode(value: dict[str, Any]) -> Any:
    """The way back; unknown wrappings stay dicts."""
    match value.get("__class__"):
        case "Decimal":
            return Decimal(value["decimal"])
        case "date":
            return dt.date(value["year"], value["month"], value["day"])
        case "datetime":
            return dt.datetime(  # noqa: DTZ001 - the server's instants are naive UTC
                value["year"], value["month"], value["day"],
                value["hour"], value["minute"], value["second"], value["microsecond"],
            )  # fmt: skip
        case "timedelta":
            return dt.timedelta(seconds=float(value["seconds"]))
        case _:
            return value
