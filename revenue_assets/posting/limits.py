"""How hard an ERP may be asked, from erp.yaml to the worker and to the wire."""

from __future__ import annotations

from revenue_assets.domain.config_posting import ErpLimits
from revenue_assets.posting.steps import Limits


def limits_of(config: ErpLimits, *, max_wait_seconds: float) -> Limits:
    """The worker's bounds; `requests_per_second` is kept by the connection itself (`paced`)."""
    return Limits(
        documents_per_call=config.documents_per_call,
        max_wait_seconds=max_wait_seconds,
        backoff_base_seconds=float(config.backoff_base_seconds),
        backoff_cap_seconds=float(config.backoff_cap_seconds),
        breaker_failures=config.breaker_failures,
        attempts_max=config.attempts_max,
        readbacks_max=config.readbacks_max,
        lease_seconds=float(config.lease_seconds),
    )
