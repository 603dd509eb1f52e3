"""NetSuite's OAuth 2.0 for machines: a signed assertion is exchanged for a bearer token of about an hour.

Claims and header as in the vendor's help, "The Request Token Structure" and "POST Request to the Token Endpoint".
There is no refresh token: a new assertion is signed when the token is about to end, or when the ERP refuses it.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field

import httpx
import jwt

from revenue_assets.sources.base import retry_after_seconds
from revenue_assets.sources.netsuite_faults import NetSuiteFault, transport_fault

TOKEN_PATH = "/services/rest/auth/oauth2/v1/token"  # noqa: S105 - an address
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
# The vendor allows an assertion up to 60 minutes; one that lives five is worth less to a thief.
ASSERTION_SECONDS = 300
# A token is renewed this long before it ends, so that no request carries one that ends on the way.
RENEW_SECONDS = 60


@dataclass(frozen=True)
class Certificate:
    """Who we are: the integration's client id, the uploaded certificate's id and the private key that belongs to it."""

    client_id: str
    certificate_id: str
    private_key: str = field(repr=False)
    algorithm: str = "PS256"


class Tokens:
    """Bearer tokens of one integration, kept in memory until they are about to end. `clock`: seconds, monotonic."""

    def __init__(
        self, http: httpx.Client, base_url: str, certificate: Certificate, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._http, self._clock = http, clock
        self._url = base_url + TOKEN_PATH
        self._certificate = certificate
        self._token = ""
        self._ends_at = 0.0

    def bearer(self) -> str:
        """A token that is good for the next minute at least. Raises NetSuiteFault; the key is in no message."""
        if not self._token or self._clock() >= self._ends_at - RENEW_SECONDS:
            self._renew()
        return self._token

    def forget(self) -> None:
        """The ERP refused the token: the next request gets a new one."""
        self._token = ""

    def _renew(self) -> None:
        form = {
            "grant_type": "client_credentials",
            "client_assertion_type": ASSERTION_TYPE,
            "client_assertion": self._assertion(),
        }
        try:
            response = self._http.post(self._url, data=form)
        except httpx.TransportError as error:
            raise transport_fault(error, write=False) from error
        status = response.status_code
        if status == 429:
            wait = retry_after_seconds(response.headers)
            raise NetSuiteFault("throttled", "NetSuite asked us to come back later for a token.", retry_after=wait)
        if status >= 500:
            raise NetSuiteFault("unavailable", f"NetSuite's token service answered HTTP {status}.")
        try:
            answer = json.loads(response.content)
            if status != 200:
                raise NetSuiteFault("auth", f"NetSuite refused our certificate (HTTP {status}).", str(answer["error"]))
            self._token, seconds = str(answer["access_token"]), float(answer["expires_in"])
        except (ValueError, KeyError, TypeError):
            words = f"NetSuite's token service gave no token (HTTP {status})."
            raise NetSuiteFault("auth" if 400 <= status < 500 else "unavailable", words) from None
        self._ends_at = self._clock() + seconds

    def _assertion(self) -> str:
        now = int(time.time())
        claims = {
            "iss": self._certificate.client_id,
            "scope": ["rest_webservices"],
            "aud": self._url,
            "iat": now,
            "exp": now + ASSERTION_SECONDS,
            "jti": str(uuid.uuid4()),
        }
        headers = {"typ": "JWT", "kid": self._certificate.certificate_id}
        try:
            return jwt.encode(claims, self._certificate.private_key, self._certificate.algorithm, headers)
        except (jwt.PyJWTError, ValueError, TypeError):
            # The library's own words may show the key.
            words = f"The private key of the NetSuite integration is no key for {self._certificate.algorithm}."
            raise NetSuiteFault("auth", words) from None
