"""Read-back of a ledger that leaves extracts in a folder: each period's file, held against the ledger's own count."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path

from revenue_assets.domain.config_erp_generic import DropOptions
from revenue_assets.posting.erp.generic_files import DropFolder
from revenue_assets.posting.erp.generic_records import periods_of
from revenue_assets.posting.erp.port import AccountBalance, ErpError, ErpPeriod, Failure
from revenue_assets.sources.base import PaginationError
from revenue_assets.sources.generic_books import GenericSource, Row

# A ledger that is just replacing its extracts is done within seconds.
READS_MAX = 3
PAUSE_SECONDS = 2.0
EMPTY = ("0", "0", "0")


class GenericCsvSource(GenericSource):
    """`root`: the drop directory. `sleep` serves tests."""

    vendor = "generic_csv"

    def __init__(
        self,
        name: str,
        root: Path,
        options: DropOptions,
        companies: Mapping[str, str],
        exponents: Mapping[str, int],
        *,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        super().__init__(name, companies, exponents)
        self._files, self._sleep = DropFolder(root, options.delimiter, options.folders), sleep

    def _companies(self) -> dict[str, str]:
        self._files.check()
        return {row["name"]: row["currency"] for row in self._files.masters("companies")}

    def _periods(self, company: str) -> tuple[ErpPeriod, ...]:
        return periods_of(company, [row for row in self._files.masters("periods") if row.get("company") == company])

    def _journals(self, company: str, period: str) -> Iterator[Sequence[Row]]:
        yield self._whole(company, period)

    def _balances(self, company: str, period: str) -> Sequence[AccountBalance]:
        """The sums of the extract, which holds everybody's journals: files bring no balances of their own."""
        sums: dict[str, list[int]] = {}
        currency = self._companies()[company]
        for row in self._whole(company, period):
            document = self._records.read(company, row)
            if document.defects:
                words = f"Journal {document.number} in the extract is no money: {'; '.join(document.defects)}."
                raise ErpError(Failure("readback_mismatch", words))
            for line in document.lines if document.state == "posted" else ():
                both = sums.setdefault(line.account_code, [0, 0])
                both[0] += line.debit
                both[1] += line.credit
        return [AccountBalance(company, period, code, currency, d, c) for code, (d, c) in sorted(sums.items())]

    def _whole(self, company: str, period: str) -> Sequence[Row]:
        """Journals of a period's extract, if it has what `masters/extracts.csv` says: a missing or shortened file is no
        empty month. Both are replaced at their own time, so they are read again before anything is said."""
        found = counted = EMPTY
        for attempt in range(READS_MAX):
            if attempt:
                self._sleep(PAUSE_SECONDS)
            counted = self._counted(company, period)
            rows = self._files.journals(company, period)
            found = _counts(rows)
            if _same(found, counted):
                return rows
        said = "journals {}, lines {}, debit {}".format
        raise PaginationError(
            f"{self.name}: the extract of {company} {period} has {said(*found)}; the ledger's extracts.csv says "
            f"{said(*counted)}. Nothing was taken. Have the ledger write both anew."
        )

    def _counted(self, company: str, period: str) -> tuple[str, str, str]:
        """(journals, lines, debit) as the ledger counts them; a period that it does not name has none."""
        rows = [r for r in self._files.masters("extracts") if (r.get("company"), r.get("period")) == (company, period)]
        if len(rows) > 1:
            raise ErpError(Failure("readback_mismatch", f"extracts.csv has {company} {period} twice."))
        try:
            return (rows[0]["journals"], rows[0]["lines"], rows[0]["debit"]) if rows else EMPTY
        except KeyError as error:
            raise ErpError(Failure("unavailable", f"extracts.csv lacks the column {error}.")) from error


def _counts(rows: Sequence[Row]) -> tuple[str, str, str]:
    lines = [line for row in rows for line in row["lines"]]
    try:
        debit = sum((Decimal(line["debit"]) for line in lines), Decimal(0))
    except InvalidOperation:
        return str(len(rows)), str(len(lines)), "no amount"
    return str(len(rows)), str(len(lines)), format(debit, "f")


def _same(found: tuple[str, str, str], counted: tuple[str, str, str]) -> bool:
    try:
        return found[:2] == counted[:2] and Decimal(found[2]) == Decimal(counted[2])
    except InvalidOperation:
        return False
