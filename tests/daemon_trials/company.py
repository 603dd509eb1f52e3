"""The company that the daemon's trials post for: config, home and work that arrives in stages."""

from __future__ import annotations

import shutil
from pathlib import Path

import yaml
from store_kit import AS_OF, House, entry, invoice, recognition

from demo.erp_emulators.rest import TOKEN
from revenue_assets.posting.batches import cut
from revenue_assets.posting.booking import book
from revenue_assets.store.engine import open_store
from revenue_assets.store.ledger import Journal

DEMO = Path(__file__).parents[2] / "config" / "demo"
# Longer than the emulator's late commits and index lag together (0.25 s + 0.35 s), with air for a busy machine.
SETTLE_SECONDS = 1


def write_config(folder: Path) -> None:
    """The demo's config with the companies of `store_kit` and the emulated REST ledger at $ERP_BASE_URL."""
    shutil.copytree(DEMO, folder)
    entities = yaml.safe_load((folder / "entities.yaml").read_text())
    for row in entities["entities"]:
        row["erp_company"] = f"{row['id']} Inc"
    (folder / "entities.yaml").write_text(yaml.safe_dump(entities))
    secret = folder.parent / "token"
    secret.write_text(TOKEN)
    erp = {
        "vendor": "generic_rest",
        "base_url": "env:ERP_BASE_URL",
        "credentials": {"token": f"file:{secret}"},
        "options": {"settle_seconds": SETTLE_SECONDS, "batch_size_max": 2},
        "limits": {"documents_per_call": 2, "backoff_base_seconds": 1, "backoff_cap_seconds": 1},
    }
    (folder / "erp.yaml").write_text(yaml.safe_dump({"erp": erp}))


def build(home: Path) -> None:
    """A home with an empty outbox."""
    House.build(home).store.close()


def arrive(home: Path, stages: int) -> None:
    """Books and cuts the work of the first `stages` stages: two batches of the US company and one of the German each.

    What earlier stages brought is booked and cut already, so that only the last stage makes new batches.
    """
    store = open_store(url_of(home))
    house = House(home, store, Journal(home / "journal"), home / "state", home / "warehouse" / "revenue.duckdb")
    sale = (("accounts_receivable", 500), ("deferred_revenue", -500))
    lines = []
    for n in range(stages):
        month = f"2026-0{1 + n % 3}"
        lines += [
            invoice(f"i{n}", f"{month}-05", 100 + n),
            recognition(f"r{n}", f"{month}-28", 10 + n),
            entry(f"g{n}", f"{month}-07", *sale, entity="DE"),
        ]
    house.should(*lines)
    house.write_masters()
    book(store, house.journal, house.warehouse, house.state, AS_OF)
    cut(store, house.journal, house.state, AS_OF, tenant="t")
    store.close()


def url_of(home: Path) -> str:
    return f"sqlite:///{home / 'store' / 'operational.sqlite'}"
