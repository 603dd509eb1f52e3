"""A ledger of the generic REST contract that also runs revenue schedules (`schedules` in docs/erp-rest.openapi.yaml).

A put is `PUT .../schedules/{external_id}` with the whole schedule. The contract wants the ledger to refuse an older
version and a change of what it has recognised; the adapter looks before it puts and refuses both by itself, so that
one writer per company is safe with a ledger that forgets to.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import httpx

from revenue_assets.domain.config_erp_generic import GenericOptions
from revenue_assets.domain.money import MoneyError
from revenue_assets.posting.erp.generic_client import chunks
from revenue_assets.posting.erp.generic_records import GenericRecords
from revenue_assets.posting.erp.generic_rest import KEYS_PER_REQUEST, GenericRestErp
from revenue_assets.posting.erp.port import ErpError, Failure
from revenue_assets.posting.erp.schedules import (
    HeldSchedule,
    RevenueSchedule,
    ScheduleOutcome,
    SchedulePart,
    differences,
    refusal,
)

# Fields of the contract's record -> of a schedule, those that are text as they stand.
TEXTS: Mapping[str, str] = {
    "external_id": "key", "reference": "reference", "line": "line", "customer": "customer_id", "item": "item",
    "currency": "currency", "functional_currency": "functional_currency", "balance_account": "balance_account",
    "revenue_account": "revenue_account", "discount_account": "discount_account",
}  # fmt: skip


class ScheduleRecords(GenericRecords):
    """Schedules in the form of the contract, to and from."""

    def schedule_record(self, schedule: RevenueSchedule) -> dict[str, Any]:
        """The schedule as the contract carries it."""
        own, functional = schedule.currency, schedule.functional_currency
        window = schedule.window
        return {name: getattr(schedule, field) for name, field in TEXTS.items()} | {
            "version": schedule.version,
            "total": self.major(schedule.total_tc, own),
            "starts_on": window[0].isoformat() if window else None,
            "ends_on": window[1].isoformat() if window else None,
            "parts": [
                {
                    "recognised_on": part.recognised_on.isoformat(),
                    "service_period": part.service_period,
                    "amount": self.major(part.amount_tc, own),
                    "functional_amount": self.major(part.amount_fc, functional),
                    "discount": self.major(part.discount_tc, own),
                    "functional_discount": self.major(part.discount_fc, functional),
                }
                for part in schedule.parts
            ],
        }

    def held(self, company: str, row: Mapping[str, Any]) -> HeldSchedule:
        """What the ledger shows; what is odd about a part is named in `defects`, because it is evidence."""
        defects: list[str] = []
        parts: list[SchedulePart] = []
        recognised: set[tuple[dt.date, str]] = set()
        try:
            own, functional = str(row["currency"]), str(row["functional_currency"])
            texts = {field: row[name] for name, field in TEXTS.items()}
            version, number, rows = int(row["version"]), str(row["id"]), list(row["parts"])
        except (KeyError, TypeError, ValueError) as error:
            raise ErpError(Failure("unavailable", f"The ledger's answer is no schedule: {error}.")) from error
        for n, part in enumerate(rows, 1):
            try:
                read = SchedulePart(
                    dt.date.fromisoformat(part["recognised_on"]), part["service_period"],
                    self.minor(part["amount"], own), self.minor(part["functional_amount"], functional),
                    self.minor(part["discount"], own), self.minor(part["functional_discount"], functional),
                )  # fmt: skip
            except (MoneyError, KeyError, TypeError, ValueError) as error:
                defects.append(f"part {n}: {error}")
                continue
            parts.append(read)
            if part.get("recognised"):
                recognised.add((read.recognised_on, read.service_period))
        schedule = RevenueSchedule(version=version, company=company, parts=tuple(parts), **texts)
        try:
            total = self.minor(row.get("total"), own)
            if total != schedule.total_tc:
                defects.append(f"total: the ledger says {total}, its parts sum to {schedule.total_tc}")
        except MoneyError as error:
            defects.append(f"total: {error}")
        return HeldSchedule(number, schedule, frozenset(recognised), tuple(defects))


class SchedulingRestErp(GenericRestErp):
    """A SchedulePort."""

    def __init__(
        self,
        base_url: str,
        credentials: Mapping[str, str],
        options: GenericOptions,
        exponents: Mapping[str, int],
        *,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        super().__init__(base_url, credentials, options, exponents, transport=transport)
        self._capabilities = replace(self._capabilities, revenue_schedules=True)
        self._records = ScheduleRecords(exponents)

    def put_schedules(self, schedules: Sequence[RevenueSchedule]) -> tuple[ScheduleOutcome, ...]:
        keys = [schedule.key for schedule in schedules]
        try:
            held = self.schedules(schedules[0].company, keys) if schedules else {}
        except ErpError as error:
            # Nothing was sent: even an unknown outcome of this read leaves nothing to look up.
            words = f"Not sent, because the ledger did not say what it has: {error.failure.message}"
            return tuple(ScheduleOutcome(key, failure=replace(error.failure, message=words)) for key in keys)
        outcomes: list[ScheduleOutcome] = []
        held_up: Failure | None = None
        for schedule in schedules:
            if held_up is not None:
                outcomes.append(ScheduleOutcome(schedule.key, failure=held_up))
                continue
            made = self._put(schedule, held.get(schedule.key))
            outcomes.append(made)
            if made.failure is not None and made.failure.retry:
                # The next ones would be told the same, or time out as well: the call would outlast its lease.
                kind = made.failure.failure_class
                words = f"Not sent, because of the schedule before it: {made.failure.message}"
                held_up = Failure("unavailable" if kind == "uncertain" else kind, words, "", made.failure.retry_after)
        return tuple(outcomes)

    def schedules(self, company: str, keys: Sequence[str]) -> dict[str, HeldSchedule]:
        found: dict[str, HeldSchedule] = {}
        for chunk in chunks(keys, KEYS_PER_REQUEST):
            for row in self._client.rows(company, "schedules", external_id=chunk):
                held = self._records.held(company, row)
                found[held.schedule.key] = held
        return found

    def _put(self, schedule: RevenueSchedule, held: HeldSchedule | None) -> ScheduleOutcome:
        if held is not None and held.schedule.version == schedule.version and not differences(schedule, held):
            return ScheduleOutcome(schedule.key, held.schedule_id)
        failure = None if held is None else refusal(schedule, held)
        unknown = {schedule.currency, schedule.functional_currency} - set(self._currencies)
        if unknown:
            failure = Failure(
                "mapping_missing", f"The minor-unit digits of {', '.join(sorted(unknown))} are not known."
            )
        if failure is not None:
            return ScheduleOutcome(schedule.key, failure=failure)
        try:
            row = self._client.put(schedule.company, "schedules", schedule.key, self._records.schedule_record(schedule))
            return ScheduleOutcome(schedule.key, str(row["id"]))
        except ErpError as error:
            return ScheduleOutcome(schedule.key, failure=error.failure)
        except KeyError:
            return ScheduleOutcome(schedule.key, failure=Failure("uncertain", "The ledger's answer has no id."))
