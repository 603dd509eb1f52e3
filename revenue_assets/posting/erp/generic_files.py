"""The file contract's folders (docs/erp-generic.md): journal files out, answers and extracts in. No accounting.

inbox/<key>.<n>.csv       ours: the n-th attempt to bring in one journal; appears whole or not at all
archive/<key>.<n>.csv     the same file, once the ledger has taken it (it renames)
ack/<key>.<n>.csv         the ledger's answer to it: posted, or rejected with a reason
extract/<company>/<period>.csv   the ledger's books, a row per line; replaced as a whole
masters/{companies,accounts,periods}.csv
"""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args
from urllib.parse import quote

from revenue_assets.domain.config_erp_generic import Folder
from revenue_assets.posting.erp.port import ErpError, Failure

Row = dict[str, str]
KEY = re.compile(r"[A-Za-z0-9_-]+")
_NAME = re.compile(r"(?P<key>[A-Za-z0-9_-]+)\.(?P<attempt>[1-9][0-9]{0,5})\.csv")


class DropFolder:
    """One ledger's drop directory. `names`: folders called otherwise than in the contract."""

    def __init__(self, root: Path, delimiter: str, names: Mapping[Folder, str]) -> None:
        self._delimiter = delimiter
        self._folders = {name: root / names.get(name, name) for name in get_args(Folder)}
        self._parsed: dict[Path, tuple[tuple[int, int, int], list[Row]]] = {}

    def check(self) -> None:
        """Raises ErpError unless the folders are there: an unmounted share looks like an empty ledger."""
        missing = [str(path) for path in self._folders.values() if not path.is_dir()]
        if missing:
            raise ErpError(Failure("unavailable", f"The drop directory lacks {', '.join(missing)}; is it mounted?"))

    def attempts(self, keys: Sequence[str]) -> dict[str, list[int]]:
        """Key -> numbers of the files that were ever sent for it. The order of reading is the way of a file, so that
        one that moves meanwhile is seen."""
        wanted, found = set(keys), dict[str, set[int]]()
        for folder in ("inbox", "archive", "ack"):
            with os.scandir(self._folders[folder]) as entries:
                for entry in entries:
                    match = _NAME.fullmatch(entry.name)
                    if match and match["key"] in wanted:
                        found.setdefault(match["key"], set()).add(int(match["attempt"]))
        return {key: sorted(numbers) for key, numbers in found.items()}

    def ack(self, key: str, attempt: int) -> Row | None:
        """The ledger's answer to a file; None while there is none."""
        rows = self._rows(self._folders["ack"] / _file(key, attempt))
        return rows[0] if rows else None

    def sent(self, key: str, attempt: int) -> str | None:
        """Text of a file that was sent; None if it is nowhere (any more)."""
        for folder in ("inbox", "archive"):
            try:
                return (self._folders[folder] / _file(key, attempt)).read_text(encoding="utf-8")
            except FileNotFoundError:
                continue
        return None

    def send(self, key: str, attempt: int, text: str) -> bool:
        """Makes the file appear in the inbox, whole and durable; False if somebody made it before."""
        inbox = self._folders["inbox"]
        scratch = inbox / f".{_file(key, attempt)}.{os.getpid()}"
        with open(scratch, "w", encoding="utf-8", newline="") as out:
            out.write(text)
            out.flush()
            os.fsync(out.fileno())
        try:
            os.link(scratch, inbox / _file(key, attempt))
        except FileExistsError:
            return False
        finally:
            scratch.unlink()
        folder = os.open(inbox, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        return True

    def extract(self, company: str, period: str | None = None) -> list[Row]:
        """Rows of the company's books, one period or all."""
        folder = self._folders["extract"] / quote(company, safe=" ")
        names = [f"{period}.csv"] if period else sorted(p.name for p in folder.glob("*.csv"))
        return [row for name in names for row in self._rows(folder / name) or ()]

    def journals(self, company: str, period: str | None = None) -> list[dict[str, Any]]:
        """Journals of the books in the contract's form, rows of one id being its lines. Raises ErpError for rows that
        contradict each other, and for an extract without its columns."""
        records: dict[str, dict[str, Any]] = {}
        try:
            for row in self.extract(company, period):
                head = records.setdefault(row["id"], {**row, "reverses": row["reverses"] or None, "lines": []})
                if any(head[name] != row[name] for name in ("external_id", "number", "state", "date", "currency")):
                    words = f"Journal {row['id']} of the extract has lines that contradict each other."
                    raise ErpError(Failure("readback_mismatch", words))
                line = {name: row[name] for name in ("account", "debit", "credit", "amount")}
                head["lines"].append({**line, "currency": row["line_currency"], "text": row["line_text"]})
        except KeyError as error:
            raise ErpError(Failure("unavailable", f"The extract of {company} lacks the column {error}.")) from error
        return list(records.values())

    def masters(self, name: str) -> list[Row]:
        """Rows of a master file. Raises ErpError if it is not there."""
        rows = self._rows(self._folders["masters"] / f"{name}.csv")
        if rows is None:
            raise ErpError(Failure("unavailable", f"The ledger has not left its {name}.csv in the masters folder."))
        return rows

    def text(self, rows: Sequence[Row]) -> str:
        """Rows as CSV text with a header."""
        out = io.StringIO()
        writer = csv.DictWriter(out, list(rows[0]), delimiter=self._delimiter, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        return out.getvalue()

    def _rows(self, path: Path) -> list[Row] | None:
        """A file of the ledger's, parsed again only when it changed; None if it is not there."""
        try:
            stat = path.stat()
            version = (stat.st_ino, stat.st_size, stat.st_mtime_ns)
            known = self._parsed.get(path)
            if known is None or known[0] != version:
                text = path.read_text(encoding="utf-8")
                known = self._parsed[path] = (version, _parsed(text, self._delimiter))
            return known[1]
        except FileNotFoundError:
            return None
        except (OSError, ValueError, csv.Error) as error:
            raise ErpError(Failure("unavailable", f"{path.name} cannot be read: {error}.")) from error


def _parsed(text: str, delimiter: str) -> list[Row]:
    reader = csv.DictReader(io.StringIO(text), delimiter=delimiter, strict=True)
    rows = list(reader)
    for number, row in enumerate(rows, start=2):
        if None in row or None in row.values():
            raise ValueError(f"row {number} has another number of fields than the header")
    return rows


def _file(key: str, attempt: int) -> str:
    return f"{key}.{attempt}.csv"
