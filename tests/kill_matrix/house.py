"""The ledger that every trial posts: four batches of one company, cut and not yet sent."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from store_kit import AS_OF, House, invoice, recognition

from revenue_assets.posting.batches import cut
from revenue_assets.posting.booking import book


def build(path: Path) -> None:
    """Books and cuts, and leaves a copy of the operational store at `path`."""
    with tempfile.TemporaryDirectory() as folder:
        house = House.build(Path(folder) / "house")
        house.should(
            *[invoice(f"i{n}", f"2026-0{1 + n % 3}-05", 100 + n) for n in range(6)], recognition("r", "2026-01-31", 9)
        )
        book(house.store, house.journal, house.warehouse, house.state, AS_OF)
        cut(house.store, house.journal, house.state, AS_OF, tenant="t")
        house.store.close()
        shutil.copyfile(house.root / "store" / "operational.sqlite", path)
