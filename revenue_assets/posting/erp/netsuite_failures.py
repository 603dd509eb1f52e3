"""Which failure class of the port each fault of a request to NetSuite is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from revenue_assets.posting.erp.port import ErpError, Failure
from revenue_assets.sources.netsuite_faults import REFERENCE_CODES, NetSuiteFault


def failure_of(fault: NetSuiteFault) -> Failure:
    """As the port says it. A refusal that nobody explained better is `invalid`."""
    if fault.kind == "refused":
        if REFERENCE_CODES & set(fault.codes):
            return Failure("mapping_missing", "NetSuite does not know an id that the document names.", fault.evidence)
        return Failure("invalid", "NetSuite refused the document.", fault.evidence)
    kind = "uncertain" if fault.kind == "repeated" else fault.kind
    return Failure(kind, str(fault), fault.evidence, fault.retry_after)


@contextmanager
def reading() -> Iterator[None]:
    """Turns a fault of a read into the port's ErpError.

    Our queries are fixed text, so one that is refused lacks a right (live accounts answer 400 USER_ERROR where the role
    has no SuiteAnalytics Workbook): `auth` keeps the batches, where `invalid` would bury them.
    """
    try:
        yield
    except NetSuiteFault as fault:
        if fault.kind == "refused":
            words = "NetSuite refused a query; the role lacks a right (docs/erp-netsuite.md lists them)."
            raise ErpError(Failure("auth", words, fault.evidence)) from fault
        raise ErpError(failure_of(fault)) from fault
