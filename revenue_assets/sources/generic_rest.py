"""Read-back of a ledger that speaks the generic REST contract: its listing of each period, page by page, and its own
balances."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TypeVar

from revenue_assets.posting.erp.generic_client import GenericClient
from revenue_assets.posting.erp.generic_records import periods_of
from revenue_assets.posting.erp.port import AccountBalance, ErpError, ErpPeriod
from revenue_assets.sources.base import LoopGuard, PaginationError, Transient, patiently
from revenue_assets.sources.generic_books import GenericSource, Row

T = TypeVar("T")


class GenericRestSource(GenericSource):
    """`page_size`: journals in one answer. `sleep` serves tests."""

    vendor = "generic_rest"

    def __init__(
        self,
        name: str,
        client: GenericClient,
        companies: Mapping[str, str],
        exponents: Mapping[str, int],
        *,
        page_size: int = 200,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        super().__init__(name, companies, exponents)
        self._client, self._page_size, self._sleep = client, page_size, sleep

    def _companies(self) -> dict[str, str]:
        rows = self._asked(self._client.companies, "companies")
        return {str(row.get("name")): str(row.get("currency")) for row in rows}

    def _periods(self, company: str) -> tuple[ErpPeriod, ...]:
        return periods_of(company, self._asked(lambda: self._client.rows(company, "periods"), "periods"))

    def _journals(self, company: str, period: str) -> Iterator[Sequence[Row]]:
        """The last page's count is held against what was listed: the listing is whole, or it is no answer."""
        what = f"{self.name}: the journals of {company} {period}"
        guard, after, listed = LoopGuard(what), None, 0
        while True:
            page = partial(self._client.page, company, period, after, self._page_size)
            rows, total, following = self._asked(page, what)
            listed += len(rows)
            if following is None and listed != total:
                raise PaginationError(
                    f"{what}: the ledger says that there are {total}, and listed {listed}. Nothing was taken. Read it "
                    "again; if it stays so, the ledger's listing is wrong."
                )
            yield rows
            if following is None:
                return
            guard.follow(following, page_rows=len(rows))
            after = following

    def _balances(self, company: str, period: str) -> Sequence[AccountBalance]:
        rows = self._asked(lambda: self._client.rows(company, "balances", period=period), "balances")
        return [self._records.balance(company, period, row) for row in rows]

    def _asked(self, call: Callable[[], T], what: str) -> T:
        """Asks again a few times what is throttled or unavailable; reading twice harms nobody."""

        def once() -> T:
            try:
                return call()
            except ErpError as error:
                if error.failure.failure_class in ("throttled", "unavailable"):
                    raise Transient(str(error), error.failure.retry_after) from error
                raise

        return patiently(once, what, sleep=self._sleep)
