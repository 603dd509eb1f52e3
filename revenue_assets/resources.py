"""What assets need from outside, as one Dagster resource: settings, company config, operational store, sources, ERP.

Everything is opened when it is asked for, so that loading the code location touches no store, no vendor and no key.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING

import dagster as dg
import duckdb

from revenue_assets.domain.config import Company, SourceInstance, load_company
from revenue_assets.settings import Settings, actor
from revenue_assets.sources.catalogue import source_class
from revenue_assets.state import currency_exponents
from revenue_assets.store.engine import StoreError

if TYPE_CHECKING:
    from revenue_assets.posting.erp.port import ErpPort
    from revenue_assets.sources.base import Source
    from revenue_assets.store.engine import Store
    from revenue_assets.store.ledger import Journal

# Pool of every asset, check and dbt step that opens the warehouse file: DuckDB takes one writing process.
WAREHOUSE_POOL = "warehouse_write"
ERP_POOL = "erp_api"
# Longer than a dbt run that was orphaned by a kill goes on.
WAREHOUSE_WAIT_SECONDS_MAX = 600.0


class Platform(dg.ConfigurableResource):
    """The platform's surroundings, read from the process environment (see `revenue_assets.settings`)."""

    @cached_property
    def settings(self) -> Settings:
        settings = Settings.load()
        settings.prepare()
        return settings

    @cached_property
    def company(self) -> Company:
        return load_company(self.settings.config)

    @cached_property
    def store(self) -> Store:
        from revenue_assets.store.engine import open_store

        return open_store(self.settings.store_url, actor=actor())

    @contextmanager
    def warehouse(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """The warehouse, opened late and closed early: no other process can open the file meanwhile."""
        connection = duckdb.connect(str(self.settings.warehouse))
        try:
            yield connection
        finally:
            connection.close()

    def await_warehouse(self, wait_seconds: float = WAREHOUSE_WAIT_SECONDS_MAX) -> None:
        """Returns once no other process has the warehouse open for writing; raises StoreError after `wait_seconds`.

        A dbt outlives its starter that was killed by half a minute and more, and keeps the file until it ends.
        """
        limit = time.monotonic() + wait_seconds
        while self.settings.warehouse.exists():
            try:
                duckdb.connect(str(self.settings.warehouse)).close()
                return
            except duckdb.IOException as error:
                if "lock" not in str(error):
                    raise
                if time.monotonic() >= limit:
                    raise StoreError(f"the warehouse is in use by another process; end it first. {error}") from error
            time.sleep(0.5)

    def source(self, instance: SourceInstance) -> Source:
        """The connected system of a config entry; its address and keys are resolved here and nowhere earlier."""
        return source_class(instance.vendor)(
            name=instance.name,
            entity_id=instance.entity,
            base_url=instance.base_url.resolve() if instance.base_url else None,
            credentials={key: reference.resolve() for key, reference in instance.credentials.items()},
            options=self._options(instance),
        )

    @cached_property
    def journal(self) -> Journal:
        from revenue_assets.store.ledger import Journal

        return Journal(self.settings.journal)

    def erp_ports(self) -> dict[str, ErpPort]:
        """ERP company name -> the port that serves it."""
        from revenue_assets.posting.erp.catalogue import erp_port

        port = erp_port(self.company.erp, currency_exponents())
        return {entity.erp_company: port for entity in self.company.entities}

    def erp_source(self) -> Source:
        """The ERP as a source of read-back records."""
        from revenue_assets.sources.catalogue import read_back_source

        return read_back_source(self.company)

    def keep_rules(self) -> None:
        """Stores the text of the rules in force under the hash that every journal line carries; the author is the user
        whose run meets this version first."""
        from revenue_assets.store import policies

        policies.put(self.store, self.company.rules, company=self.company.id, author=actor())

    def export_state(self) -> None:
        """Writes the snapshots of the landing zone and the operational store that SQL reads, and anchors the audit
        log: every step that changes the store ends here."""
        from revenue_assets.landing.files import inventory, write_inventory
        from revenue_assets.store import anchor
        from revenue_assets.store.export import export_state

        files = inventory(self.settings.landing, self.settings.quarantine)
        export_state(self.store, self.settings.state)
        write_inventory(files, self.settings.state)
        anchor.write(self.store, self.settings.audit_anchor, private_key=self.settings.audit_key())

    def now(self) -> dt.datetime:
        return dt.datetime.now(dt.UTC)

    def _options(self, instance: SourceInstance) -> dict[str, object]:
        return {
            **instance.options,
            "drop": str(self.settings.drop / instance.name),
            "as_of": self.settings.as_of.isoformat(),
            "time_zones": {e.id: e.time_zone for e in self.company.entities},
        }
