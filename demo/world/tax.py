"""Sales tax and VAT: which rates apply, the tax of a line, and the tax engine's committed documents.

The billing platform and the engine agree to the cent, line by line and rate by rate; the engine dates a document by
the invoice's local day. A voided invoice's document is cancelled.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from demo.world.calendar import ENTITIES, iso, local_date
from demo.world.catalogue import PRODUCTS
from demo.world.customers import billing_country
from demo.world.ids import Ids
from demo.world.model import Customer, Deal, Invoice, Line
from demo.world.money import half_up, major_number

_COMPANY_IDS = {"US": 7800101, "UK": 7800102, "DE": 7800103}


@dataclass(frozen=True)
class TaxRate:
    """One jurisdiction's rate; `name` is written the same way by the billing platform and the tax engine."""

    key: str
    entity: str
    percent: str
    country: str
    state: str | None
    level: str  # Country | State | County
    name: str
    code: str
    tax_type: str  # Sales | Output
    tax_name: str

    @property
    def per_hundred_thousand(self) -> int:
        """The rate as an exact integer of 1/100,000."""
        return int(Decimal(self.percent) * 1000)


TAX_RATES = {
    r.key: r
    for r in (
        TaxRate("NY", "US", "4.0", "US", "NY", "State", "NEW YORK", "36", "Sales", "NY STATE TAX"),
        TaxRate("NY-KINGS", "US", "4.5", "US", "NY", "County", "KINGS", "047", "Sales", "NY COUNTY TAX"),
        TaxRate("TX", "US", "6.25", "US", "TX", "State", "TEXAS", "48", "Sales", "TX STATE TAX"),
        TaxRate("TX-TRAVIS", "US", "2.0", "US", "TX", "County", "TRAVIS", "453", "Sales", "TX COUNTY TAX"),
        TaxRate("PA", "US", "6.0", "US", "PA", "State", "PENNSYLVANIA", "42", "Sales", "PA STATE TAX"),
        TaxRate("PA-ALLEGHENY", "US", "1.0", "US", "PA", "County", "ALLEGHENY", "003", "Sales", "PA COUNTY TAX"),
        TaxRate("WA", "US", "6.5", "US", "WA", "State", "WASHINGTON", "53", "Sales", "WA STATE TAX"),
        TaxRate("WA-KING", "US", "3.85", "US", "WA", "County", "KING", "033", "Sales", "WA COUNTY TAX"),
        TaxRate("GB", "UK", "20.0", "GB", None, "Country", "UNITED KINGDOM", "GB", "Output", "Standard Rate"),
        TaxRate("DE", "DE", "19.0", "DE", None, "Country", "GERMANY", "DE", "Output", "Standard Rate"),
    )
}


def rates_for(customer: Customer, billed_by: str) -> list[TaxRate]:
    """Rates a legal entity charges a customer; none for exports, reverse charge and states that do not tax it."""
    country, state, _, _ = billing_country(customer, billed_by)
    return [r for r in TAX_RATES.values() if r.entity == billed_by and r.country == country and r.state == state]


def tax_line(line: Line, rates: Iterable[TaxRate]) -> None:
    """Set the line's taxes: per rate, half up on the line's net amount."""
    line.taxes = [(r.key, half_up(line.net * r.per_hundred_thousand, 100_000)) for r in rates]


def tax_rate_id(ids: Ids, key: str) -> str:
    """Id of a rate's object in the billing platform."""
    return ids.stripe("txr", key)


def tax_rate_objects(ids: Ids, entity: str, opened: int) -> list[dict[str, Any]]:
    """The processor's tax rate objects of one account."""
    return [
        {
            "id": tax_rate_id(ids, r.key),
            "object": "tax_rate",
            "active": True,
            "country": r.country,
            "created": opened,
            "description": r.tax_name,
            "display_name": "VAT" if r.tax_type == "Output" else "Sales tax",
            "effective_percentage": float(r.percent),
            "flat_amount": None,
            "inclusive": False,
            "jurisdiction": r.name,
            "jurisdiction_level": r.level.lower(),
            "livemode": True,
            "metadata": {"jurisdiction_code": r.code},
            "percentage": float(r.percent),
            "rate_type": "percentage",
            "state": r.state,
            "tax_type": "vat" if r.tax_type == "Output" else "sales_tax",
        }
        for r in TAX_RATES.values()
        if r.entity == entity
    ]


@dataclass(frozen=True)
class DocumentLine:
    """One line of an engine document, signed: a return carries negative amounts."""

    code: str
    quantity: int
    net: int
    discount: int
    taxes: tuple[tuple[str, int], ...]


