"""Tables of a package as CSV that a spreadsheet opens and does not run, and that reads back exactly.

A text that begins with = + - @ (full width too), ' or a control character gets a ' before it; so does the empty text,
because an empty cell is "no value". Numbers stay numbers, instants and days are ISO text. The reader is
`verify.Package.rows`.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

_DANGEROUS = ("=", "+", "-", "@", "'", "\t", "\r", "\n", "\0", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def cell(value: Any) -> str:
    """One value as it stands in a file."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | Decimal):
        return str(value)
    if isinstance(value, dt.date | dt.datetime):
        return value.isoformat()
    text = str(value)
    return f"'{text}" if not text or text.startswith(_DANGEROUS) else text


def write(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> bytes:
    """The rows as a CSV file with a header; columns that are not named are left out."""
    out = io.StringIO(newline="")
    # With the line end of the standard, a cell with either half of it is quoted.
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(columns)
    writer.writerows([cell(row[name]) for name in columns] for row in rows)
    return out.getvalue().encode()
