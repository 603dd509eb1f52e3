"""A NetSuite account over real HTTP for tests: the emulator, and adapters that log in to it with the real flow."""

from __future__ import annotations

import datetime as dt
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from demo.erp_emulators.face import serving
from demo.erp_emulators.netsuite import NetSuiteFace
from revenue_assets.domain.config_erp import NetSuiteOptions
from revenue_assets.posting.erp.netsuite import NetSuiteErp
from revenue_assets.posting.erp.port import Journal, Line
from revenue_assets.sources.netsuite_auth import Certificate

EXPONENTS = {"USD": 2, "GBP": 2, "EUR": 2, "JPY": 0, "KWD": 3}
COMPANIES = {"US Inc": "USD", "UK Inc": "GBP", "DE Inc": "EUR", "JP Inc": "JPY", "KW Inc": "KWD"}
ACCOUNTS = ("1000", "1100", "1999", "2100", "2200", "4000", "4010")
FOREIGN = {"currency": "custcol_ra_currency", "amount": "custcol_ra_amount"}
MARCH = dt.date(2026, 3, 31)


@dataclass
class Account:
    """A running account. `adapter(...)` takes options of the configuration."""

    face: NetSuiteFace
    url: str

    def adapter(
        self,
        *,
        certificate: Certificate | None = None,
        page_rows: int = 1000,
        transport: httpx.BaseTransport | None = None,
        **options: Any,
    ) -> NetSuiteErp:
        settings = {"account": "TSTDRV1", "algorithm": self.face.integration.algorithm, "settle_seconds": 0}
        return NetSuiteErp(
            self.url,
            certificate or self.certificate,
            NetSuiteOptions.model_validate(settings | options),
            EXPONENTS,
            page_rows=page_rows,
            transport=transport,
        )

    @property
    def certificate(self) -> Certificate:
        known = self.face.integration.credentials
        algorithm = self.face.integration.algorithm
        return Certificate(known["client_id"], known["certificate_id"], known["private_key"], algorithm)

    def reset(self, how: str | dict[str, Any] = "ideal", seed: int = 0) -> None:
        """Empty books with another behaviour."""
        self.face.reset(how, seed, setup={"companies": COMPANIES, "accounts": ACCOUNTS, "years": [2025, 2026]})


@contextmanager
def running(root: Path, **how: Any) -> Iterator[Account]:
    """An empty account until the block ends."""
    face = NetSuiteFace(root, **how)
    with serving(face, log=lambda text: print(text, file=sys.stderr)) as url:
        account = Account(face, url)
        account.reset()
        yield account


def journal(key: str, amount: int = 12_000, company: str = "US Inc", date: dt.date = MARCH, **more: Any) -> Journal:
    """Receivable against deferred revenue, in the company's own currency."""
    currency = COMPANIES[company]
    lines = (
        Line(1, "1100", amount, 0, currency, amount, "receivable (2 lines)"),
        Line(2, "2100", 0, amount, currency, -amount, "deferred (2 lines)"),
    )
    return Journal(key, company, date, f"{date:%Y-%m}", currency, more.pop("lines", lines), "invoice.posted", **more)
