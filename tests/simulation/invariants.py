"""What must hold after every step of a run, and at its end. Each broken one raises with a sentence."""

from __future__ import annotations

from collections import Counter

from fake_erp import FakeErp
from sqlalchemy import select
from world import Network, SimStore

from revenue_assets.domain import posting_state as state
from revenue_assets.posting import steps
from revenue_assets.posting.erp.documents import compare
from revenue_assets.posting.erp.port import PostedDocument
from revenue_assets.store import audit, exceptions, outbox
from revenue_assets.store.engine import Store
from revenue_assets.store.tables import posting_attempts, posting_batches


class Invariants:
    """Keeps what it has seen, so that a step costs what changed in it."""

    def __init__(self, store: SimStore, erps: dict[str, FakeErp], networks: dict[str, Network]) -> None:
        self.store, self.plain, self.erps, self.networks = store, Store(store.engine), erps, networks
        self.commits = 0
        self.documents: Counter[str] = Counter()
        self.seen = dict.fromkeys(erps, 0)
        self.attempt = 0
        self.fences: dict[str, int] = {}

    def after_step(self) -> None:
        """No document twice, none changed; nothing written under a fence that was overtaken; verified means equal."""
        for company, erp in self.erps.items():
            for stored in erp.documents[self.seen[company] :]:
                self.documents[stored.journal.key] += 1
                assert self.documents[stored.journal.key] == 1, f"{stored.journal.key} is in the ERP twice"
            self.seen[company] = len(erp.documents)
        if len(self.store.commits) == self.commits:
            return
        self.commits = len(self.store.commits)
        with self.plain.read() as connection:
            rows = connection.execute(
                select(posting_attempts, posting_batches.c.erp_company, posting_batches.c.status)
                .join(posting_batches, posting_batches.c.batch_key == posting_attempts.c.batch_key)
                .where(posting_attempts.c.attempt_id > self.attempt)
                .order_by(posting_attempts.c.attempt_id)
            ).all()
        for row in rows:
            self.attempt = row.attempt_id
            assert row.fence >= self.fences.get(row.erp_company, 0), "an overtaken holder wrote"
            self.fences[row.erp_company] = row.fence
            if row.status == state.VERIFIED and row.action == "read back":
                assert self.networks[row.erp_company].last_read[row.batch_key], "an altered document was verified"
                assert self.documents[row.batch_key] == 1, f"{row.batch_key} is verified and not in the ERP"

    def at_the_end(self) -> None:
        """All in the ERP once and as cut, all verified, no exception open, nothing without an owner, chain unbroken."""
        batches = outbox.all_batches(self.plain)
        left = {b["batch_key"][:8]: (b["status"], b["last_error"]) for b in batches if b["status"] != state.VERIFIED}
        assert not left, f"stuck: {left}"
        keys = {b["batch_key"] for b in batches}
        for erp in self.erps.values():
            erp.tick(everything=True)
        self.after_step()
        assert set(self.documents) == keys, "lost, or not ours"
        with self.plain.read() as connection:
            cut = {b["batch_key"]: outbox.get(connection, b["batch_key"]) for b in batches}
        for erp in self.erps.values():
            for stored in erp.documents:
                j = stored.journal
                held = PostedDocument(
                    j.key, stored.document_id, None, "posted", j.company, j.accounting_date, j.period,
                    j.functional_currency, j.lines,
                )  # fmt: skip
                differences = compare(steps.journal_of(cut[j.key], 64), held)
                assert not differences, f"{j.key} differs: {differences}"
        items = exceptions.all_exceptions(self.plain)
        assert all(item["owner_team"] for item in items), "an exception without an owner"
        assert not [i for i in items if i["origin"] == "posting" and i["cleared_at"] is None], "an exception stays open"
        assert audit.verify(self.plain)[1] is None
