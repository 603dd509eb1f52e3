"""Which adapter posts to which ERP: the one place where a new ERP is entered. Adapters are imported when used."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from revenue_assets.domain.config import Erp
from revenue_assets.domain.config_erp import NetSuiteOptions
from revenue_assets.domain.config_erp_generic import DropOptions, GenericOptions
from revenue_assets.posting.erp.pacing import paced
from revenue_assets.posting.erp.port import ErpPort


def erp_port(config: Erp, exponents: Mapping[str, int]) -> ErpPort:
    """The port of the configured ERP; its address and keys are resolved here. `exponents`: minor digits by currency."""
    secrets = {key: reference.resolve() for key, reference in config.credentials.items()}
    transport = paced(config.limits.requests_per_second)
    if config.vendor == "tryton" and config.database is not None:
        from revenue_assets.posting.erp.tryton import TrytonErp

        return TrytonErp(
            config.base_url.resolve(),
            config.database.resolve(),
            secrets["user"],
            secrets["password"],
            exponents,
            transport=transport,
            **config.options,
        )
    if config.vendor == "netsuite":
        from revenue_assets.posting.erp.netsuite import NetSuiteErp
        from revenue_assets.sources.netsuite_auth import Certificate

        options = NetSuiteOptions.model_validate(config.options)
        certificate = Certificate(
            secrets["client_id"], secrets["certificate_id"], secrets["private_key"], options.algorithm
        )
        return NetSuiteErp(config.base_url.resolve(), certificate, options, exponents, transport=transport)
    if config.vendor == "generic_rest":
        from revenue_assets.posting.erp.generic_rest import GenericRestErp
        from revenue_assets.posting.erp.generic_schedules import SchedulingRestErp

        rest = GenericOptions.model_validate(config.options)
        adapter = SchedulingRestErp if rest.revenue_schedules else GenericRestErp
        return adapter(config.base_url.resolve(), secrets, rest, exponents, transport=transport)
    if config.vendor == "generic_csv":
        from revenue_assets.posting.erp.generic_csv import GenericCsvErp

        drop = DropOptions.model_validate(config.options)
        return GenericCsvErp(Path(config.base_url.resolve()), drop, exponents)
    raise ValueError(f"no adapter for ERP vendor {config.vendor!r}")
