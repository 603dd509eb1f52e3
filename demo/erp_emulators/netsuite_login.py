"""NetSuite's token service: OAuth 2.0 client credentials with a signed assertion, checked for real.

The integration's key pair is made on first use below the emulator's root, so that another process can log in.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from demo.simulators.runtime import write_private
from demo.simulators.server import Request, Response, dumps

TOKEN_PATH = "/services/rest/auth/oauth2/v1/token"  # noqa: S105 - an address
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ASSERTION_SECONDS_MAX = 3600


class Integration:
    """One integration record with its certificate. `credentials` is what the poster's configuration needs."""

    def __init__(self, root: Path, *, algorithm: str = "ES256", rsa_bits: int = 3072) -> None:
        path = root / f"integration-{algorithm}.json"
        if not path.is_file():
            write_private(path, json.dumps(_new(algorithm, rsa_bits)))
        self.credentials: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
        self.algorithm = algorithm
        self.token_seconds = 3600
        private = serialization.load_pem_private_key(self.credentials["private_key"].encode(), None)
        self._public: Any = private.public_key()
        self._tokens: dict[str, float] = {}
        self.issued = 0

    def token(self, request: Request, clock: Callable[[], float]) -> Response:
        """A bearer token for a good assertion; the OAuth error body for any other."""
        form = dict(request.form)
        if form.get("grant_type") != "client_credentials" or form.get("client_assertion_type") != ASSERTION_TYPE:
            return Response(400, dumps({"error": "unsupported_grant_type"}))
        if not self._is_ours(form.get("client_assertion", ""), request.base_url + TOKEN_PATH):
            return Response(401, dumps({"error": "invalid_client"}))
        token = secrets.token_urlsafe(24)
        self._tokens[token] = clock() + self.token_seconds
        self.issued += 1
        body = {"access_token": token, "expires_in": str(self.token_seconds), "token_type": "Bearer"}
        return Response(200, dumps(body))

    def admits(self, authorization: str, clock: Callable[[], float]) -> bool:
        scheme, _, token = authorization.partition(" ")
        return scheme == "Bearer" and self._tokens.get(token, 0.0) > clock()

    def revoke(self) -> None:
        """Every token is void from now on."""
        self._tokens.clear()

    def _is_ours(self, assertion: str, audience: str) -> bool:
        try:
            header = jwt.get_unverified_header(assertion)
            claims = jwt.decode(
                assertion,
                self._public,
                algorithms=[self.algorithm],
                audience=audience,
                issuer=self.credentials["client_id"],
                options={"require": ["iss", "aud", "iat", "exp", "scope"]},
            )
        except jwt.PyJWTError:
            return False
        short = 0 < claims["exp"] - claims["iat"] <= ASSERTION_SECONDS_MAX and claims["iat"] <= time.time() + 60
        known = header.get("kid") == self.credentials["certificate_id"] and header.get("typ") == "JWT"
        return short and known and "rest_webservices" in claims["scope"]


def _new(algorithm: str, rsa_bits: int) -> dict[str, str]:
    key: Any = (
        ec.generate_private_key(ec.SECP256R1()) if algorithm == "ES256" else rsa.generate_private_key(65537, rsa_bits)
    )
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    return {"client_id": secrets.token_hex(32), "certificate_id": secrets.token_urlsafe(24), "private_key": pem}
