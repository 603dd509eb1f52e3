"""Order-to-cash data platform: land, model, reconcile, post and close, on Dagster."""

__version__ = "0.1.0"
