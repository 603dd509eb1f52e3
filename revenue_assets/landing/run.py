"""Landing of a source: pull pages, write them, and move the cursor only when everything before it is on disk."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

from revenue_assets.landing.writer import LandingResult, LandingWriter
from revenue_assets.sources.base import CursorStore, Page, PaginationError, Source


def land(
    source: Source,
    objects: Iterable[str],
    writer: LandingWriter,
    cursor_store: CursorStore,
    now: dt.datetime,
) -> list[LandingResult]:
    """Lands the given objects one after another; each object's cursor is saved once its files are committed.

    A kill between commit and save makes the next run read the same pages again; deduplication makes that harmless.
    Raises SourceError or LandingError at the first object that fails: its cursor stays, earlier objects are done.
    """
    return [_land_object(source, name, writer, cursor_store, now) for name in objects]


def _land_object(
    source: Source, object_name: str, writer: LandingWriter, cursor_store: CursorStore, now: dt.datetime
) -> LandingResult:
    if object_name not in source.OBJECTS:
        raise ValueError(f"source {source.name} has no object {object_name!r}")
    last: Page | None = None
    expected: int | None = None
    with writer.open(source, object_name, now) as landing:
        for page in source.pull(object_name, cursor_store.get(source.name, object_name), now):
            landing.add(page)
            last = page
            expected = page.control.get("expected_rows", expected)
        if last is None:
            raise PaginationError(f"{source.name}/{object_name}: the source gave no page at all")
        if expected is not None and landing.result.rows_read < expected:
            raise PaginationError(
                f"{source.name}/{object_name}: {landing.result.rows_read} rows came, the source announced {expected}"
            )
        if last.complete:
            landing.mark_missing_deleted()
    landing.result.cursor = last.cursor
    cursor_store.set(source.name, object_name, last.cursor)
    return landing.result
