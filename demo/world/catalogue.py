"""What the company sells: products, the price book, and price objects in the processor's accounts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from demo.world.calendar import ENTITIES
from demo.world.ids import Ids
from demo.world.money import EXPONENTS, half_up, major_number


@dataclass(frozen=True)
class Product:
    """One sellable product; `interval` is None for what is charged once."""

    code: str
    family: str
    name: str
    interval: str | None


PRODUCTS = {
    p.code: p
    for p in (
        Product("PLAT-STD", "platform", "Platform Standard", "month"),
        Product("PLAT-PRO", "platform", "Platform Professional", "month"),
        Product("SEAT", "seats", "User seat", "month"),
        Product("PLAT-STD-A", "platform", "Platform Standard, annual", "year"),
        Product("PLAT-PRO-A", "platform", "Platform Professional, annual", "year"),
        Product("SEAT-A", "seats", "User seat, annual", "year"),
        Product("USAGE", "usage", "Metered calls", "month"),
        Product("ONBOARD", "onboarding", "Onboarding package", None),
    )
}
# Minor units per interval (month, year, or once).
PRICE_BOOK: dict[str, dict[str, int]] = {
    "PLAT-STD": {"USD": 49900, "EUR": 45900, "GBP": 39900, "CAD": 67900, "JPY": 74800},
    "PLAT-PRO": {"USD": 129900, "EUR": 119900, "GBP": 103900, "CAD": 176900, "JPY": 194800},
    "SEAT": {"USD": 2900, "EUR": 2700, "GBP": 2300, "CAD": 3900, "JPY": 4350},
    "PLAT-STD-A": {"USD": 499000, "EUR": 459000, "GBP": 399000, "CAD": 679000, "JPY": 748000},
    "PLAT-PRO-A": {"USD": 1299000, "EUR": 1199000, "GBP": 1039000, "CAD": 1769000, "JPY": 1948000},
    "SEAT-A": {"USD": 29000, "EUR": 27000, "GBP": 23000, "CAD": 39000, "JPY": 43500},
    "ONBOARD": {"USD": 250000, "EUR": 230000, "GBP": 200000, "CAD": 340000, "JPY": 375000},
}
USAGE_INCLUDED = 10_000
# Tenths of a minor unit per call above what is included (2.5 cents = 25).
USAGE_TENTHS = {"USD": 25, "EUR": 23, "GBP": 20, "CAD": 34, "JPY": 35}
ACCOUNT_CURRENCIES = {"US": ("USD", "EUR", "CAD"), "UK": ("GBP", "JPY"), "DE": ("EUR",)}


@dataclass(frozen=True)
class Price:
    """A price object of one processor account; `unit_amount` is None for metered usage."""

    id: str
    entity: str
    code: str
    currency: str
    unit_amount: int | None
    list_unit_amount: int | None
    standard: bool


def usage_amount(quantity: int, currency: str) -> int:
    """Graduated rating of one window: what is included is free, the rest at the unit price, half up once."""
    return half_up(max(0, quantity - USAGE_INCLUDED) * USAGE_TENTHS[currency], 10)


def usage_unit_text(currency: str) -> str:
    """Unit price of metered calls in minor units, as the decimal text the processor shows."""
    whole, tenth = divmod(USAGE_TENTHS[currency], 10)
    return f"{whole}.{tenth}" if tenth else str(whole)


class Catalogue:
    """Hands out price objects: the standing ones of the price book, and own ones for negotiated prices."""

    def __init__(self, ids: Ids, opened: int) -> None:
        self._ids = ids
        self._opened = opened
        self._prices: dict[str, tuple[Price, int]] = {}
        for entity, currencies in ACCOUNT_CURRENCIES.items():
            for currency in currencies:
                for code in PRODUCTS:
                    self.price(entity, currency, code)

    def price(self, entity: str, currency: str, code: str, unit_amount: int | None = None, owner: str = "") -> Price:
        """The price object for a unit amount; a unit amount off the price book becomes the owner's own price."""
        listed = None if code == "USAGE" else PRICE_BOOK[code][currency]
        standard = unit_amount is None or unit_amount == listed
        key = (entity, currency, code, "list") if standard else (entity, currency, code, owner, unit_amount)
        price_id = self._ids.stripe("price", *key)
        if price_id not in self._prices:
            amount = listed if unit_amount is None else unit_amount
            self._prices[price_id] = (
                Price(price_id, entity, code, currency, amount, listed, standard),
                self._opened,
            )
        return self._prices[price_id][0]

    def first_used(self, price: Price, instant: int) -> None:
        """Date a negotiated price by its first use; standing prices exist from the beginning."""
        known, created = self._prices[price.id]
        if not price.standard and (created == self._opened or instant < created):
            self._prices[price.id] = (known, instant)

    def meter_id(self, entity: str) -> str:
        """The account's one meter."""
        return self._ids.stripe("mtr", entity)

    def product_id(self, entity: str, code: str) -> str:
        """The account's product object of a product code."""
        return self._ids.stripe("prod", entity, code)

    def stripe_objects(self, entity: str) -> dict[str, list[dict[str, Any]]]:
        """Products, prices and the meter of one account."""
        products = [
            {
                "id": self.product_id(entity, p.code),
                "object": "product",
                "active": True,
                "created": self._opened,
                "updated": self._opened,
                "default_price": None,
                "description": None,
                "livemode": True,
                "metadata": {"product_code": p.code, "product_family": p.family},
                "name": p.name,
                "tax_code": "txcd_10103001",
                "type": "service",
            }
            for p in PRODUCTS.values()
        ]
        meter = {
            "id": self.meter_id(entity),
            "object": "billing.meter",
            "created": self._opened,
            "updated": self._opened,
            "customer_mapping": {"event_payload_key": "stripe_customer_id", "type": "by_id"},
            "default_aggregation": {"formula": "sum"},
            "display_name": "Metered calls",
            "event_name": "api_calls",
            "event_time_window": None,
            "livemode": True,
            "status": "active",
            "status_transitions": {"deactivated_at": None},
            "value_settings": {"event_payload_key": "value"},
        }
        prices = [self.price_object(p, created) for p, created in self._prices.values() if p.entity == entity]
        prices.sort(key=lambda p: (p["created"], p["id"]))
        return {"product": products, "price": prices, "meter": [meter]}

    def price_object(self, price: Price, created: int | None = None) -> dict[str, Any]:
        """The processor's price object (tiers expanded)."""
        if created is None:
            created = self._prices[price.id][1]
        product = PRODUCTS[price.code]
        usage = price.code == "USAGE"
        metadata = {"product_code": price.code}
        if price.list_unit_amount is not None:
            metadata["list_unit_amount"] = str(price.list_unit_amount)
        recurring = None
        if product.interval:
            recurring = {
                "interval": product.interval,
                "interval_count": 1,
                "meter": self.meter_id(price.entity) if usage else None,
                "trial_period_days": None,
                "usage_type": "metered" if usage else "licensed",
            }
        tiers = None
        if usage:
            unit = usage_unit_text(price.currency)
            tiers = [
                _tier(0, "0", USAGE_INCLUDED),
                _tier(None if "." in unit else int(unit), unit, None),
            ]
        return {
            "id": price.id,
            "object": "price",
            "active": True,
            "billing_scheme": "tiered" if usage else "per_unit",
            "created": created,
            "currency": price.currency.lower(),
            "custom_unit_amount": None,
            "livemode": True,
            "lookup_key": f"{price.code.lower()}-{price.currency.lower()}" if price.standard else None,
            "metadata": metadata,
            "nickname": None if price.standard else "Negotiated",
            "product": self.product_id(price.entity, price.code),
            "recurring": recurring,
            "tax_behavior": "exclusive",
            "tiers": tiers,
            "tiers_mode": "graduated" if usage else None,
            "transform_quantity": None,
            "type": "recurring" if product.interval else "one_time",
            "unit_amount": price.unit_amount,
            "unit_amount_decimal": None if price.unit_amount is None else str(price.unit_amount),
        }


def _tier(unit_amount: int | None, text: str, up_to: int | None) -> dict[str, Any]:
    return {
        "flat_amount": None,
        "flat_amount_decimal": None,
        "unit_amount": unit_amount,
        "unit_amount_decimal": text,
        "up_to": up_to,
    }


def book_price_number(code: str, currency: str) -> float:
    """Price book entry in major units, as the CRM sends it."""
    if code == "USAGE":
        return USAGE_TENTHS[currency] / 10 ** (EXPONENTS[currency] + 1)
    return major_number(PRICE_BOOK[code][currency], currency)


def currencies() -> list[str]:
    """Every currency the group sells in."""
    return sorted({c for listed in ACCOUNT_CURRENCIES.values() for c in listed})


def entity_currencies() -> list[tuple[str, str]]:
    """(entity, foreign document currency) pairs that need exchange rates."""
    return [(e, c) for e, listed in ACCOUNT_CURRENCIES.items() for c in listed if c != ENTITIES[e].currency]
