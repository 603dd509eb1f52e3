"""Salesforce's OAuth 2.0 token endpoint: client credentials, and JWT bearer where a public key is configured."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
import threading
import time
from dataclasses import dataclass

import jwt

from demo.simulators.server import Request, Response, dumps

ORG_ID = "00DHu000000DEMO1"
USER_ID = "005Hu00000ROBOT1AAA"
AUDIENCES = ("https://login.salesforce.com", "https://test.salesforce.com")
JWT_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
#: The vendor wants assertions to be short-lived; five minutes is what its documentation states.
JWT_LIFE_SECONDS_MAX = 300


@dataclass(frozen=True)
class CrmLogin:
    """The connected app: consumer key and secret, and for JWT the certificate's public key and the user."""

    client_id: str
    client_secret: str
    jwt_public_key: str | None = None
    jwt_username: str | None = None


class TokenDesk:
    """Checks credentials, gives out sessions and knows them until they end (real clock)."""

    def __init__(self, login: CrmLogin, session_seconds: float) -> None:
        self.session_seconds = session_seconds
        self._login = login
        self._sessions: dict[str, float] = {}
        self._lock = threading.Lock()

    def knows(self, token: str) -> bool:
        """Whether the token is a living session."""
        ends = self._sessions.get(token)
        return ends is not None and ends > time.monotonic()

    def answer(self, request: Request) -> Response:
        """The token endpoint: a session for good credentials, the vendor's OAuth errors for others."""
        if request.method != "POST":
            return _oauth_error("invalid_request", "must use HTTP POST")
        form = dict(request.form)
        grant = form.get("grant_type")
        if grant == "client_credentials":
            refusal = self._check_client(request, form)
        elif grant == JWT_GRANT and self._login.jwt_public_key:
            refusal = self._check_assertion(form.get("assertion", ""))
        else:
            return _oauth_error("unsupported_grant_type", "grant type not supported")
        if refusal is not None:
            return refusal
        token = f"{ORG_ID}!{secrets.token_urlsafe(64)}"
        issued = str(int(time.time() * 1000))
        identity = f"{AUDIENCES[0]}/id/{ORG_ID}/{USER_ID}"
        signature = hmac.new(self._login.client_secret.encode(), (identity + issued).encode(), hashlib.sha256)
        with self._lock:
            self._sessions[token] = time.monotonic() + self.session_seconds
        body = {"access_token": token, "signature": base64.b64encode(signature.digest()).decode(), "scope": "api"}
        body |= {"instance_url": request.base_url, "id": identity, "token_type": "Bearer", "issued_at": issued}
        return Response(200, dumps(body))

    def _check_client(self, request: Request, form: dict[str, str]) -> Response | None:
        client, secret = form.get("client_id", ""), form.get("client_secret", "")
        scheme, _, value = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "basic":
            try:
                client, _, secret = base64.b64decode(value, validate=True).decode().partition(":")
            except (binascii.Error, UnicodeDecodeError):
                return _oauth_error("invalid_request", "malformed basic authorization header")
        if client != self._login.client_id:
            return _oauth_error("invalid_client_id", "client identifier invalid")
        if not hmac.compare_digest(secret.encode(), self._login.client_secret.encode()):
            return _oauth_error("invalid_client", "invalid client credentials")
        return None

    def _check_assertion(self, assertion: str) -> Response | None:
        audiences = list(AUDIENCES)
        try:
            claims = jwt.decode(
                assertion,
                self._login.jwt_public_key or "",
                algorithms=["RS256"],
                audience=audiences,
                options={"require": ["exp", "iss", "sub", "aud"]},
            )
        except jwt.ExpiredSignatureError:
            return _oauth_error("invalid_grant", "expired authorization code")
        except jwt.InvalidAudienceError:
            return _oauth_error("invalid_grant", "audience is invalid")
        except jwt.PyJWTError:
            return _oauth_error("invalid_grant", "invalid assertion")
        if claims["iss"] != self._login.client_id:
            return _oauth_error("invalid_client_id", "client identifier invalid")
        if claims["sub"] != self._login.jwt_username:
            return _oauth_error("invalid_grant", "user hasn't approved this consumer")
        if int(claims["exp"]) - time.time() > JWT_LIFE_SECONDS_MAX:
            return _oauth_error("invalid_grant", "invalid assertion")
        return None


def _oauth_error(code: str, words: str) -> Response:
    return Response(400, dumps({"error": code, "error_description": words}))
