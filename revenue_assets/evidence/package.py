"""Puts the evidence of a period together: files, index, verifier, manifest and its signature; folder or zip.

The same books give the same files, byte by byte; only the manifest says when and by whom the package was made.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import dagster as dg

from revenue_assets import __version__
from revenue_assets.close.close import read_books, snapshot
from revenue_assets.domain.periods import HARD_CLOSED
from revenue_assets.evidence import index
from revenue_assets.evidence.books import Collected, Files, collect, one_snapshot
from revenue_assets.evidence.lineage import add_lineage, open_warehouse
from revenue_assets.evidence.results import add_checks, add_reconciliations
from revenue_assets.settings import Settings
from revenue_assets.store import anchor
from revenue_assets.store.clock import SYSTEM_CLOCK, Clock
from revenue_assets.store.engine import Store, StoreError
from revenue_assets.store.ledger import Journal

FORMAT = 1
VERIFIER = Path(__file__).with_name("verify.py")
# A zip entry carries a time; one for all, so that the same files give the same zip.
_TIME = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class Package:
    """Where it lies, and what is in it: rows by file. `remarks`: sentences about what an auditor will ask."""

    path: Path
    rows: dict[str, int]
    remarks: list[str]
    is_signed: bool


def make(
    settings: Settings, store: Store, company: str, period: str, entities: Sequence[str], out: Path, *,
    definitions: dg.Definitions, instance: dg.DagsterInstance, made_by: str, clock: Clock = SYSTEM_CLOCK,
) -> Package:  # fmt: skip
    """Writes the evidence of `period` to `out`: a folder that must not exist yet or be empty, or a file if it ends
    with .zip. Raises StoreError with a sentence if something that belongs to it cannot be read or is not what it was.
    """
    if out.exists() and (out.is_file() or any(out.iterdir())):
        raise StoreError(f"{out} exists; evidence is never written over. Name another folder or file.")
    key = settings.audit_key()
    # First the heads, then the log: what was anchored is then in the log that is copied.
    anchor.write(store, settings.audit_anchor, private_key=key, clock=clock)
    files = Files()
    files.content["audit/anchor.jsonl"] = settings.audit_anchor.read_bytes() if settings.audit_anchor.exists() else b""
    journal = Journal(settings.journal)
    journal.prepare()
    with one_snapshot(store) as connection:
        books = collect(connection, journal, files, period, entities)
    if not books.periods and not books.lines:
        raise StoreError(
            f"nothing is known of {period} for {', '.join(entities)}; `revenue period list` shows what is."
        )
    add_lineage(files, settings.warehouse, settings.landing, books.lines)
    _close(files, settings, store, journal, books)
    checks = add_checks(files, definitions, instance)
    statements = add_reconciliations(files, settings, period, entities)
    remarks = index.remarks(books, checks, statements, files)
    files.content["index.md"] = index.page(company, period, entities, books, files, remarks).encode()
    files.content["verify.py"] = VERIFIER.read_bytes()
    manifest = {
        "format": FORMAT,
        "company": company,
        "period": period,
        "entities": list(entities),
        "made_at": clock.now().isoformat(timespec="seconds"),
        "made_by": made_by,
        "platform": __version__,
        "signed": key is not None,
        "files": {
            name: {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content), "rows": files.rows.get(name)}
            for name, content in sorted(files.content.items())
        },
    }
    files.content["manifest.json"] = json.dumps(manifest, indent=1, sort_keys=True).encode()
    if key is not None:
        signature = anchor.sign(anchor.signing_key(key), files.content["manifest.json"])
        files.content["manifest.sig"] = f"{signature}\n".encode()
    _write(files, out)
    return Package(out, files.rows, remarks, key is not None)


def _close(files: Files, settings: Settings, store: Store, journal: Journal, books: Collected) -> None:
    """What each closed period was closed with: the digests that were stored, and the parts as they are now."""
    closed = [p for p in books.periods if p["status"] == HARD_CLOSED]
    if not closed:
        return
    with contextlib.closing(open_warehouse(settings.warehouse)) as connection:
        now = read_books(store, journal, connection, settings.state, settings.as_of)
        for p in closed:
            parts = {"at_the_close": json.loads(p["snapshot_json"]), "now": snapshot(now, p["entity_id"], p["period"])}
            files.content[f"controls/close_{p['entity_id']}.json"] = json.dumps(
                parts, indent=1, sort_keys=True
            ).encode()


def _write(files: Files, out: Path) -> None:
    """Whole or not at all: written beside and renamed."""
    beside = out.with_name(f".{out.name}.{dt.datetime.now(dt.UTC):%H%M%S%f}")
    beside.parent.mkdir(parents=True, exist_ok=True)
    if out.suffix == ".zip":
        with zipfile.ZipFile(beside, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in sorted(files.content.items()):
                archive.writestr(zipfile.ZipInfo(name, _TIME), content, zipfile.ZIP_DEFLATED)
    else:
        for name, content in files.content.items():
            path = beside / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        if out.exists():
            out.rmdir()
    beside.rename(out)
