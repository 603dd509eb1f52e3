"""Asynchronous creation in NetSuite: a job is queued under an idempotency key, and what became of it is asked for.

The idempotency key is a second belt: NetSuite honours it for asynchronous requests only and does not say for how long.
What keeps a journal single is its external id, which a job honours as well.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

from revenue_assets.posting.erp.netsuite_failures import failure_of
from revenue_assets.posting.erp.port import ErpError, Failure, Found, Outcome
from revenue_assets.sources.netsuite_client import NetSuiteClient, Row
from revenue_assets.sources.netsuite_faults import NetSuiteFault

# Idempotency keys that NetSuite may remember as failed before a person must look.
FAILED_JOBS_MAX = 10
_NAMESPACE = uuid.UUID("6f2b1a0e-6d57-5a52-9c55-6b1f0a8f6c11")


class Jobs:
    """`find(key)` looks a journal up in the ledger and by its external id."""

    def __init__(self, client: NetSuiteClient, find: Callable[[str], tuple[Found, ...]]) -> None:
        self._client, self._find = client, find

    def submit(self, record_type: str, key: str, values: Row) -> Outcome:
        """Queues the record. Raises NetSuiteFault for a request that gave no job.

        A key that NetSuite already took leads to its first job. If that one failed and left nothing, the next attempt
        gets a key derived from it, so that a cause which was corrected since does not fail for ever.
        """
        name = key
        for _ in range(FAILED_JOBS_MAX):
            try:
                queued = self._client.create(record_type, values, idempotency_key=str(uuid.uuid5(_NAMESPACE, name)))
            except NetSuiteFault as fault:
                if fault.kind != "repeated":
                    raise
                job_id = urlsplit(fault.location or "").path.rstrip("/").rpartition("/")[2]
                outcome = self.poll(key, job_id)
                if outcome.failure is None or outcome.failure.look_up_first or outcome.failure.retry:
                    return outcome
                name = f"{key}:{job_id}"
                continue
            if queued.job_id is None:  # a server that ignores the wish to be asynchronous made it at once
                return Outcome(key, "created", queued.record_id)
            return Outcome(key, "accepted", job_id=queued.job_id)
        words = f"NetSuite has failed {FAILED_JOBS_MAX} jobs of this document."
        return Outcome(key, failure=Failure("invalid", words))

    def poll_all(self, job_ids: Mapping[str, str]) -> tuple[Outcome, ...]:
        """One outcome per key -> job id."""
        return tuple(self.poll(key, job_id) for key, job_id in job_ids.items())

    def poll(self, key: str, job_id: str) -> Outcome:
        """What became of a job: still queued, in NetSuite (found by key, which is what counts), or failed."""
        try:
            job = self._client.job(job_id)
            if job is not None and not job.get("completed"):
                return Outcome(key, "accepted", job_id=job_id)
            hits = self._find(key)
            if len(hits) == 1:
                return Outcome(key, hits[0].state, hits[0].document_id, hits[0].number, job_id)
            if hits:
                numbers = ", ".join(hit.number or hit.document_id for hit in hits)
                words = f"Key {key} is in NetSuite {len(hits)} times: {numbers}."
                return Outcome(key, job_id=job_id, failure=Failure("conflict", words))
            if job is not None and job.get("progress") == "failed":
                fault = self._client.job_fault(job_id)
                failure = failure_of(fault) if fault else Failure("invalid", f"NetSuite's job {job_id} failed.")
                return Outcome(key, job_id=job_id, failure=failure)
        except NetSuiteFault as fault:
            return Outcome(key, "accepted", job_id=job_id, failure=failure_of(fault))
        except ErpError as error:
            return Outcome(key, "accepted", job_id=job_id, failure=error.failure)
        words = f"NetSuite's job {job_id} has ended (or is forgotten), and its journal is not to be seen yet."
        return Outcome(key, job_id=job_id, failure=Failure("uncertain", words))
