"""Which adapter serves which vendor, and what each landed object is: the one place where a new source is entered.

Adapters are imported when they are used; the code location loads without any vendor's SDK.
"""

from __future__ import annotations

import importlib
from pathlib import Path

from revenue_assets.domain.config import Company
from revenue_assets.domain.config_erp import NetSuiteOptions
from revenue_assets.domain.config_erp_generic import DropOptions, GenericOptions
from revenue_assets.sources.base import Source
from revenue_assets.state import READ_BACK, currency_exponents

# vendor -> (module, class)
_ADAPTERS = {
    "salesforce": ("revenue_assets.sources.salesforce", "SalesforceSource"),
    "stripe": ("revenue_assets.sources.stripe", "StripeSource"),
    "avalara": ("revenue_assets.sources.avalara", "AvalaraSource"),
    "treasury": ("revenue_assets.sources.treasury", "TreasurySource"),
    "cloudevents": ("revenue_assets.sources.cloudevents", "CloudEventsSource"),
}

DESCRIPTIONS: dict[str, dict[str, str]] = {
    "salesforce": {
        "account": "One customer (Account) of the CRM.",
        "opportunity": "One sale (Opportunity): stage, amount, close date, legal entity that sells.",
        "opportunity_line_item": "One product line of an opportunity.",
        "product2": "One product of the CRM's catalogue.",
        "pricebook_entry": "One list price of one product in one currency.",
        "contract": "One contract of the CRM.",
        "quote": "One CPQ quote (SBQQ__Quote__c).",
        "quote_line": "One line of a CPQ quote with list, net price and term (SBQQ__QuoteLine__c).",
    },
    "stripe": {
        "customer": "One customer of a billing account.",
        "product": "One product of a billing account.",
        "price": "One price, with its tiers.",
        "tax_rate": "One tax rate with its jurisdiction.",
        "subscription": "One subscription, whatever its status.",
        "subscription_schedule": "One subscription schedule: the history of plans and quantities as phases.",
        "invoice": "One invoice with all its lines.",
        "invoice_payment": "One application of a payment to an invoice.",
        "credit_note": "One credit note with its lines.",
        "charge": "One charge: a payment or an attempt at one.",
        "refund": "One refund.",
        "dispute": "One dispute with its balance transactions.",
        "payout": "One payout to the bank.",
        "payout_member": "One balance transaction paid out by one payout, as the processor lists them.",
        "balance_transaction": "One movement of the processor balance: gross, fee, net, rate.",
        "balance_report": "The processor's own balance summary of one month and currency.",
        "meter": "One usage meter.",
        "meter_event_summary": "Metered usage of one customer in one day.",
        "event": "One event of the last 30 days; a hint for what to fetch again.",
    },
    "avalara": {"transaction": "One document of the tax engine with lines and jurisdiction details."},
    "treasury": {
        "fx_rate": "One exchange rate of one day, from treasury's file drop.",
        "bank_line": "One line of a bank statement, from treasury's file drop.",
    },
    "cloudevents": {"cloud_event": "One CloudEvent of a home-grown system, from the file drop."},
}


def objects_of(vendor: str) -> tuple[str, ...]:
    """Names of the objects landed from a vendor, in landing order."""
    return tuple(DESCRIPTIONS[vendor])


def source_class(vendor: str) -> type:
    """The adapter class of a vendor. Raises KeyError for a vendor that config validation would have refused."""
    module, name = _ADAPTERS[vendor]
    return getattr(importlib.import_module(module), name)


def read_back_source(company: Company) -> Source:
    """The company's ERP as a source; its address and keys are resolved here."""
    erp = company.erp
    secrets = {key: reference.resolve() for key, reference in erp.credentials.items()}
    companies = {entity.id: entity.erp_company for entity in company.entities}
    if erp.vendor == "tryton" and erp.database is not None:
        from revenue_assets.sources.tryton import TrytonSource

        options = {"database": erp.database.resolve(), "companies": companies}
        return TrytonSource(READ_BACK, None, erp.base_url.resolve(), secrets, options)
    if erp.vendor == "netsuite":
        from revenue_assets.sources.netsuite import NetSuiteSource
        from revenue_assets.sources.netsuite_auth import Certificate

        account = NetSuiteOptions.model_validate(erp.options)
        certificate = Certificate(
            secrets["client_id"], secrets["certificate_id"], secrets["private_key"], account.algorithm
        )
        return NetSuiteSource(READ_BACK, erp.base_url.resolve(), certificate, account, companies)
    if erp.vendor == "generic_rest":
        from revenue_assets.posting.erp.generic_client import GenericClient
        from revenue_assets.sources.generic_rest import GenericRestSource

        rest = GenericOptions.model_validate(erp.options)
        client = GenericClient(
            erp.base_url.resolve(),
            token=secrets.get("token"),
            user=secrets.get("user", ""),
            password=secrets.get("password", ""),
            timeout_seconds=rest.timeout_seconds,
        )
        return GenericRestSource(READ_BACK, client, companies, currency_exponents(), page_size=rest.page_size)
    if erp.vendor == "generic_csv":
        from revenue_assets.sources.generic_csv import GenericCsvSource

        drop = DropOptions.model_validate(erp.options)
        return GenericCsvSource(READ_BACK, Path(erp.base_url.resolve()), drop, companies, currency_exponents())
    raise ValueError(f"no read-back source for ERP vendor {erp.vendor!r}")
