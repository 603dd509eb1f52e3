"""A scratch home whose batches go to the real ERP of the test session."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
from erp_fixture import COMPANIES, DETAIL_COMPANY, ErpServer
from store_kit import ACCOUNTS, AS_OF, House

from demo.erp.setup import SUNDRY
from revenue_assets.posting.batches import cut
from revenue_assets.posting.booking import book
from revenue_assets.posting.outbox import DrainReport, Limits, drain
from revenue_assets.state import write_parquet


def house_of(root: Path, *entries: list[dict[str, Any]], accounts: dict[str, str] | None = None) -> House:
    """The entries booked and cut, not yet sent; entities stand for the ERP's companies, accounts are the demo's unless
    `accounts` (role -> code) says otherwise."""
    house = House.build(root / "house")
    if accounts is not None:
        house.write_masters(accounts=ACCOUNTS | accounts)
    columns = "entity_id name functional_currency time_zone calendar erp_company"
    names = dict(zip(("US", "UK", "DE"), COMPANIES, strict=True))
    rows = [{"entity_id": e, "functional_currency": COMPANIES[n], "erp_company": n} for e, n in names.items()]
    write_parquet(house.state / "entities.parquet", pa.schema([(c, pa.string()) for c in columns.split()]), rows)
    if entries:
        house.should(*entries)
        book(house.store, house.journal, house.warehouse, house.state, AS_OF)
        # Another tenant, so other keys, than in another test of the session.
        cut(house.store, house.journal, house.state, AS_OF, tenant=root.name)
    return house


def drained(house: House, server: ErpServer) -> DrainReport:
    """One drain of every company."""
    adapter = server.adapter(settle_seconds=0.0, sundry_customer=SUNDRY)
    return drain(
        house.store, dict.fromkeys([*COMPANIES, DETAIL_COMPANY], adapter), limits=Limits(max_wait_seconds=20)
    )  # fmt: skip
