"""Billing and payments of one Stripe account (one account per legal entity), through the vendor's own client."""

from revenue_assets.sources.stripe.source import StripeSource

__all__ = ["StripeSource"]
