"""Which adapter posts to which ERP: the one place where a new ERP is entered. Adapters are imported when used."""

from __future__ import annotations

from collections.abc import Mapping

from revenue_assets.domain.config import Erp
from revenue_assets.posting.erp.port import ErpPort


def erp_port(config: Erp, exponents: Mapping[str, int]) -> ErpPort:
    """The port of the configured ERP; its address and keys are resolved here. `exponents`: minor digits by currency."""
    secrets = {key: reference.resolve() for key, reference in config.credentials.items()}
    if config.vendor == "tryton":
        from revenue_assets.posting.erp.tryton import TrytonErp

        return TrytonErp(
            config.base_url.resolve(),
            config.database.resolve(),
            secrets["user"],
            secrets["password"],
            exponents,
            **config.options,
        )
    raise ValueError(f"no adapter for ERP vendor {config.vendor!r}")
