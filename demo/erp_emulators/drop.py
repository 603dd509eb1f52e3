"""The generic file contract (docs/erp-generic.md) as an in-house ledger's importer would serve it: takes journal files,
acknowledges them, and writes extracts of the emulated books. Its only HTTP is the control address."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from demo.erp_emulators.core import Refused
from demo.erp_emulators.face import Face
from demo.erp_emulators.ledger import Entry, EntryLine, Held
from demo.erp_emulators.rest_records import journal_record, minor
from demo.simulators.server import HangUp, Request, Response

FOLDERS = ("inbox", "archive", "ack", "extract", "masters")
LOOK_SECONDS = 0.005
_FILE = re.compile(r"(?P<key>[A-Za-z0-9_-]+)\.[0-9]+\.csv")
_HEAD = ("id", "number", "state", "external_id", "date", "period", "currency", "text", "reverses")
_COUNTS = ("company", "period", "journals", "lines", "debit")
_LINE = ("account", "debit", "credit", "currency", "amount", "text")


class DropFace(Face):
    """An importer with folders below `root/drop`. `step` does one round; `running` does rounds in a thread."""

    name = "drop"

    def __init__(self, root: Path, *, clock: Callable[[], float] = time.time) -> None:
        self.folder = root / "drop"
        self._work = threading.Lock()
        self._stop = threading.Event()
        self._written: dict[Path, str] = {}
        super().__init__(root, clock=clock)
        self._make_folders()
        self._thread = threading.Thread(target=self._rounds, name="importer", daemon=True)

    def answer(self, request: Request) -> Response:
        raise Refused("unknown_document", "This ledger takes files.")

    def refused(self, error: Refused) -> Response:
        return Response(error.status, str(error), content_type="text/plain")

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def reset(self, *args: Any, **how: Any) -> None:
        """Empty books and empty folders."""
        with self._work:
            super().reset(*args, **how)
            for name in FOLDERS:
                for path in sorted((self.folder / name).rglob("*"), reverse=True):
                    path.rmdir() if path.is_dir() else path.unlink()
            self._written.clear()
        self.step()

    def settle(self) -> None:
        """Everything that lies in the inbox is taken, whatever the weather, and shows in the extract."""
        calm = replace(self.erp.behaviour, storm_before=0.0, throttle=0.0)
        self.erp.behaviour, was = calm, self.erp.behaviour
        self.step()
        self.erp.settle()
        self.step(everything=True)
        self.erp.behaviour = was

    def step(self, *, everything: bool = False) -> None:
        """One round: masters, files of the inbox, extracts."""
        with self._work:
            self._write_masters()
            for path in sorted((self.folder / "inbox").glob("[!.]*.csv")):
                self._take(path)
            self.erp.tick()
            self._write_extracts(everything)

    def _rounds(self) -> None:
        while not self._stop.wait(LOOK_SECONDS):
            self.step()

    def _take(self, path: Path) -> None:
        """Claims the file by renaming it; a file that nobody could serve goes back for the next round."""
        claimed = self.folder / "archive" / path.name
        try:
            with self.erp.request():
                text = path.read_text(encoding="utf-8")
                path.rename(claimed)
                try:
                    entry = _entry(path.name, text, self.erp.ledger.companies())
                    (held,) = self.erp.take([entry], remember=entry.key, durable=True)
                except HangUp:
                    return
                except Refused as error:
                    if error.status < 500:
                        self._acknowledge(path.name, "rejected", code=error.code, message=str(error))
                    return
                self._acknowledge(path.name, "posted", id=held.id, number=held.number or "")
                self.erp.replied()
        except Refused:
            return

    def _acknowledge(self, name: str, status: str, **answer: str) -> None:
        row = {"status": status, "id": "", "number": "", "code": "", "message": "", **answer}
        _replace(self.folder / "ack" / name, _csv([row]))

    def _write_masters(self) -> None:
        ledger = self.erp.ledger
        companies = ledger.companies()
        rows = {
            "companies": [{"name": name, "currency": currency} for name, currency in companies.items()],
            "accounts": [
                {"company": c, "code": code, "name": name}
                for c in companies
                for code, name in ledger.accounts(c).items()
            ],
            "periods": [
                {"company": c, "name": p.name, "start_date": p.start_date, "end_date": p.end_date, "state": p.state}
                for c in companies
                for p in ledger.periods(c)
            ],
        }  # fmt: skip
        for name, found in rows.items():
            if found:
                self._publish(self.folder / "masters" / f"{name}.csv", found)

    def _write_extracts(self, everything: bool) -> None:
        held = self.erp.documents() if everything else self.erp.everything(altered=True)
        counts: list[dict[str, str]] = []
        for company in self.erp.ledger.companies():
            books: dict[str, list[dict[str, str]]] = {}
            for one in held:
                if one.entry.company == company:
                    books.setdefault(one.period, []).extend(_extract_rows(one))
            for period, rows in books.items():
                self._publish(self.folder / "extract" / company / f"{period}.csv", rows)
                counts.append({
                    "company": company, "period": period, "journals": str(len({row["id"] for row in rows})),
                    "lines": str(len(rows)), "debit": format(sum(Decimal(row["debit"]) for row in rows), "f"),
                })  # fmt: skip
            for path in (self.folder / "extract" / company).glob("*.csv"):
                if path.stem not in books:  # its last journal was deleted
                    path.unlink()
                    self._written.pop(path)
        self._publish(self.folder / "masters" / "extracts.csv", counts, _COUNTS)

    def _publish(self, path: Path, rows: Sequence[dict[str, str]], columns: Sequence[str] = ()) -> None:
        text = _csv(rows, columns)
        if self._written.get(path) != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            _replace(path, text)
            self._written[path] = text

    def _make_folders(self) -> None:
        for name in FOLDERS:
            (self.folder / name).mkdir(parents=True, exist_ok=True)


def _entry(name: str, text: str, companies: dict[str, str]) -> Entry:
    rows = list(csv.DictReader(io.StringIO(text), strict=True))
    match = _FILE.fullmatch(name)
    if not rows or match is None:
        raise Refused("invalid", "The file is empty or has another name than <key>.<n>.csv.")
    head = rows[0]
    if head["external_id"] != match["key"] or head["company"] not in companies:
        raise Refused("invalid", "The file's key or company is not the one of its rows.")
    functional = companies[head["company"]]
    if head["currency"] != functional:
        raise Refused("invalid", f"{head['company']} keeps its books in {functional}.")
    return Entry(
        key=head["external_id"],
        company=head["company"],
        date=head["date"],
        currency=functional,
        text=head["text"],
        reverses=head["reverses"] or None,
        lines=tuple(
            EntryLine(
                row["account"], minor(row["debit"], functional), minor(row["credit"], functional), row["line_currency"],
                minor(row["amount"], row["line_currency"]), row["line_text"], json.loads(row["dimensions"]),
            )
            for row in rows
        ),
    )  # fmt: skip


def _extract_rows(held: Held) -> list[dict[str, str]]:
    record = journal_record(held)
    head = {name: record[name] or "" for name in _HEAD}
    return [
        head
        | {"line_no": str(number)}
        | {{"currency": "line_currency", "text": "line_text"}.get(name, name): line[name] for name in _LINE}
        for number, line in enumerate(record["lines"], start=1)
    ]


def _csv(rows: Sequence[dict[str, str]], columns: Sequence[str] = ()) -> str:
    """`columns`: of a file that may have no rows."""
    out = io.StringIO()
    writer = csv.DictWriter(out, columns or list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def _replace(path: Path, text: str) -> None:
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    scratch.write_text(text, encoding="utf-8")
    scratch.replace(path)
