"""Record files in memory: one `Table` per (instance, object), loaded on first use, newest record first.

A page of a list API is mostly bytes copied from the file, so a table keeps each record's JSON text and parses it
only when a request has to look inside (expand, filter by an unusual field). Equality filters use hash indexes that
are built on first use. 30,000 meter summaries load in about 0.3 s and 100 records are served in under 1 ms.
"""

from __future__ import annotations

import json
import threading
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

Record = dict[str, Any]
#: Turns a parsed record into what the API shows by default; None keeps the file's text as it is.
Prepare = Callable[[Record], Record | None]


class WorldError(Exception):
    """The world directory does not hold what a simulator needs. The message says what and where."""


def lookup(record: Record, path: str) -> Any:
    """The value at a dotted path (`recurring.interval`): None where a step is absent, a list where one is a list."""
    return _walk(record, path.split("."))


def _walk(value: Any, steps: list[str]) -> Any:
    for place, step in enumerate(steps):
        if isinstance(value, list):
            return [_walk(item, steps[place:]) for item in value]
        if not isinstance(value, dict):
            return None
        value = value.get(step)
    return value


class Table:
    """The records of one object, ordered newest first by `order_by` (ties: the later record is newer).

    `rows` are (JSON text, the same parsed); `name` is for messages. `prepare` says what a list shows of a record.

    Positions are indexes into that order. A missing file is an empty table: a real account that has never had a
    dispute answers an empty list too.
    """

    def __init__(
        self,
        rows: Iterable[tuple[str, Record]],
        name: str,
        *,
        id_field: str = "id",
        order_by: str = "created",
        prepare: Prepare | None = None,
    ) -> None:
        self._columns: dict[str, list[Any]] = {}
        self._indexes: dict[str, dict[Any, list[int]]] = {}
        self._lock = threading.Lock()
        loaded: list[tuple[Any, int, str, str, Record | None]] = []
        for number, (text, record) in enumerate(rows):
            if id_field not in record:
                raise WorldError(f"{name} record {number + 1} has no {id_field!r}")
            shown = prepare(record) if prepare else None
            shown_text = text if shown is None else json.dumps(shown, separators=(",", ":"), ensure_ascii=False)
            full = record if shown is not None else None
            loaded.append((record.get(order_by) or 0, number, str(record[id_field]), shown_text, full))
        loaded.sort(key=lambda row: (row[0], row[1]), reverse=True)
        self.order: list[Any] = [row[0] for row in loaded]
        self.ids: list[str] = [row[2] for row in loaded]
        self.texts: list[str] = [row[3] for row in loaded]
        self._full = {position: row[4] for position, row in enumerate(loaded) if row[4] is not None}
        self._position = {record_id: position for position, record_id in enumerate(self.ids)}
        if len(self._position) != len(self.ids):
            twice = next(i for n, i in enumerate(self.ids) if self._position[i] != n)
            raise WorldError(f"{name}: id {twice!r} occurs twice")

    def __len__(self) -> int:
        return len(self.ids)

    def position(self, record_id: str) -> int | None:
        """Place of a record in the newest-first order, or None if there is no such id."""
        return self._position.get(record_id)

    def shown(self, position: int) -> Record:
        """A fresh copy of the record as the API shows it by default."""
        return json.loads(self.texts[position])

    def full(self, position: int) -> Record:
        """The record with everything the file holds, also what a list hides. Not to be changed by the caller."""
        kept = self._full.get(position)
        return kept if kept is not None else json.loads(self.texts[position])

    def column(self, path: str) -> list[Any]:
        """The value at `path` of every record, by position; read once, then kept."""
        values = self._columns.get(path)
        if values is None:
            with self._lock:
                values = self._columns.get(path)
                if values is None:
                    values = [lookup(self.full(position), path) for position in range(len(self.ids))]
                    self._columns[path] = values
        return values

    def where(self, path: str, value: Any) -> list[int]:
        """Ascending positions of the records whose value at `path` equals `value`. A list value matches any item."""
        index = self._indexes.get(path)
        if index is None:
            index = {}
            for position, found in enumerate(self.column(path)):
                for item in found if isinstance(found, list) else [found]:
                    if isinstance(item, (str, int)) or item is None:
                        index.setdefault(item, []).append(position)
            self._indexes[path] = index
        return index.get(value, [])

    def order_window(self, low: Any, high: Any) -> range:
        """Positions whose order value v has low <= v < high; None leaves a side open. Orders are descending."""
        keys = _Negated(self.order)
        start = 0 if high is None else bisect_right(keys, -high)
        stop = len(self.order) if low is None else bisect_right(keys, -low)
        return range(start, max(start, stop))


class _Negated:
    """A read-only ascending view of a descending list of numbers, for bisect."""

    def __init__(self, values: list[Any]) -> None:
        self._values = values

    def __len__(self) -> int:
        return len(self._values)

    def __getitem__(self, position: int) -> Any:
        return -self._values[position]


class Instance:
    """One source instance of the world (`<dir>/<instance>/`): its tables, each loaded on first use."""

    def __init__(self, directory: Path) -> None:
        if not directory.is_dir():
            raise WorldError(f"{directory} is not there: make the world first")
        self.name = directory.name
        self._directory = directory
        self._tables: dict[str, Table] = {}
        self._lock = threading.RLock()

    def has(self, name: str) -> bool:
        """Whether the world wrote this object at all."""
        return (self._directory / f"{name}.jsonl").is_file()

    def table(
        self,
        name: str,
        *,
        id_field: str = "id",
        order_by: str = "created",
        prepare: Prepare | None = None,
        derive: Callable[[], Iterable[Record]] | None = None,
    ) -> Table:
        """The table of an object; the options count on the first call only.

        `derive` makes the records of an object that the world does not write because others imply it.
        """
        found = self._tables.get(name)
        if found is None:
            with self._lock:
                found = self._tables.get(name)
                if found is None:
                    if derive is not None and not self.has(name):
                        rows = [(json.dumps(item, separators=(",", ":")), item) for item in derive()]
                    else:
                        rows = list(self.rows(name))
                    label = f"{self.name}/{name}"
                    found = Table(rows, label, id_field=id_field, order_by=order_by, prepare=prepare)
                    self._tables[name] = found
        return found

    def rows(self, name: str) -> Iterator[tuple[str, Record]]:
        """The records of a file in file order: their text, and parsed."""
        path = self._directory / f"{name}.jsonl"
        for number, text in enumerate(_lines(path)):
            yield text, _parse(text, path, number)


def _lines(path: Path) -> Iterator[str]:
    if not path.is_file():
        return
    with path.open(encoding="utf-8", newline="\n") as handle:
        for line in handle:
            text = line.strip()
            if text:
                yield text


def _parse(text: str, path: Path, number: int) -> Record:
    try:
        record = json.loads(text)
    except ValueError as error:
        raise WorldError(f"{path} line {number + 1}: not JSON ({error})") from error
    if not isinstance(record, dict):
        raise WorldError(f"{path} line {number + 1}: a record must be a JSON object")
    return record


def page_of(positions: list[int] | range, after: int | None, before: int | None, limit: int) -> tuple[list[int], bool]:
    """`limit` of the ascending `positions` after (older than) or before (newer than) an anchor, and has_more.

    With `before`, the page is the `limit` records *nearest* to the anchor, still newest first: that is what lets a
    client walk forward in time page by page.
    """
    if before is not None:
        stop = bisect_left(positions, before)
        start = max(0, stop - limit)
        return list(positions[start:stop]), start > 0
    start = 0 if after is None else bisect_right(positions, after)
    return list(positions[start : start + limit]), start + limit < len(positions)
