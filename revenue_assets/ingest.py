"""`revenue ingest`: events of a file or a pipe into landing, at once and by the same write path as the drop folder.

What lands is modelled by the next `revenue refresh`. Nothing here judges an event: `domain.events` does.
"""

from __future__ import annotations

import datetime as dt
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import click
import duckdb

from revenue_assets.domain.config import Company, SourceInstance, load_company
from revenue_assets.domain.strict_yaml import ConfigError
from revenue_assets.landing.files import ObjectFiles, ensure_readable
from revenue_assets.landing.writer import LandingResult, LandingWriter
from revenue_assets.settings import Settings
from revenue_assets.sources.base import Page, Rejected
from revenue_assets.sources.cloudevents import CloudEventsSource
from revenue_assets.sources.drop import DroppedFile, named_file, piped
from revenue_assets.store.engine import open_store
from revenue_assets.store.landing import BatchRegister

OBJECT = "cloud_event"
SHOWN_MAX = 20


def ingest(settings: Settings, names: Iterable[str], source_name: str | None = None) -> dict[str, Any]:
    """Lands the events of the named files (`-`: standard input) and reports on them.

    `{"source", "files", "read", "landed", "repeated", "conflicts": [{"source", "id"}], "refused": [reason, ...]}`;
    `landed` counts conflicting deliveries too: they are kept, the first stays in force. Raises ConfigError if the
    config has no event source.
    """
    company = load_company(settings.config)
    instance = event_source(company, source_name)
    zones = {entity.id: entity.time_zone for entity in company.entities}
    drop = str(settings.drop / instance.name)
    source = CloudEventsSource(instance.name, instance.entity, options={"drop": drop, "time_zones": zones})
    now = dt.datetime.now(dt.UTC)
    register = BatchRegister(open_store(settings.store_url))
    writer = LandingWriter(settings.landing, settings.quarantine, f"ingest-{now:%Y%m%dT%H%M%S}", register=register)
    files = list(names)
    refused: list[str] = []
    with writer.open(source, OBJECT, now) as landing:
        for name in files:
            for page in _pages(source, name):
                refused += [item.reason for item in page.rejected]
                landing.add(page)
    ensure_readable(settings.landing, [OBJECT])
    result = landing.result
    return {
        "source": instance.name,
        "files": files,
        "read": result.rows_read,
        "landed": result.rows_landed,
        "repeated": result.rows_unchanged,
        "conflicts": conflicts(settings.landing, instance.name, result),
        "refused": refused,
    }


def event_source(company: Company, name: str | None) -> SourceInstance:
    """The source instance that takes events; `name` chooses among several. Raises ConfigError with the fix."""
    found = company.sources_of("cloudevents")
    if not found:
        raise ConfigError("sources.yaml: no source takes events; add  - {name: events, vendor: cloudevents}.")
    chosen = [instance for instance in found if name in (None, instance.name)]
    if len(chosen) == 1:
        return chosen[0]
    names = ", ".join(instance.name for instance in found)
    asked = "several sources take events, name one with --source" if name is None else f"no event source {name!r}"
    raise ConfigError(f"sources.yaml: {asked}: {names}.")


def conflicts(landing: Path, source: str, result: LandingResult) -> list[dict[str, str]]:
    """Identities that this landing added although they had landed before with other content."""
    mine = [batch.batch_id for batch in result.batches if not batch.quarantined]
    paths = ObjectFiles(landing, source, OBJECT).paths()
    if not result.rows_landed or not paths:
        return []
    query = """
        with landed as (
            select json_extract_string(raw, ['$.source', '$.id']) as identity, _batch_id, _landing_seq
            from read_parquet($paths, hive_partitioning = false)
        ),
        named as (select *, row_number() over (partition by identity order by _landing_seq) as place from landed)
        select identity[1], identity[2] from named
        where place > 1 and _batch_id in (select unnest($mine)) order by _landing_seq
    """
    with duckdb.connect() as connection:
        rows = connection.execute(query, {"paths": paths, "mine": mine}).fetchall()
    return [{"source": row[0], "id": row[1]} for row in rows]


def print_report(report: dict[str, Any]) -> None:
    """The report for a person."""
    for reason in report["refused"][:SHOWN_MAX]:
        click.echo(f"refused: {reason}", err=True)
    if len(report["refused"]) > SHOWN_MAX:
        click.echo(f"... and {len(report['refused']) - SHOWN_MAX} more in quarantine.", err=True)
    for item in report["conflicts"][:SHOWN_MAX]:
        click.echo(
            f"conflict: {item['source']} {item['id']} landed before with other content; the first stays in force"
        )
    counts = f"{report['landed']} landed, {report['repeated']} repeated, {len(report['conflicts'])} conflicts"
    click.echo(f"{counts}, {len(report['refused'])} refused.")
    if report["landed"]:
        click.echo("`revenue refresh` models what has landed.")


def _pages(source: CloudEventsSource, name: str) -> Iterator[Page]:
    found: DroppedFile | Rejected
    found = piped("stdin", sys.stdin.buffer) if name == "-" else named_file(Path(name))
    if isinstance(found, DroppedFile):
        yield from source.pages_of(found)
    else:
        yield Page(OBJECT, [], {}, rejected=[found])
