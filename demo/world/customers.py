"""Who buys: names, places, currencies and tax status."""

from __future__ import annotations

import random
from typing import Any

from demo.world.calendar import ENTITIES
from demo.world.ids import Ids
from demo.world.model import Customer

STORY_NAME = "Northwind Robotics"
_FIRST = (
    "Acorn", "Beacon", "Cobalt", "Delta", "Ember", "Falcon", "Granite", "Harbor", "Indigo", "Juniper", "Keystone",
    "Lumen", "Meadow", "Nimbus", "Orchard", "Pioneer", "Quarry", "Ridge", "Summit", "Tundra", "Umbra", "Vertex",
    "Willow", "Zephyr",
)  # fmt: skip
_SECOND = (
    "Analytics", "Biotech", "Capital", "Dynamics", "Energy", "Foods", "Freight", "Health", "Labs", "Logistics",
    "Media", "Motors", "Networks", "Optics", "Partners", "Retail", "Software", "Systems", "Textiles", "Travel",
)  # fmt: skip
_FORM = {
    "US": "Inc",
    "CA": "Ltd",
    "GB": "Ltd",
    "JP": "KK",
    "DE": "GmbH",
    "FR": "SAS",
    "NL": "BV",
    "AT": "GmbH",
    "IE": "Ltd",
}
_US_PLACES = (
    ("NY", "Brooklyn", "11201"),
    ("TX", "Austin", "78701"),
    ("PA", "Pittsburgh", "15222"),
    ("WA", "Seattle", "98101"),
    ("CA", "San Jose", "95112"),
)
_CITIES = {
    "CA": ("Toronto", "M5H 2N2"),
    "GB": ("Leeds", "LS1 4AP"),
    "JP": ("Osaka", "530-0001"),
    "DE": ("Hamburg", "20095"),
    "FR": ("Lyon", "69002"),
    "NL": ("Utrecht", "3511 LX"),
    "AT": ("Graz", "8010"),
    "IE": ("Cork", "T12 XY88"),
}
_ENTITY_CYCLE = ("US", "UK", "DE", "US")


def story_customer(ids: Ids) -> Customer:
    """The named customer whose life is told in the demo; it also buys from the UK and German companies."""
    return Customer(
        0, ids.salesforce("001", "account", 0), STORY_NAME, "US", "USD", "US", "WA", "Seattle", "98101",
        "billing@northwind-robotics.example",
    )  # fmt: skip


def make_customer(ids: Ids, seed: int, index: int) -> Customer:
    """Customer `index` (> 0): home entity and currency follow the index, so that every size has all of them."""
    rng = random.Random(f"{seed}/customer/{index}")
    entity = _ENTITY_CYCLE[index % 4]
    currency = ENTITIES[entity].currency
    state = None
    if entity == "US":
        if index % 16 == 4:
            currency, country = "EUR", rng.choice(("IE", "NL"))
        elif index % 16 == 12:
            currency, country = "CAD", "CA"
        else:
            country = "US"
    elif entity == "UK":
        currency, country = ("JPY", "JP") if index % 16 == 5 else ("GBP", "GB")
    else:
        country = rng.choice(("DE", "DE", "DE", "DE", "DE", "AT", "FR", "NL"))
    if country == "US":
        state, city, postal_code = rng.choice(_US_PLACES)
    else:
        city, postal_code = _CITIES[country]
    first = _FIRST[index % len(_FIRST)]
    second = _SECOND[(index // len(_FIRST) + index) % len(_SECOND)]
    name = f"{first} {second} {_FORM[country]}"
    return Customer(
        index,
        ids.salesforce("001", "account", index),
        name,
        entity,
        currency,
        country,
        state,
        city,
        postal_code,
        f"billing@{first.lower()}-{second.lower()}-{index}.example",
    )


def billing_country(customer: Customer, billed_by: str) -> tuple[str, str | None, str, str]:
    """(country, state, city, postal code) of the site a legal entity bills: the story customer has three."""
    if customer.index == 0 and billed_by == "UK":
        return "GB", None, *_CITIES["GB"]
    if customer.index == 0 and billed_by == "DE":
        return "DE", None, *_CITIES["DE"]
    return customer.country, customer.state, customer.city, customer.postal_code


def stripe_customer(
    ids: Ids, customer: Customer, billed_by: str, currency: str, created: int, balance: int, delinquent: bool
) -> dict[str, Any]:
    """The processor's customer object; `balance` below zero is credit the customer has in store."""
    country, state, city, postal_code = billing_country(customer, billed_by)
    reverse = billed_by == "DE" and country in ("AT", "FR", "NL")
    return {
        "id": customer_id(ids, billed_by, customer),
        "object": "customer",
        "address": {
            "city": city,
            "country": country,
            "line1": f"{1 + customer.index % 190} Market Street",
            "line2": None,
            "postal_code": postal_code,
            "state": state,
        },
        "balance": balance,
        "created": created,
        "currency": currency.lower(),
        "default_source": None,
        "delinquent": delinquent,
        "description": None,
        "discount": None,
        "email": customer.email,
        "invoice_prefix": invoice_prefix(ids, billed_by, customer),
        "livemode": True,
        "metadata": {"salesforce_account_id": customer.account_id},
        "name": customer.name,
        "phone": None,
        "preferred_locales": [],
        "shipping": None,
        "tax_exempt": "reverse" if reverse else "none",
    }


def customer_id(ids: Ids, billed_by: str, customer: Customer) -> str:
    """Id of the customer in one processor account."""
    return ids.stripe("cus", billed_by, customer.key)


def invoice_prefix(ids: Ids, billed_by: str, customer: Customer) -> str:
    """Prefix of the customer's invoice numbers; the index keeps it unique within an account."""
    return ids.letters("prefix", billed_by, customer.key, length=5) + f"{customer.index:04d}"
