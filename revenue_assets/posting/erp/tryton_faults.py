"""What a fault of Tryton's network protocol means to the port."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from revenue_assets.posting.erp.port import ErpError, Failure
from revenue_assets.sources.tryton_rpc import RpcFault


@contextmanager
def reading() -> Iterator[None]:
    """Turns a transport fault of a read into the port's ErpError."""
    try:
        yield
    except RpcFault as fault:
        raise ErpError(failure_of(fault)) from fault


_SENTENCES: dict[str, Callable[[RpcFault], Failure]] = {
    "auth": lambda f: Failure("auth", "The ERP refused the robot's login or its right to this call.", str(f)),
    "throttled": lambda f: Failure("throttled", "The ERP asked us to come back later.", str(f), f.retry_after),
    "unavailable": lambda f: Failure("unavailable", "The ERP does not answer.", str(f), f.retry_after),
    "uncertain": lambda f: Failure("uncertain", "The request was sent and its outcome is not known.", str(f)),
    "refused": lambda f: Failure("invalid", f"The ERP refused it: {f}", str(f)),
}


def failure_of(fault: RpcFault) -> Failure:
    """The closed class of a fault, with a sentence."""
    return _SENTENCES[fault.kind](fault)
