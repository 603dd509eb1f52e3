"""Documents and the masters that they need, in the order that an ERP wants them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

from revenue_assets.posting.erp.documents import masters_of
from revenue_assets.posting.erp.port import ErpPort, Journal, Outcome


def deliver(
    port: ErpPort, documents: Sequence[Journal], alone: Callable[[], AbstractContextManager[object]]
) -> tuple[Outcome, ...]:
    """`port.submit` after `port.ensure`: a document whose customer or item cannot be made is refused alone.

    `alone` is held while masters are made: ERP companies share customers, and not every ERP refuses a second one.
    Outcomes are in the order of the documents. Raises ErpError if the ERP gives no answer about masters, and whatever
    `alone` raises; then none of the documents was sent.
    """
    masters = {master.key: master for document in documents for master in masters_of(document)}
    failed = {}
    if masters:
        with alone():
            failed = port.ensure(tuple(masters.values()))
    refused = {
        document.key: Outcome(document.key, failure=failed[master.key])
        for document in documents
        for master in masters_of(document)
        if master.key in failed
    }
    sound = [document for document in documents if document.key not in refused]
    outcomes = refused | {outcome.key: outcome for outcome in (port.submit(sound) if sound else ())}
    return tuple(outcomes[document.key] for document in documents if document.key in outcomes)