def document(
    ids: Ids,
    deal: Deal,
    code: str,
    kind: str,
    day: date,
    lines: list[DocumentLine],
    *,
    committed_at: int,
    cancelled_at: int | None = None,
    reference: str | None = None,
) -> dict[str, Any]:
    """The engine's transaction model of an invoice or a credit note; amounts are decimals of major units."""
    currency = deal.currency
    transaction_id = 4_000_000_000 + ids.number("avatax", code, below=3_999_999_999)
    total = sum(line.net for line in lines)
    taxable = sum(line.net for line in lines if line.taxes)
    tax = sum(amount for line in lines for _, amount in line.taxes)
    country, state, city, postal_code = billing_country(deal.customer, deal.billed_by)

    def number(amount: int) -> float:
        return major_number(amount, currency)

    return {
        "id": transaction_id,
        "code": code,
        "companyId": _COMPANY_IDS[deal.billed_by],
        "companyCode": deal.billed_by,
        "date": day.isoformat(),
        "taxDate": day.isoformat(),
        "paymentDate": "1900-01-01",
        "status": "Cancelled" if cancelled_at else "Committed",
        "type": kind,
        "batchCode": "",
        "currencyCode": currency,
        "exchangeRateCurrencyCode": currency,
        "exchangeRate": 1.0,
        "customerCode": deal.customer.account_id,
        "entityUseCode": "",
        "exemptNo": "",
        "reconciled": False,
        "purchaseOrderNo": "",
        "referenceCode": reference or "",
        "taxOverrideType": "None",
        "taxOverrideAmount": 0.0,
        "totalAmount": number(total),
        "totalExempt": number(total - taxable),
        "totalDiscount": number(sum(line.discount for line in lines)),
        "totalTax": number(tax),
        "totalTaxable": number(taxable),
        "totalTaxCalculated": number(tax),
        "adjustmentReason": "NotAdjusted",
        "locked": False,
        "region": state or "",
        "country": country,
        "version": 1,
        "modifiedDate": iso(cancelled_at or committed_at).removesuffix("Z"),
        "modifiedUserId": 9001,
        "addresses": [
            {
                "id": transaction_id + 1,
                "transactionId": transaction_id,
                "boundaryLevel": "Zip5",
                "line1": f"{1 + deal.customer.index % 190} Market Street",
                "city": city,
                "region": state or "",
                "postalCode": postal_code,
                "country": country,
            }
        ],
        "lines": [_line(transaction_id, n, line, day, number) for n, line in enumerate(lines, start=1)],
        "summary": [],
    }


def _line(transaction_id: int, n: int, line: DocumentLine, day: date, number: Any) -> dict[str, Any]:
    line_id = transaction_id * 100 + n
    tax = sum(amount for _, amount in line.taxes)
    return {
        "id": line_id,
        "transactionId": transaction_id,
        "lineNumber": str(n),
        "itemCode": line.code,
        "description": PRODUCTS[line.code].name,
        "taxCode": "SW054003",
        "quantity": float(line.quantity),
        "lineAmount": number(line.net),
        "discountAmount": number(line.discount),
        "exemptAmount": number(0 if line.taxes else line.net),
        "taxableAmount": number(line.net if line.taxes else 0),
        "tax": number(tax),
        "taxCalculated": number(tax),
        "taxIncluded": False,
        "isItemTaxable": bool(line.taxes),
        "revAccount": "",
        "reportingDate": day.isoformat(),
        "details": [
            _detail(transaction_id, line_id, k, TAX_RATES[key], line.net, amount, number)
            for k, (key, amount) in enumerate(line.taxes, start=1)
        ],
    }


def _detail(
    transaction_id: int, line_id: int, k: int, rate: TaxRate, net: int, tax: int, number: Any
) -> dict[str, Any]:
    return {
        "id": line_id * 10 + k,
        "transactionLineId": line_id,
        "transactionId": transaction_id,
        "country": rate.country,
        "region": rate.state or rate.country,
        "jurisType": rate.level,
        "jurisCode": rate.code,
        "jurisName": rate.name,
        "rate": float(Decimal(rate.percent) / 100),
        "tax": number(tax),
        "taxCalculated": number(tax),
        "taxableAmount": number(net),
        "nonTaxableAmount": 0.0,
        "exemptAmount": 0.0,
        "taxName": rate.tax_name,
        "taxType": rate.tax_type,
        "isFee": False,
        "isNonPassThru": False,
    }


def invoice_document(ids: Ids, invoice: Invoice) -> dict[str, Any]:
    """The engine's document of an invoice, also when the invoice itself does not show the tax."""
    lines = [
        DocumentLine(line.code, line.quantity, line.net, line.discount, tuple(line.taxes)) for line in invoice.lines
    ]
    day = invoice.tax_date or local_date(invoice.entity, invoice.created)
    return document(
        ids,
        invoice.deal,
        invoice.id,
        "SalesInvoice",
        day,
        lines,
        committed_at=invoice.created,
        cancelled_at=invoice.voided_at,
    )


def company_codes() -> list[str]:
    """Company codes of the engine account: the legal entities' ids."""
    return list(ENTITIES)
