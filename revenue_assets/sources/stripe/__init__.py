"""Billing and payments of one Stripe account (one account per legal entity), through the vendor's own client.

`objects.py` knows the lists without the client, so that the asset graph loads without it; `source.py` is the source.
"""
