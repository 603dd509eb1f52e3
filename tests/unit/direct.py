"""Requests to an emulated ERP without a socket: for trials on a simulated clock, and for many of them."""

from __future__ import annotations

from urllib.parse import parse_qsl

import httpx

from demo.erp_emulators.face import Face
from demo.simulators.server import HangUp, Request


class Direct(httpx.BaseTransport):
    """The network of an httpx client that ends in `face`."""

    def __init__(self, face: Face) -> None:
        self.face = face

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        url = request.url
        asked = Request(
            method=request.method, path=url.path, target=str(url), body=request.read(),
            query=parse_qsl(url.query.decode(), keep_blank_values=True), base_url="",
            headers={name.lower(): value for name, value in request.headers.items()},
        )  # fmt: skip
        try:
            answer = self.face.handle(asked)
        except HangUp:
            raise httpx.RemoteProtocolError("hung up", request=request) from None
        return httpx.Response(answer.status, text=answer.body, headers=answer.headers)
