"""The billing and payments vendor: Stripe's v1 API, read-only, one account per secret key.

Lists are newest first with `limit`, `starting_after`, `ending_before` and `has_more`; retrieval by id; `expand` up to
four levels; invoice and credit note lines; billing meters with event summaries; events of the last 30 days; balance
reports through the Reporting API. Nothing can be created but a report run. Driven in tests by the vendor's client.

Time stands still at `now` (unix seconds): the events endpoint reaches back 30 days from there. Wall-clock time plays
no part, so the demo's data never grows old.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import itertools
import re
from dataclasses import replace

from demo.simulators import stripe_lists as lists
from demo.simulators import stripe_params as params
from demo.simulators.faults import Fault, Weather
from demo.simulators.server import Request, Response, dumps
from demo.simulators.stripe_account import Account
from demo.simulators.stripe_params import Refused
from demo.simulators.stripe_reports import ReportDesk
from demo.simulators.stripe_resources import BY_PATH
from demo.simulators.tables import Instance

API_VERSION = "2026-10-28.endive"
#: Versions with this suffix differ only by additions, so they render alike.
_RENDERED = re.compile(r"^\d{4}-\d{2}-\d{2}\.endive$")
DAY = 86_400
EVENT_REACH_SECONDS = 30 * DAY


class StripeApp:
    """All accounts behind one base URL, told apart by their keys."""

    name = "stripe"

    def __init__(self, accounts: dict[str, Instance], weather: Weather, *, now: int | None = None) -> None:
        """`accounts` maps secret key to instance; `now` defaults to the newest event of any account."""
        self.weather = weather
        self.now = now if now is not None else _newest_event(list(accounts.values()))
        self._accounts = {
            key: Account(
                id="acct_1" + hashlib.sha256(instance.name.encode()).hexdigest()[:15],
                instance=instance,
                reports=ReportDesk(instance, self.now),
                events_since=self.now - EVENT_REACH_SECONDS,
            )
            for key, instance in accounts.items()
        }
        self._numbers = itertools.count(1)
        self._replies: dict[tuple[str, str], tuple[str, Response]] = {}

    def handle(self, request: Request) -> Response:
        """Answer one API call; errors become the vendor's bodies."""
        headers = {"Request-Id": f"req_{next(self._numbers):014d}"}
        fault = None
        try:
            key, account = self._authenticate(request)
            fault = self.weather.next_fault(request.path)
            if fault is not None and isinstance(fault.status, int):
                return self._fault(fault, headers)
            if self.weather.limit is not None and not self.weather.limit.admits(key):
                return self._fault(Fault(429, retry_after="1"), headers)
            headers["Stripe-Version"] = self._version(request)
            if fault is not None and fault.status == "same_cursor":
                kept = [pair for pair in request.query if pair[0] not in ("starting_after", "ending_before")]
                request = replace(request, query=kept)
            response = self._replayed(request, key, account)
        except Refused as refused:
            response = refused.response()
            headers["Stripe-Should-Retry"] = "false"
        if fault is not None and response.status == 200:
            response = _broken_page(str(fault.status), response)
        response.headers = {**headers, **response.headers}
        return response

    def crashed(self) -> Response:
        """The vendor's 500."""
        return Refused(500, "An unknown error occurred", kind="api_error").response()

    def _authenticate(self, request: Request) -> tuple[str, Account]:
        key = _key_of(request.headers.get("authorization", ""))
        if not key:
            message = (
                "You did not provide an API key. You need to provide your API key in the Authorization header, "
                "using Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY')."
            )
            raise Refused(401, message)
        account = self._accounts.get(key)
        if account is None:
            masked = f"{key[:8]}{'*' * 8}{key[-4:]}" if len(key) > 16 else "*" * len(key)
            raise Refused(401, f"Invalid API Key provided: {masked}")
        other = request.headers.get("stripe-account")
        if other and other != account.id:
            message = (
                f"The provided key '{key[:8]}{'*' * 8}' does not have access to account '{other}' (or that account "
                "does not exist). Application access may have been revoked."
            )
            raise Refused(403, message, code="account_invalid")
        return key, account

    def _version(self, request: Request) -> str:
        version = request.headers.get("stripe-version", API_VERSION)
        if not _RENDERED.match(version):
            raise Refused(400, f"Invalid Stripe API version: {version}")
        return version

    def _fault(self, fault: Fault, headers: dict[str, str]) -> Response:
        if fault.status == 429:
            message = "Request rate limit exceeded. You can learn more about rate limits here https://stripe.com/docs/rate-limits."
            response = Refused(429, message, code="rate_limit").response()
            headers["Stripe-Rate-Limited-Reason"] = "global-rate"
        else:
            response = Refused(int(fault.status), "An unknown error occurred", kind="api_error").response()
        headers["Stripe-Should-Retry"] = "true"
        if fault.retry_after is not None:
            headers["Retry-After"] = fault.retry_after
        response.headers = {**headers}
        return response

    def _replayed(self, request: Request, key: str, account: Account) -> Response:
        """POSTs with an Idempotency-Key answer again what they answered first; other parameters are an error."""
        token = request.headers.get("idempotency-key")
        if request.method != "POST" or not token:
            return self._route(request, account)
        stamp = hashlib.sha256(request.path.encode() + b"?" + request.body).hexdigest()
        kept = self._replies.get((key, token))
        if kept is not None:
            if kept[0] != stamp:
                message = (
                    "Keys for idempotent requests can only be used with the same parameters they were first used "
                    f"with. Try using a key other than '{token}' if you meant to execute a different request."
                )
                raise Refused(400, message, kind="idempotency_error")
            return Response(200, kept[1].body, {"Idempotency-Key": token, "Idempotent-Replayed": "true"})
        response = self._route(request, account)
        self._replies[(key, token)] = (stamp, response)
        return Response(response.status, response.body, {"Idempotency-Key": token, **response.headers})

    def _route(self, request: Request, account: Account) -> Response:
        steps = request.path.strip("/").split("/")
        if steps[0] != "v1" or len(steps) < 2:
            raise _unrecognised(request)
        given = params.nested(request.form if request.method == "POST" else request.query)
        rest = "/".join(steps[1:])
        if rest.startswith(("reporting/", "files/")):
            response = account.reports.handle(request, steps[1:], given)
            if response is None:
                raise _unrecognised(request)
            return response
        if request.method != "GET":
            raise _unrecognised(request)
        if rest == "account":
            return Response(200, dumps({"id": account.id, "object": "account", "business_type": "company"}))
        if rest == "subscription_items":
            return lists.subscription_items(account, given)
        if rest in BY_PATH:
            return lists.list_of(account, BY_PATH[rest], given)
        parent, _, last = rest.rpartition("/")
        if parent in BY_PATH:
            return lists.retrieve(account, BY_PATH[parent], last, given)
        grand, _, record_id = parent.rpartition("/")
        if last == "lines" and grand in ("invoices", "credit_notes"):
            return lists.lines(account, BY_PATH[grand], record_id, given)
        if last == "event_summaries" and grand == "billing/meters":
            return lists.event_summaries(account, record_id, given)
        raise _unrecognised(request)


def _key_of(header: str) -> str:
    """The secret key of a Bearer header or of Basic auth (key as the user, no password)."""
    scheme, _, value = header.strip().partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(value, validate=True).decode("ascii").partition(":")[0]
        except (binascii.Error, UnicodeDecodeError):
            return ""
    return ""


def _newest_event(instances: list[Instance]) -> int:
    newest = 0
    for instance in instances:
        table = instance.table("event")
        if len(table):
            newest = max(newest, table.order[0])
    return newest


def _unrecognised(request: Request) -> Refused:
    message = f"Unrecognized request URL ({request.method}: {request.path}). Please see https://stripe.com/docs."
    return Refused(404, message)


def _broken_page(kind: str, response: Response) -> Response:
    """A list answer as a bad proxy would send it: no rows although more is promised."""
    if kind == "empty_page" and response.body.startswith('{"object":"list"'):
        url = response.body.rpartition('"url":')[2]
        return Response(200, '{"object":"list","data":[],"has_more":true,"url":' + url)
    return response
