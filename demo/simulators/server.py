"""The HTTP part the simulators share: requests, responses, and a keep-alive server around one `App`.

Knows nothing of any vendor. An `App` gets a parsed `Request` and returns a `Response`; how an error looks is the
vendor's matter, so each app turns its own `Refused` into the vendor's body. Loopback only: the server refuses to
bind anything else, since the demo's keys guard demo data and no more.
"""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol
from urllib.parse import parse_qsl, urlsplit

LOOPBACK = "127.0.0.1"
#: No simulated call has a body over a few hundred bytes; more is a broken client.
BODY_BYTES_MAX = 1 << 20
#: URI limit of the CRM vendor (16,384); the others allow less or do not say.
URI_CHARS_MAX = 16_384
IDLE_SECONDS_MAX = 300


@dataclass(frozen=True)
class Request:
    """One HTTP request. `query` and `form` keep order and repeats; header names are lower case."""

    method: str
    path: str
    target: str
    query: list[tuple[str, str]]
    headers: dict[str, str]
    body: bytes
    base_url: str

    @property
    def form(self) -> list[tuple[str, str]]:
        """The body as form fields."""
        return parse_qsl(self.body.decode("utf-8", "replace"), keep_blank_values=True)

    def first(self, name: str) -> str | None:
        """The first query value of that name, or None."""
        return next((value for key, value in self.query if key == name), None)


@dataclass
class Response:
    """One HTTP answer; `body` is text sent as UTF-8."""

    status: int
    body: str
    headers: dict[str, str] = field(default_factory=dict)
    content_type: str = "application/json; charset=utf-8"
    after: Callable[[], None] | None = None
    """Called once the answer has left."""


class HangUp(Exception):
    """Close the connection without an answer."""


class App(Protocol):
    """What a vendor simulator offers the server."""

    name: str

    def handle(self, request: Request) -> Response:
        """Answer one request, or HangUp. Must not raise anything else for anything a client can send."""

    def crashed(self) -> Response:
        """The vendor's own 500, for a bug in the simulator."""


def dumps(value: Any) -> str:
    """Compact JSON text, non-ASCII as it is."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "simulator"
    sys_version = ""
    timeout = IDLE_SECONDS_MAX
    disable_nagle_algorithm = True
    server: LoopbackServer  # type: ignore[assignment]

    def _serve(self) -> None:
        if len(self.path) > URI_CHARS_MAX:
            self._send(Response(414, ""), close=True)
            return
        try:
            length = int(self.headers.get("Content-Length") or 0)
        except ValueError:
            length = -1
        if not 0 <= length <= BODY_BYTES_MAX or self.headers.get("Transfer-Encoding"):
            self._send(Response(413, ""), close=True)
            return
        body = self.rfile.read(length) if length else b""
        parts = urlsplit(self.path)
        request = Request(
            method=self.command,
            path=parts.path,
            target=self.path,
            query=parse_qsl(parts.query, keep_blank_values=True),
            headers={name.lower(): value for name, value in self.headers.items()},
            body=body,
            base_url=self.server.base_url,
        )
        try:
            response = self.server.app.handle(request)
        except HangUp:
            self.close_connection = True
            return
        except Exception:
            self.server.log(f"{request.method} {request.path} crashed:\n{traceback.format_exc()}")
            response = self.server.app.crashed()
        self._send(response)
        if response.after is not None:
            response.after()

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = _serve

    def _send(self, response: Response, *, close: bool = False) -> None:
        """Head and body leave in one write: two small writes would wait for a delayed ACK (40 ms a request)."""
        payload = response.body.encode("utf-8")
        self.send_response_only(response.status)
        self.send_header("Date", self.date_time_string())
        self.send_header("Content-Type", response.content_type)
        self.send_header("Content-Length", str(len(payload)))
        for name, value in response.headers.items():
            self.send_header(name, value)
        if close:
            self.send_header("Connection", "close")
            self.close_connection = True
        head = b"".join(self._headers_buffer) + b"\r\n"  # type: ignore[has-type]
        self._headers_buffer: list[bytes] = []
        self.wfile.write(head if self.command == "HEAD" else head + payload)

    def log_message(self, format: str, *args: Any) -> None:  # the base class's own notes (bad requests)
        self.server.log(format % args)


class LoopbackServer(ThreadingHTTPServer):
    """A keep-alive server for one app on a free loopback port, serving from a background thread."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, app: App, *, port: int = 0, log: Callable[[str], None] = lambda _: None) -> None:
        self.app = app
        self.log = log
        super().__init__((LOOPBACK, port), _Handler)
        self.base_url = f"http://{LOOPBACK}:{self.server_port}"
        self._thread = threading.Thread(target=self.serve_forever, name=f"sim-{app.name}", daemon=True)

    def start(self) -> None:
        """Begin to serve; returns at once. The port is already bound, so clients may connect."""
        self._thread.start()

    def stop(self) -> None:
        """Stop accepting and free the port; open keep-alive connections die with their daemon threads."""
        ending = threading.Thread(target=self.shutdown, daemon=True)
        ending.start()
        with contextlib.suppress(OSError):  # wakes the loop, which would else look up only twice a second
            socket.create_connection((LOOPBACK, self.server_port), timeout=1).close()
        ending.join()
        self.server_close()
        self._thread.join(timeout=5)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up in the middle is no news; anything else is written to the log."""
        text = traceback.format_exc()
        if "ConnectionResetError" not in text and "BrokenPipeError" not in text:
            self.log(text)
