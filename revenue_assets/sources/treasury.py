"""Treasury's file drop: exchange rates and bank statement lines as CSV, one file per delivery.

Contract: UTF-8, comma, the header exactly as below, every line ended; file names start with the object's name
(`fx_rate.csv`, `bank_line_2026-10-31.csv`). Numbers stay text from the file to the warehouse. A file that breaks the
contract as a whole is quarantined whole: half a bank statement is worse than none. One bad value harms its row alone.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from revenue_assets.sources.base import (
    RECORD_ID_PATTERN,
    Cursor,
    ObjectContract,
    Page,
    Record,
    Rejected,
    SourceError,
)
from revenue_assets.sources.drop import DroppedFile, FileRefused, new_files, refusal
from revenue_assets.state import currency_exponents

_CURRENCY = re.compile(r"[A-Z]{3}")
_AMOUNT = re.compile(r"-?(?:0|[1-9]\d{0,17})(?:\.(\d{1,4}))?")
_RATE = re.compile(r"(?:0|[1-9]\d{0,11})(?:\.\d{1,12})?")
_RATE_TYPES = ("spot", "closing", "average")
CELL_CHARACTERS_MAX = 10_000
ROWS_PER_PAGE = 20_000

COLUMNS: dict[str, tuple[str, ...]] = {
    "fx_rate": ("entity_id", "from_currency", "to_currency", "rate_date", "rate_type", "rate"),
    "bank_line": (
        *("entity_id", "bank_account", "statement_id", "bank_line_id", "value_date"),
        *("amount", "currency", "reference", "counterparty"),
    ),
}
_MAY_BE_EMPTY = {"reference", "counterparty"}


class TreasurySource:
    """The drop folder of treasury. `options`: `drop` (folder)."""

    vendor = "treasury"
    OBJECTS: tuple[str, ...] = tuple(COLUMNS)
    CONTRACTS: Mapping[str, ObjectContract] = {
        "fx_rate": ObjectContract(COLUMNS["fx_rate"], stamps=("rate_date",), stamp_kind="iso"),
        "bank_line": ObjectContract(
            tuple(name for name in COLUMNS["bank_line"] if name not in _MAY_BE_EMPTY),
            amounts=("amount",),
            amount_kind="major",
            currency="currency",
            stamps=("value_date",),
            stamp_kind="iso",
        ),
    }

    def __init__(
        self,
        name: str,
        entity_id: str | None,
        base_url: str | None = None,
        credentials: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        self.name, self.entity_id = name, entity_id
        folder = (options or {}).get("drop")
        if base_url or not folder:
            raise SourceError(f"source {name}: a file drop needs the option 'drop' (a folder) and no base_url")
        self._folder = Path(str(folder))
        self._exponents = currency_exponents()

    def pull(self, object_name: str, cursor: Cursor | None, now: dt.datetime) -> Iterator[Page]:
        """See `Source.pull`. The cursor holds what files were read, by content."""
        if object_name not in COLUMNS:
            raise SourceError(f"{self.name}: no object {object_name!r}")
        seen = set((cursor or {}).get("files", []))
        for found in new_files(self._folder, rf"{object_name}(?:[^A-Za-z].*)?\.csv", seen):
            if isinstance(found, DroppedFile):
                yield from self._pages(object_name, found)
            else:
                yield Page(object_name, [], {}, rejected=[found])
        yield Page(object_name, [], {"files": sorted(seen)})

    def _pages(self, object_name: str, file: DroppedFile) -> Iterator[Page]:
        try:
            rows = _rows(file, COLUMNS[object_name])
        except FileRefused as refused:
            yield Page(object_name, [], {}, rejected=[refusal(file.name, str(refused), file.text)])
            return
        check = self._fx_rate if object_name == "fx_rate" else self._bank_line
        first: dict[str, str] = {}
        for start in range(0, len(rows), ROWS_PER_PAGE):
            page = Page(object_name, [], {})
            for line, cells in rows[start : start + ROWS_PER_PAGE]:
                _place(page, first, file.name, line, cells, COLUMNS[object_name], check)
            yield page

    def _fx_rate(self, row: Mapping[str, str]) -> str:
        for name in ("from_currency", "to_currency"):
            if row[name] not in self._exponents:
                raise ValueError(f"{name} is not a currency code")
        if row["rate_type"] not in _RATE_TYPES:
            raise ValueError(f"rate_type is not one of {', '.join(_RATE_TYPES)}")
        if not _RATE.fullmatch(row["rate"]) or not row["rate"].strip("0."):
            raise ValueError("rate is not a positive decimal number with a point")
        _date(row, "rate_date")
        return ":".join(row[name] for name in COLUMNS["fx_rate"][:5])

    def _bank_line(self, row: Mapping[str, str]) -> str:
        exponent = self._exponents.get(row["currency"])
        if exponent is None:
            raise ValueError("currency is not a currency code")
        amount = _AMOUNT.fullmatch(row["amount"])
        if amount is None:
            raise ValueError("amount is not a decimal number with a point")
        if len((amount.group(1) or "").rstrip("0")) > exponent:
            raise ValueError(f"amount has more decimals than {row['currency']} has")
        _date(row, "value_date")
        return f"{row['entity_id']}:{row['bank_line_id']}"


def _rows(file: DroppedFile, columns: tuple[str, ...]) -> list[tuple[int, list[str]]]:
    """(line number, cells) of every row. Raises FileRefused where the file as a whole cannot be trusted."""
    header, _, _ = file.text.partition("\n")
    if tuple(header.rstrip("\r").split(",")) != columns:
        raise FileRefused(f"its header is not {','.join(columns)}")
    if not file.text.endswith("\n"):
        raise FileRefused("its last line is not ended: the delivery was cut")
    csv.field_size_limit(max(csv.field_size_limit(), CELL_CHARACTERS_MAX))
    reader = csv.reader(io.StringIO(file.text, newline=""), strict=True)
    rows: list[tuple[int, list[str]]] = []
    try:
        next(reader)
        rows.extend((reader.line_num, cells) for cells in reader if cells)  # blank lines say nothing
    except csv.Error as error:
        raise FileRefused(f"its quoting is broken near line {reader.line_num} ({error})") from None
    if rows and len(rows[-1][1]) != len(columns):
        raise FileRefused(f"its last line has {len(rows[-1][1])} columns instead of {len(columns)}: cut?")
    if file.manifest is not None and file.manifest.rows != len(rows):
        raise FileRefused(f"it has {len(rows)} rows, its manifest promises {file.manifest.rows}")
    return rows


def _place(
    page: Page,
    first: dict[str, str],
    name: str,
    line: int,
    cells: list[str],
    columns: tuple[str, ...],
    check: Callable[[Mapping[str, str]], str],
) -> None:
    """Puts one row into the page, as a record or as rejected. `first`: what each id of the file said before."""
    text = json.dumps(cells, ensure_ascii=False)
    try:
        if len(cells) != len(columns):
            raise ValueError(f"{len(cells)} columns instead of {len(columns)}")
        row = dict(zip(columns, cells, strict=True))
        text = json.dumps(row, ensure_ascii=False, separators=(",", ":"))
        missing = [key for key in columns if not row[key] and key not in _MAY_BE_EMPTY]
        if missing:
            raise ValueError(f"{missing[0]} is empty")
        long = [key for key in columns if len(row[key]) > CELL_CHARACTERS_MAX]
        if long:
            raise ValueError(f"{long[0]} is longer than {CELL_CHARACTERS_MAX} characters")
        record_id = check(row)
        if not re.fullmatch(RECORD_ID_PATTERN, record_id):
            raise ValueError("its identifiers are not plain ASCII")
        if first.setdefault(record_id, text) != text:
            raise ValueError("the same id stands in the file before with other values")
    except ValueError as error:
        page.rejected.append(Rejected(f"file {name} line {line}: {error}", text))
        return
    page.records.append(Record(record_id, text, row))


def _date(row: Mapping[str, str], name: str) -> None:
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", row[name]):
        raise ValueError(f"{name} is not a date YYYY-MM-DD")
    try:
        dt.date.fromisoformat(row[name])
    except ValueError:
        raise ValueError(f"{name} is not a date YYYY-MM-DD") from None
