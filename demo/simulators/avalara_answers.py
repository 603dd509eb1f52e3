"""What AvaTax answers look like: error bodies, and how much of a transaction is shown."""

from __future__ import annotations

from collections.abc import Callable

from demo.simulators.faults import Fault
from demo.simulators.server import Request, Response, dumps
from demo.simulators.tables import Record

_INCLUDES = ("lines", "details", "summary", "addresses", "summaryonly", "linesonly", "taxdetailsbytaxtype")
_NESTED = ("lines", "summary", "addresses", "taxDetailsByTaxType", "locationTypes", "parameters", "messages")


class Refused(Exception):
    """A request answered with the vendor's error object."""

    def __init__(
        self,
        status: int,
        code: str,
        number: int,
        message: str,
        *,
        description: str | None = None,
        target: str = "HttpRequest",
        fault: str = "Client",
    ) -> None:
        super().__init__(message)
        self.status = status
        self._body = {
            "code": code,
            "message": message,
            "target": target,
            "details": [
                {
                    "code": code,
                    "number": number,
                    "message": message,
                    "description": description or message,
                    "faultCode": fault,
                    "helpLink": f"http://developer.avalara.com/avatax/errors/{code}",
                    "severity": "Error",
                }
            ],
        }

    def response(self) -> Response:
        """The vendor's JSON body with its status."""
        return Response(self.status, dumps({"error": self._body}))


def fault_response(fault: Fault) -> Response:
    """What a fault looks like: the vendor's error body, with Retry-After where the fault has one."""
    if fault.status == 429:
        refused = Refused(429, "RateLimitExceeded", 0, "Too many requests; retry later.")
    else:
        refused = Refused(
            int(fault.status), "ServerError", 1, "The server is busy.", target="AvaTaxApiServer", fault="Server"
        )
    response = refused.response()
    if fault.retry_after is not None:
        response.headers["Retry-After"] = fault.retry_after
    return response


def shape_of(request: Request) -> Callable[[Record], Record]:
    """What `$include` asks to see of a transaction; without it the nested parts stay out."""
    asked = next((value for name, value in request.query if name.lower() == "$include"), "")
    wanted = {item.strip().lower() for item in asked.split(",") if item.strip()}
    if extra := wanted - set(_INCLUDES):
        message = f"'{sorted(extra)[0]}' is not a valid $include value."
        raise Refused(400, "InvalidQueryParameter", 0, message)
    details = bool(wanted & {"details", "summary"}) and "linesonly" not in wanted
    lines = (details or bool(wanted & {"lines", "linesonly"})) and "summaryonly" not in wanted
    summary = bool(wanted & {"summary", "summaryonly"})

    def shape(record: Record) -> Record:
        shown = {name: value for name, value in record.items() if name not in _NESTED}
        if lines:
            rows = record.get("lines") or []
            shown["lines"] = rows if details else [{**row, "details": None} for row in rows]
        if summary:
            shown["summary"] = record.get("summary") or []
        if "addresses" in wanted:
            shown["addresses"] = record.get("addresses") or []
        return shown

    return shape
