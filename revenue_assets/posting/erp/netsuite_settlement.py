"""What is open on NetSuite's invoices and what settles them, read with SuiteQL."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal

from revenue_assets.domain.config_erp import NetSuiteDetails, NetSuiteOptions
from revenue_assets.domain.money import to_minor
from revenue_assets.posting.erp.netsuite_masters import Masters
from revenue_assets.posting.erp.open_items import OpenItem
from revenue_assets.posting.erp.port import Application
from revenue_assets.sources.netsuite_client import NetSuiteClient, literal
from revenue_assets.sources.netsuite_tables import Applied, applied, chunks


class Settlement:
    """Reads only. `exponents`: currency -> minor-unit digits."""

    def __init__(
        self, client: NetSuiteClient, masters: Masters, exponents: Mapping[str, int], options: NetSuiteOptions,
        details: NetSuiteDetails,
    ) -> None:  # fmt: skip
        self._client, self._masters, self._exponents = client, masters, dict(exponents)
        self.number_column = details.number_column
        self._book = f" AND tal.accountingbook = {int(options.accounting_book)}" if options.accounting_book else ""

    def open_items(self, company: str, references: Iterable[str]) -> dict[str, tuple[OpenItem, ...]]:
        """Posted invoices of the company by number; several under one number are for a person to sort out."""
        subsidiary = self._masters.subsidiary(company)
        found: dict[str, tuple[OpenItem, ...]] = {}
        wanted = sorted({number for number in references if number.isprintable()}) if subsidiary is not None else []
        for chunk in chunks(wanted):
            rows = self._client.query(
                f"SELECT t.id, t.{self.number_column} AS number, t.entity, t.currency, t.foreignamountunpaid, "
                "MIN(tal.posting) AS posting FROM transaction t "
                "JOIN transactionline tl ON tl.transaction = t.id AND tl.mainline = 'T' "
                f"JOIN transactionaccountingline tal ON tal.transaction = t.id{self._book} "
                f"WHERE t.type = 'CustInvc' AND tl.subsidiary = {int(subsidiary.id if subsidiary else 0)} "
                f"AND t.{self.number_column} IN ({', '.join(literal(number) for number in chunk)}) "
                f"GROUP BY t.id, t.{self.number_column}, t.entity, t.currency, t.foreignamountunpaid ORDER BY t.id"
            )
            for row in rows:
                if row.get("posting") == "T":
                    currency = self._masters.currency_code(str(row["currency"]))
                    unpaid = self._minor(str(row.get("foreignamountunpaid") or 0), currency)
                    item = OpenItem(str(row["id"]), str(row.get("entity", "")), currency, unpaid)
                    found[row["number"]] = (*found.get(row["number"], ()), item)
        return found

    def settled_by(self, document_ids: Iterable[str], currency: str) -> dict[str, tuple[Application, ...]]:
        """What each payment or credit memo settles now, by its id; amounts in `currency`. Raises MoneyError."""
        parts: dict[str, list[Applied]] = {}
        for part in applied(self._client, document_ids, self.number_column):
            parts.setdefault(part.settled_by, []).append(part)
        return {
            document: tuple(Application(x.number, self._minor(x.amount, currency), currency) for x in mine)
            for document, mine in parts.items()
        }

    def _minor(self, amount: str, currency: str) -> int:
        return to_minor(format(Decimal(amount), "f"), self._exponents[currency])
