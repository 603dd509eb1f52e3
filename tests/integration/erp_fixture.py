"""A real ERP for tests: one server a session, from the cached ready database, with the demo company's chart.

`REVENUE_ERP_VENV` and `REVENUE_ERP_CACHE` say where the ERP's environment and the ready database are kept between
runs; the first run on a machine makes both.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from demo.erp import server, setup
from revenue_assets.posting.erp.tryton import TrytonErp
from revenue_assets.sources.tryton_rpc import TrytonRpc

REPOSITORY = Path(__file__).resolve().parents[2]
COMPANIES = {"Meridian Inc": "USD", "Meridian Ltd": "GBP", "Meridian GmbH": "EUR"}
# A company of its own chart that keeps its customers' open items in the ERP.
DETAIL_COMPANY = "Meridian SAS"
DETAIL_CHART = [
    ("411000", "Clients", "receivable"),
    ("418000", "Clients, produits non encore factures", "sold_asset"),
    ("487000", "Produits constates d'avance", "sold_liability"),
    ("419000", "Clients crediteurs", "sold_liability"),
    ("445700", "TVA collectee", "liability"),
    ("511000", "Encaissements", "asset"),
    ("627000", "Services bancaires", "expense"),
    ("706000", "Prestations de services", "revenue"),
    ("709000", "Rabais accordes", "revenue"),
]
YEARS = (2025, 2026)
EXPONENTS = {"USD": 2, "GBP": 2, "EUR": 2, "CAD": 2, "JPY": 0}

_numbers = itertools.count(1)


def chart() -> list[tuple[str, str, str]]:
    """The demo company's accounts as (code, name, type)."""
    rows = yaml.safe_load((REPOSITORY / "config" / "demo" / "accounts.yaml").read_text())["accounts"]
    return [(row["code"], row["name"], row["type"]) for row in rows]


@dataclass(frozen=True)
class ErpServer:
    """A running, set-up ERP and ways to talk to it."""

    erp: server.Erp
    setup: setup.SetupResult

    def adapter(self, **options: object) -> TrytonErp:
        """The port under test, as the robot."""
        return TrytonErp(
            self.erp.base_url, self.erp.database, self.erp.user, self.erp.password, EXPONENTS, **options  # type: ignore[arg-type]
        )  # fmt: skip

    def admin(self) -> TrytonRpc:
        """A person with all rights."""
        return TrytonRpc(self.erp.base_url, self.erp.database, self.erp.admin_user, self.erp.admin_password)

    def robot(self) -> TrytonRpc:
        """The robot, past the adapter."""
        return TrytonRpc(self.erp.base_url, self.erp.database, self.erp.user, self.erp.password)


def ensure(erp: server.Erp) -> ErpServer:
    """Sets the ERP up for the demo company."""
    made = setup.ensure(
        erp.base_url, erp.database, erp.admin_password, {**COMPANIES, DETAIL_COMPANY: "EUR"},
        {**dict.fromkeys(COMPANIES, chart()), DETAIL_COMPANY: DETAIL_CHART}, YEARS, robot=(erp.user, erp.password),
    )  # fmt: skip
    return ErpServer(erp, made)


def new_key(what: str = "test") -> str:
    """A key no other test uses."""
    return f"rev-{what}-{os.getpid()}-{next(_numbers)}"


def use_shared_cache() -> None:
    """The environment and the ready database of this checkout, unless the environment names others."""
    os.environ.setdefault("REVENUE_ERP_VENV", str(REPOSITORY / ".venv-erp"))
    os.environ.setdefault("REVENUE_ERP_CACHE", str(REPOSITORY / ".cache" / "erp"))


@pytest.fixture(scope="session")
def erp_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ErpServer]:
    """One server for all tests: each test uses keys of its own, and months of its own where it closes some."""
    use_shared_cache()
    with server.running(tmp_path_factory.mktemp("erp"), progress=lambda _: None) as erp:
        yield ensure(erp)
