"""The sales side as the CRM with its quoting package keeps it: accounts, price book, opportunities, quotes, contracts.

Unit prices are per billing interval of the product (month or year); the net total of a quote line is the contract
value it adds over the rest of the term. Dates of quotes and contracts are inclusive, as that vendor has them.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import date, timedelta
from typing import Any

from demo.world.calendar import Horizon, at, iso
from demo.world.catalogue import PRICE_BOOK, PRODUCTS, book_price_number, currencies
from demo.world.ids import Ids
from demo.world.model import Customer, Deal, Phase
from demo.world.money import half_up, major_number
from demo.world.sales import phase_values, quoted_unit

CRM_OBJECTS = (
    "account", "opportunity", "opportunity_line_item", "product2", "pricebook_entry", "contract", "quote", "quote_line",
)  # fmt: skip
_OPPORTUNITY_TYPE = {"new": "New Business", "renewal": "Renewal"}
_QUOTE_TYPE = {"new": "Quote", "renewal": "Renewal"}


def stamp(entity: str, day: date, hour: int) -> str:
    """Instant in the CRM's own notation, `2026-01-02T17:38:59.000+0000`."""
    return iso(at(entity, day, hour)).removesuffix("Z") + ".000+0000"


class Crm:
    """Collects the CRM's records; `records` maps object name to rows."""

    def __init__(self, ids: Ids, span: Horizon) -> None:
        self._ids = ids
        self._opened = span.start
        self.records: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for name in CRM_OBJECTS:
            self.records[name] = []
        self._price_book()

    def _common(self, entity: str, day: date, currency: str) -> dict[str, Any]:
        return {
            "CreatedDate": stamp(entity, day, 9),
            "CurrencyIsoCode": currency,
            "IsDeleted": False,
            "LastModifiedDate": stamp(entity, day, 17),
            "SystemModstamp": stamp(entity, day, 17),
        }

    def _product_id(self, code: str) -> str:
        return self._ids.salesforce("01t", code)

    def _entry_id(self, code: str, currency: str) -> str:
        return self._ids.salesforce("01u", code, currency)

    def _price_book(self) -> None:
        book = self._ids.salesforce("01s", "standard")
        for product in PRODUCTS.values():
            self.records["product2"].append(
                {
                    "Id": self._product_id(product.code),
                    "ProductCode": product.code,
                    "Name": product.name,
                    "Family": product.family,
                    "IsActive": True,
                    **self._common("US", self._opened, "USD"),
                }
            )
            for currency in currencies():
                self.records["pricebook_entry"].append(
                    {
                        "Id": self._entry_id(product.code, currency),
                        "Pricebook2Id": book,
                        "Product2Id": self._product_id(product.code),
                        "ProductCode": product.code,
                        "Name": product.name,
                        "UnitPrice": book_price_number(product.code, currency),
                        "IsActive": True,
                        "UseStandardPrice": False,
                        **self._common("US", self._opened, currency),
                    }
                )

    def account(self, customer: Customer, since: date) -> None:
        """One customer account."""
        self.records["account"].append(
            {
                "Id": customer.account_id,
                "Name": customer.name,
                "ParentId": None,
                "Type": "Customer",
                "OwnerId": self._ids.salesforce("005", "owner", customer.index % 9),
                "BillingCity": customer.city,
                "BillingCountryCode": customer.country,
                "BillingStateCode": customer.state,
                "BillingPostalCode": customer.postal_code,
                "MasterRecordId": None,
                **self._common(customer.entity, since, customer.currency),
            }
        )

    def won_deal(self, deal: Deal) -> None:
        """Every phase of a deal as a closed-won opportunity with its accepted primary quote."""
        for n, phase in enumerate(deal.phases):
            lines = self._phase_lines(deal, n)
            self._opportunity(deal, phase, lines, stage="Closed Won")
            # Now and then an earlier offer was turned down; it never counts.
            if self._ids.number("alternative", phase.opportunity_id, below=12) == 0:
                self._quote(deal, phase, lines, primary=False)

    def open_deal(self, deal: Deal, stage: str) -> None:
        """A deal that was not (or not yet) won."""
        self._opportunity(deal, deal.phases[0], self._phase_lines(deal, 0), stage=stage)

    def _phase_lines(self, deal: Deal, n: int) -> list[dict[str, Any]]:
        """Quote lines of a phase: full quantities for a term, differences for an amendment."""
        phase = deal.phases[n]
        codes = {i.code for p in deal.phases for i in p.items}
        values = phase_values(deal, n, {code: quoted_unit(deal, code) for code in codes})
        amends = phase.kind not in ("new", "renewal") and n > 0
        before = {i.code: i.quantity for i in deal.phases[n - 1].items} if amends else {}
        after = {i.code: i.quantity for i in phase.items}
        lines = []
        for code in (*before, *(c for c in after if c not in before)):
            prior, quantity = before.get(code, 0), after.get(code, 0)
            if prior == quantity:
                continue
            lines.append(
                {
                    "code": code,
                    "quantity": quantity - prior,
                    "prior": prior,
                    "effective": quantity,
                    "list": PRICE_BOOK[code][deal.currency],
                    "net": quoted_unit(deal, code),
                    "total": values[code],
                }
            )
        if not amends and n == 0 and deal.onboarding:
            price = PRICE_BOOK["ONBOARD"][deal.currency]
            lines.append(_whole_line("ONBOARD", price, price))
        if not amends and deal.usage:
            lines.append(_whole_line("USAGE", None, 0))
        return lines

    def _opportunity(self, deal: Deal, phase: Phase, lines: list[dict[str, Any]], stage: str) -> None:
        ids, customer = self._ids, deal.customer
        won = stage == "Closed Won"
        common = self._common(deal.sold_by, phase.closed, deal.currency)
        kind = _OPPORTUNITY_TYPE.get(phase.kind, "Amendment")
        contract_id = ids.salesforce("800", phase.opportunity_id) if won and kind != "Amendment" else None
        quote_id = self._quote(deal, phase, lines, primary=True, accepted=won)
        self.records["opportunity"].append(
            {
                "Id": phase.opportunity_id,
                "AccountId": customer.account_id,
                "Name": f"{customer.name} - {kind} {phase.start:%Y-%m}",
                "StageName": stage,
                "IsWon": won,
                "IsClosed": stage.startswith("Closed"),
                "Amount": major_number(sum(line["total"] for line in lines), deal.currency),
                "CloseDate": phase.closed.isoformat(),
                "ContractId": contract_id,
                "Type": kind,
                "Probability": 100.0 if won else 0.0 if stage == "Closed Lost" else 60.0,
                "Legal_Entity__c": deal.sold_by,
                "SBQQ__PrimaryQuote__c": quote_id,
                "SBQQ__Contracted__c": won,
                "SBQQ__RenewedContract__c": None,
                **common,
            }
        )
        for n, line in enumerate(lines):
            listed, net = self._units(deal, line)
            self.records["opportunity_line_item"].append(
                {
                    "Id": ids.salesforce("00k", phase.opportunity_id, n),
                    "OpportunityId": phase.opportunity_id,
                    "PricebookEntryId": self._entry_id(line["code"], deal.currency),
                    "Product2Id": self._product_id(line["code"]),
                    "ProductCode": line["code"],
                    "Quantity": float(line["quantity"]),
                    "UnitPrice": net,
                    "ListPrice": listed,
                    "TotalPrice": major_number(line["total"], deal.currency),
                    "Discount": None,
                    "ServiceDate": phase.start.isoformat(),
                    "SBQQ__QuoteLine__c": ids.salesforce("a0R", phase.opportunity_id, True, n),
                    **common,
                }
            )
        if contract_id:
            self.records["contract"].append(
                {
                    "Id": contract_id,
                    "AccountId": customer.account_id,
                    "ContractNumber": f"{ids.number('contract', phase.opportunity_id, below=10**8):08d}",
                    "Status": "Activated",
                    "StartDate": phase.contract_start.isoformat(),
                    "EndDate": (phase.contract_end - timedelta(days=1)).isoformat(),
                    "ContractTerm": 12,
                    "SBQQ__Opportunity__c": phase.opportunity_id,
                    "SBQQ__Order__c": None,
                    "SBQQ__Quote__c": quote_id,
                    "SBQQ__AmendmentStartDate__c": None,
                    "SBQQ__RenewalForecast__c": True,
                    **common,
                }
            )

    def _units(self, deal: Deal, line: dict[str, Any]) -> tuple[float, float]:
        if line["code"] == "USAGE":
            price = book_price_number("USAGE", deal.currency)
            return price, price
        return major_number(line["list"], deal.currency), major_number(line["net"], deal.currency)

    def _quote(
        self, deal: Deal, phase: Phase, lines: list[dict[str, Any]], *, primary: bool, accepted: bool = False
    ) -> str:
        """A quote with its lines; an alternative that lost asks a tenth more than the accepted one."""
        ids = self._ids
        quote_id = ids.salesforce("a0Q", phase.opportunity_id, primary)
        common = self._common(deal.sold_by, phase.closed, deal.currency)
        end = (phase.contract_end - timedelta(days=1)).isoformat()
        months = (phase.contract_end.year - phase.start.year) * 12 + phase.contract_end.month - phase.start.month

        def total(line: dict[str, Any]) -> int:
            return line["total"] if primary else half_up(line["total"] * 11, 10)

        net_amount = major_number(sum(total(line) for line in lines), deal.currency)
        self.records["quote"].append(
            {
                "Id": quote_id,
                "Name": f"Q-{ids.number('quote', quote_id, below=10**7):07d}",
                "SBQQ__Account__c": deal.customer.account_id,
                "SBQQ__Opportunity2__c": phase.opportunity_id,
                "SBQQ__Primary__c": primary,
                "SBQQ__Status__c": "Accepted" if accepted else "Rejected" if not primary else "Presented",
                "SBQQ__Type__c": _QUOTE_TYPE.get(phase.kind, "Amendment"),
                "SBQQ__StartDate__c": phase.start.isoformat(),
                "SBQQ__EndDate__c": end,
                "SBQQ__SubscriptionTerm__c": float(max(1, months)),
                "SBQQ__NetAmount__c": net_amount,
                "SBQQ__CustomerAmount__c": net_amount,
                "SBQQ__MasterContract__c": None,
                "SBQQ__Ordered__c": accepted,
                "SBQQ__BillingFrequency__c": "Annual" if deal.interval == "year" else "Monthly",
                "SBQQ__PaymentTerms__c": f"Net {deal.days_until_due}" if deal.days_until_due else "Due on receipt",
                "SBQQ__PriceBook__c": ids.salesforce("01s", "standard"),
                **common,
            }
        )
        for n, line in enumerate(lines):
            listed, net = self._units(deal, line)
            product = PRODUCTS[line["code"]]
            one_time, metered = product.interval is None, line["code"] == "USAGE"
            self.records["quote_line"].append(
                {
                    "Id": ids.salesforce("a0R", phase.opportunity_id, primary, n),
                    "Name": f"QL-{ids.number('quoteline', quote_id, n, below=10**7):07d}",
                    "Legal_Entity__c": deal.sold_by,
                    "SBQQ__Quote__c": quote_id,
                    "SBQQ__Product__c": self._product_id(line["code"]),
                    "SBQQ__ProductCode__c": line["code"],
                    "SBQQ__Number__c": float(n + 1),
                    "SBQQ__Quantity__c": float(line["quantity"]),
                    "SBQQ__PriorQuantity__c": float(line["prior"]),
                    "SBQQ__EffectiveQuantity__c": float(line["quantity"]),
                    "SBQQ__ListPrice__c": listed,
                    "SBQQ__RegularPrice__c": listed,
                    "SBQQ__CustomerPrice__c": net,
                    "SBQQ__NetPrice__c": net,
                    "SBQQ__NetTotal__c": major_number(total(line), deal.currency),
                    "SBQQ__Discount__c": deal.discount_bp / 100 if not one_time and not metered else 0.0,
                    "SBQQ__StartDate__c": phase.start.isoformat(),
                    "SBQQ__EndDate__c": end,
                    "SBQQ__EffectiveStartDate__c": phase.start.isoformat(),
                    "SBQQ__EffectiveEndDate__c": end,
                    "SBQQ__SubscriptionPricing__c": None if one_time else "Fixed Price",
                    "SBQQ__SubscriptionType__c": "One-time" if one_time else "Renewable",
                    "SBQQ__ProductSubscriptionType__c": "One-time" if one_time else "Renewable",
                    "SBQQ__BillingFrequency__c": "Annual" if product.interval == "year" else "Monthly",
                    "SBQQ__BillingType__c": "Arrears" if metered else "Advance",
                    "SBQQ__ChargeType__c": "Usage" if metered else "One-Time" if one_time else "Recurring",
                    "SBQQ__Existing__c": line["prior"] != 0,
                    **common,
                }
            )
        return quote_id


def _whole_line(code: str, price: int | None, total: int) -> dict[str, Any]:
    """A line of one unit that no amendment touches; usage has no price in whole minor units, and no fixed value."""
    return {"code": code, "quantity": 1, "prior": 0, "effective": 1, "list": price, "net": price, "total": total}
