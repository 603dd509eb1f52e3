"""Stripe's parameter language and error bodies: form keys with brackets, integers, booleans, ranges.

Shapes follow the vendor's answers as its public client reads them: `{"error": {"type", "message", "code", "param"}}`.
"""

from __future__ import annotations

import re
from typing import Any

from demo.simulators.server import Response, dumps

LIMIT_MAX = 100
LIMIT_DEFAULT = 10
RANGE_KEYS = ("gt", "gte", "lt", "lte")
_KEY = re.compile(r"^([^\[\]]+)((?:\[[^\[\]]*\])*)$")


class Refused(Exception):
    """A request the vendor answers with an error body."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        kind: str = "invalid_request_error",
        code: str | None = None,
        param: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.kind = kind
        self.code = code
        self.param = param

    def response(self) -> Response:
        """The vendor's JSON body with its status."""
        error: dict[str, Any] = {}
        if self.code:
            error["code"] = self.code
            error["doc_url"] = f"https://stripe.com/docs/error-codes/{self.code.replace('_', '-')}"
        error["message"] = self.message
        if self.param:
            error["param"] = self.param
        error["type"] = self.kind
        return Response(self.status, dumps({"error": error}))


def unknown(param: str) -> Refused:
    """400 for a parameter the endpoint does not know."""
    return Refused(400, f"Received unknown parameter: {param}", code="parameter_unknown", param=param)


def missing(param: str) -> Refused:
    """400 for a required parameter that was not sent."""
    return Refused(400, f"Missing required param: {param}.", code="parameter_missing", param=param)


def no_such(noun: str, record_id: str, param: str = "id") -> Refused:
    """404 on retrieve, 400 when the id came as a filter or cursor, as the vendor does."""
    status = 404 if param == "id" else 400
    return Refused(status, f"No such {noun}: '{record_id}'", code="resource_missing", param=param)


def nested(pairs: list[tuple[str, str]]) -> dict[str, Any]:
    """`created[gte]=1&expand[]=a&expand[0]=b` as `{"created": {"gte": "1"}, "expand": ["a", "b"]}`.

    A last bracket that is empty or a number makes a list; a scalar sent twice keeps the last value. A key with
    broken brackets is unknown to the vendor, so it is refused as such.
    """
    result: dict[str, Any] = {}
    for key, value in pairs:
        match = _KEY.match(key)
        if not match:
            raise unknown(key)
        steps = [match.group(1), *re.findall(r"\[([^\[\]]*)\]", match.group(2))]
        is_list = len(steps) > 1 and (steps[-1] == "" or steps[-1].isdigit())
        if is_list:
            steps.pop()
        target = result
        for step in steps[:-1]:
            inner = target.setdefault(step, {})
            if not isinstance(inner, dict):
                raise Refused(400, f"Invalid hash: {key}", code="parameter_invalid_empty", param=steps[0])
            target = inner
        if is_list:
            items = target.setdefault(steps[-1], [])
            if not isinstance(items, list):
                raise Refused(400, "Invalid array", param=steps[0])
            items.append(value)
        else:
            target[steps[-1]] = value
    return result


def integer(value: Any, param: str) -> int:
    """A whole number or 400."""
    if not isinstance(value, str) or not re.fullmatch(r"-?\d{1,18}", value):
        shown = value if isinstance(value, str) else dumps(value)
        raise Refused(400, f"Invalid integer: {shown}", code="parameter_invalid_integer", param=param)
    return int(value)


def boolean(value: Any, param: str) -> bool:
    """`true` or `false` or 400."""
    if value not in ("true", "false"):
        raise Refused(400, f"Invalid boolean: {value}", param=param)
    return value == "true"


def text(value: Any, param: str) -> str:
    """A non-empty string or 400."""
    if not isinstance(value, str):
        raise Refused(400, "Invalid string: {}", param=param)
    if not value:
        message = (
            f"You passed an empty string for '{param}'. We assume empty values are an attempt to unset a parameter."
        )
        raise Refused(400, message, code="parameter_invalid_empty", param=param)
    return value


def strings(value: Any, param: str) -> list[str]:
    """A list of strings or 400."""
    if not isinstance(value, list):
        raise Refused(400, "Invalid array", param=param)
    return [text(item, param) for item in value]


def page_limit(value: Any) -> int:
    """`limit` from 1 to 100, default 10."""
    if value is None:
        return LIMIT_DEFAULT
    limit = integer(value, "limit")
    if limit > LIMIT_MAX:
        text_ = f"This value must be less than or equal to {LIMIT_MAX} (it currently is '{limit}')."
        raise Refused(400, text_, param="limit")
    if limit < 1:
        raise Refused(400, "This value must be greater than or equal to 1.", param="limit")
    return limit


def time_range(value: Any, param: str) -> tuple[int | None, int | None]:
    """`created` as [low, high) in unix seconds: a bare number means that second alone."""
    if isinstance(value, str):
        exact = integer(value, param)
        return exact, exact + 1
    if not isinstance(value, dict) or not value:
        raise Refused(400, "Invalid object", param=param)
    low: int | None = None
    high: int | None = None
    for key, bound in value.items():
        if key not in RANGE_KEYS:
            raise unknown(f"{param}[{key}]")
        at = integer(bound, f"{param}[{key}]")
        if key in ("gt", "gte"):
            start = at + (key == "gt")
            low = start if low is None else max(low, start)
        else:
            stop = at + (key == "lte")
            high = stop if high is None else min(high, stop)
    return low, high
