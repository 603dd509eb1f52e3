"""Tables of the operational store, for queries. Created by `migrations/`; a test keeps the two alike.

Money is BIGINT minor units (SQLite silently changed a 17-digit NUMERIC). Instants are naive UTC. JSON is text, so
that what was hashed is what is read back.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)  # fmt: skip

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_name)s",
    }
)
# SQLite gives automatic numbers only to a column typed INTEGER.
Serial = BigInteger().with_variant(Integer(), "sqlite")

leases = Table(
    "leases", metadata,
    Column("name", String(200), primary_key=True),
    Column("fence", BigInteger, nullable=False),
    Column("holder", Text),
    Column("expires_at", DateTime),
    comment="One row per thing that has one writer at a time; fence grows with every holder",
)  # fmt: skip

source_cursors = Table(
    "source_cursors", metadata,
    Column("source", String(100), primary_key=True),
    Column("object", String(100), primary_key=True),
    Column("position", Text, nullable=False),
    Column("updated_at", DateTime, nullable=False),
    comment="How far a source's object has been landed; opaque text of that source",
)  # fmt: skip

landing_batches = Table(
    "landing_batches", metadata,
    Column("batch_id", String(100), primary_key=True),
    Column("source", String(100), nullable=False),
    Column("object", String(100), nullable=False),
    Column("path", Text),
    Column("sha256", String(64)),
    Column("row_count", BigInteger, nullable=False),
    Column("quarantined", BigInteger, nullable=False),
    Column("control_totals", Text, nullable=False),
    Column("seq_from", BigInteger),
    Column("seq_to", BigInteger),
    Column("run_id", String(100)),
    Column("landed_at", DateTime, nullable=False),
    Column("committed_at", DateTime),
    Index("ix_landing_batches_source_object", "source", "object"),
    comment="One row per landing batch: its file, rows and control totals",
)  # fmt: skip

journal_bookings = Table(
    "journal_bookings", metadata,
    Column("booking_id", String(64), primary_key=True),
    Column("seq", BigInteger, nullable=False, unique=True),
    Column("sha256", String(64), nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("row_count", BigInteger, nullable=False),
    Column("uncut_rows", BigInteger, nullable=False),
    Column("control_totals", Text, nullable=False),
    Column("booked_at", DateTime, nullable=False),
    CheckConstraint("row_count > 0 and uncut_rows >= 0 and uncut_rows <= row_count", name="rows"),
    comment="Manifest of the journal of record: a file without a row here does not exist",
)  # fmt: skip

booking_periods = Table(
    "booking_periods", metadata,
    Column("booking_id", ForeignKey("journal_bookings.booking_id"), primary_key=True),
    Column("entity_id", String(32), primary_key=True),
    Column("book", String(32), primary_key=True),
    Column("period", String(7), primary_key=True),
    Column("row_count", BigInteger, nullable=False),
    Column("debit_fc", BigInteger, nullable=False),
    Column("credit_fc", BigInteger, nullable=False),
    CheckConstraint("debit_fc = credit_fc", name="balanced"),
    comment="What a booking put into which period; refused for a hard-closed one",
)  # fmt: skip

member_cuts = Table(
    "member_cuts", metadata,
    Column("cut_id", String(64), primary_key=True),
    Column("seq", BigInteger, nullable=False, unique=True),
    Column("sha256", String(64), nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("row_count", BigInteger, nullable=False),
    Column("batch_count", BigInteger, nullable=False),
    Column("cut_at", DateTime, nullable=False),
    comment="Manifest of the member files: which booked lines went into which batches",
)  # fmt: skip

posting_batches = Table(
    "posting_batches",
    metadata,
    Column("batch_key", String(32), primary_key=True),
    Column("seq", BigInteger, nullable=False, unique=True),
    Column("content_hash", String(64), nullable=False),
    Column("cut_id", ForeignKey("member_cuts.cut_id"), nullable=False),
    Column("tenant", String(100), nullable=False),
    Column("entity_id", String(32), nullable=False),
    Column("erp_company", String(200), nullable=False),
    Column("book", String(32), nullable=False),
    Column("period", String(7), nullable=False),
    Column("event_class", String(100), nullable=False),
    Column("rule_hash", String(64), nullable=False),
    Column("functional_currency", String(3), nullable=False),
    Column("currency_set", Text, nullable=False),
    Column("accounting_date", Date, nullable=False),
    Column("line_count", Integer, nullable=False),
    Column("member_count", BigInteger, nullable=False),
    Column("debit_fc", BigInteger, nullable=False),
    Column("credit_fc", BigInteger, nullable=False),
    Column("document_json", Text, nullable=False),
    Column("mode", String(10), nullable=False),
    Column("created_at", DateTime, nullable=False),
    # Who ran the cut, and the limit whose excess makes a second person decide (none: nobody has to).
    Column("prepared_by", String(200), nullable=False, server_default="system"),
    Column("approval_limit", BigInteger),
    # What changes while the batch is on its way:
    Column("status", String(20), nullable=False),
    Column("fence", BigInteger, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_attempt_at", DateTime),
    Column("settle_until", DateTime),
    Column("sent_at", DateTime),
    Column("posted_at", DateTime),
    Column("verified_at", DateTime),
    Column("erp_document_id", String(200)),
    Column("erp_document_number", String(200)),
    Column("erp_job_id", String(200)),
    Column("last_error_class", String(50)),
    Column("last_error", Text),
    CheckConstraint("debit_fc = credit_fc and debit_fc >= 0", name="balanced"),
    CheckConstraint("mode in ('live', 'shadow', 'off')", name="mode"),
    CheckConstraint(
        "status in ('awaiting_approval', 'planned', 'sent', 'uncertain', 'accepted', 'created', 'posted', "
        "'verified', 'dead')",
        name="status",
    ),
    CheckConstraint("status <> 'verified' or erp_document_id is not null", name="verified_has_document"),
    Index("ix_posting_batches_work", "mode", "erp_company", "status", "period", "seq"),
    comment="Outbox: one row per ERP document, written in one transaction with its cut",
)

posting_batch_lines = Table(
    "posting_batch_lines", metadata,
    Column("batch_key", ForeignKey("posting_batches.batch_key"), primary_key=True),
    Column("line_no", Integer, primary_key=True),
    Column("account_role", String(100), nullable=False),
    Column("account_code", String(100), nullable=False),
    Column("currency", String(3), nullable=False),
    Column("amount_tc", BigInteger, nullable=False),
    Column("functional_currency", String(3), nullable=False),
    Column("debit_fc", BigInteger, nullable=False),
    Column("credit_fc", BigInteger, nullable=False),
    Column("product_family", String(100)),
    Column("prior_period", Boolean, nullable=False),
    Column("dimensions", Text),
    Column("member_count", BigInteger, nullable=False),
    CheckConstraint("debit_fc >= 0 and credit_fc >= 0 and (debit_fc = 0 or credit_fc = 0)", name="one_side"),
    CheckConstraint("member_count > 0", name="members"),
    comment="Summarised lines of a batch, debits and credits apart",
)  # fmt: skip

posting_attempts = Table(
    "posting_attempts", metadata,
    Column("attempt_id", Serial, primary_key=True, autoincrement=True),
    Column("batch_key", ForeignKey("posting_batches.batch_key"), nullable=False),
    Column("attempt_no", Integer, nullable=False),
    Column("fence", BigInteger, nullable=False),
    Column("holder", Text, nullable=False),
    Column("action", String(20), nullable=False),
    Column("at", DateTime, nullable=False),
    Column("outcome", String(20), nullable=False),
    Column("error_class", String(50)),
    Column("detail", Text),
    Index("ix_posting_attempts_batch_key", "batch_key"),
    comment="Append-only: every intent, request outcome, look-up and read-back of a batch",
)  # fmt: skip

posting_read_backs = Table(
    "posting_read_backs", metadata,
    Column("read_back_id", Serial, primary_key=True, autoincrement=True),
    Column("batch_key", ForeignKey("posting_batches.batch_key"), nullable=False),
    Column("at", DateTime, nullable=False),
    Column("outcome", String(20), nullable=False),
    Column("document_json", Text, nullable=False),
    Column("content_hash", String(64), nullable=False),
    Index("ix_posting_read_backs_batch_key", "batch_key"),
    comment="Append-only: the ERP document as it was read back and compared with what was sent",
)  # fmt: skip

schedule_updates = Table(
    "schedule_updates", metadata,
    Column("update_key", String(64), primary_key=True),
    Column("schedule_key", String(32), nullable=False),
    Column("version", Integer, nullable=False),
    Column("seq", BigInteger, nullable=False, unique=True),
    Column("entity_id", String(32), nullable=False),
    Column("erp_company", String(200), nullable=False),
    Column("currency", String(3), nullable=False),
    Column("total_tc", BigInteger, nullable=False),
    Column("content_hash", String(64), nullable=False),
    Column("document_json", Text, nullable=False),
    Column("created_at", DateTime, nullable=False),
    # What changes while the version is on its way:
    Column("status", String(20), nullable=False),
    Column("fence", BigInteger, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_attempt_at", DateTime),
    Column("settle_until", DateTime),
    Column("sent_at", DateTime),
    Column("verified_at", DateTime),
    Column("erp_schedule_id", String(200)),
    Column("last_error_class", String(50)),
    Column("last_error", Text),
    UniqueConstraint("schedule_key", "version"),
    CheckConstraint(
        "status in ('planned', 'sent', 'uncertain', 'taken', 'verified', 'superseded', 'dead')", name="status"
    ),
    CheckConstraint("status <> 'verified' or erp_schedule_id is not null", name="verified_has_id"),
    CheckConstraint("version > 0", name="version"),
    Index("ix_schedule_updates_work", "erp_company", "status", "seq"),
    comment="Outbox of revenue schedules: one row per version of a schedule that an ERP runs",
)  # fmt: skip

schedule_attempts = Table(
    "schedule_attempts", metadata,
    Column("attempt_id", Serial, primary_key=True, autoincrement=True),
    Column("update_key", ForeignKey("schedule_updates.update_key"), nullable=False),
    Column("attempt_no", Integer, nullable=False),
    Column("fence", BigInteger, nullable=False),
    Column("holder", Text, nullable=False),
    Column("action", String(20), nullable=False),
    Column("at", DateTime, nullable=False),
    Column("outcome", String(20), nullable=False),
    Column("error_class", String(50)),
    Column("detail", Text),
    Index("ix_schedule_attempts_update_key", "update_key"),
    comment="Append-only: every intent, outcome, look-up and read-back of a schedule version",
)  # fmt: skip

erp_circuits = Table(
    "erp_circuits",
    metadata,
    Column("erp_company", String(200), primary_key=True),
    Column("failures", Integer, nullable=False),
    Column("paused_until", DateTime),
    Column("reason", Text),
    comment="Circuit breaker per ERP company: consecutive failed calls, and until when nothing is sent",
)

periods = Table(
    "periods", metadata,
    Column("entity_id", String(32), primary_key=True),
    Column("book", String(32), primary_key=True),
    Column("period", String(7), primary_key=True),
    Column("status", String(20), nullable=False),
    Column("changed_at", DateTime, nullable=False),
    Column("changed_by", String(200), nullable=False),
    Column("reason", Text),
    Column("closed_at", DateTime),
    Column("snapshot_hash", String(64)),
    Column("snapshot_json", Text),
    CheckConstraint("status in ('open', 'soft_closed', 'hard_closed')", name="status"),
    comment="State of each accounting period per entity and book",
)  # fmt: skip

period_history = Table(
    "period_history", metadata,
    Column("change_id", Serial, primary_key=True, autoincrement=True),
    Column("entity_id", String(32), nullable=False),
    Column("book", String(32), nullable=False),
    Column("period", String(7), nullable=False),
    Column("old_status", String(20)),
    Column("new_status", String(20), nullable=False),
    Column("at", DateTime, nullable=False),
    Column("actor", String(200), nullable=False),
    Column("approver", String(200)),
    Column("reason", Text),
    Column("snapshot_hash", String(64)),
    CheckConstraint(
        "old_status <> 'hard_closed' or (reason <> '' and approver is not null and approver <> actor)", name="reopening"
    ),
    comment="Append-only: who changed a period, when and why; reopening takes a reason and a second person",
)  # fmt: skip

exceptions = Table(
    "exceptions",
    metadata,
    Column("exception_id", String(64), primary_key=True),
    Column("origin", String(30), nullable=False),
    Column("recon_id", String(20)),
    Column("category", String(50), nullable=False),
    Column("severity", String(20), nullable=False),
    Column("entity_id", String(32)),
    Column("period", String(7)),
    Column("currency", String(3)),
    Column("amount", BigInteger),
    Column("blocks_close", Boolean, nullable=False),
    Column("owner_team", String(100), nullable=False),
    Column("assignee", String(200)),
    Column("status", String(30), nullable=False),
    Column("source_reference", Text),
    Column("customer_id", String(200)),
    Column("correlation_id", String(200)),
    Column("source_event_id", String(200)),
    Column("idempotency_key", String(64)),
    Column("erp_document", String(200)),
    Column("error_code", String(50)),
    Column("error_message", Text),
    Column("next_action", Text),
    Column("attempts", Integer, nullable=False),
    Column("last_attempt_at", DateTime),
    Column("first_seen_at", DateTime, nullable=False),
    Column("opened_at", DateTime, nullable=False),
    Column("last_seen_at", DateTime, nullable=False),
    Column("reopened", Integer, nullable=False),
    Column("cleared_at", DateTime),
    Column("resolution", String(50)),
    Column("resolution_note", Text),
    Column("resolved_by", String(200)),
    Column("resolved_at", DateTime),
    CheckConstraint(
        "status in ('Open', 'In progress', 'Waiting on source', 'Ready for replay', 'Resolved', 'Accepted')",
        name="status",
    ),
    CheckConstraint("owner_team <> ''", name="owner"),
    Index("ix_exceptions_origin_status", "origin", "status"),
    comment="What a person must look at; identity lasts over runs",
)

approval_limits = Table(
    "approval_limits", metadata,
    Column("entity_id", String(32), primary_key=True),
    Column("currency", String(3), nullable=False),
    Column("above", BigInteger, nullable=False),
    CheckConstraint("above >= 0", name="amount"),
    comment="From the config: above which total of a batch a second person decides",
)  # fmt: skip

approvers = Table(
    "approvers", metadata,
    Column("name", String(200), primary_key=True),
    Column("entity_id", String(32), primary_key=True),
    Column("currency", String(3), nullable=False),
    Column("up_to", BigInteger, nullable=False),
    CheckConstraint("name <> '' and name <> 'system'", name="person"),
    comment="From the config: who may approve, for which entity and up to what amount",
)  # fmt: skip

approvals = Table(
    "approvals", metadata,
    Column("approval_id", Serial, primary_key=True, autoincrement=True),
    Column("subject", String(100), nullable=False),
    Column("entity_id", String(32), nullable=False),
    Column("maker", String(200), nullable=False),
    Column("checker", String(200), nullable=False),
    Column("decision", String(10), nullable=False),
    Column("currency", String(3), nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("limit_exceeded", BigInteger),
    Column("at", DateTime, nullable=False),
    Column("reason", Text, nullable=False),
    Column("os_login", String(200), nullable=False),
    Column("db_login", String(200)),
    CheckConstraint("decision in ('approved', 'rejected')", name="decision"),
    CheckConstraint("lower(checker) <> lower(maker)", name="second_person"),
    CheckConstraint("trim(checker) <> '' and trim(reason) <> ''", name="reason"),
    Index("ix_approvals_subject", "subject"),
    comment="Append-only: who decided about what waited for a second person, and why",
)  # fmt: skip

policy_versions = Table(
    "policy_versions", metadata,
    Column("content_hash", String(64), primary_key=True),
    Column("company", String(100), nullable=False),
    Column("content", Text, nullable=False),
    Column("stored_at", DateTime, nullable=False),
    Column("author", String(200), nullable=False),
    Column("approver", String(200)),
    comment="Every rule set a journal line was ever computed with, by content hash",
)  # fmt: skip

publish_log = Table(
    "publish_log", metadata,
    Column("publish_id", String(64), primary_key=True),
    Column("seq", BigInteger, nullable=False, unique=True),
    Column("at", DateTime, nullable=False),
    Column("status", String(20), nullable=False),
    Column("run_id", String(100)),
    Column("code_version", String(100), nullable=False),
    Column("rules_version", String(64)),
    Column("as_of", Date),
    Column("content_hash", String(64), nullable=False),
    Column("table_rows", Text, nullable=False),
    Column("table_hashes", Text, nullable=False),
    Column("dbt_invocation_id", Text),
    Column("fx_rate_set", Text),
    Column("source_cut_offs", Text),
    CheckConstraint("status in ('built', 'live', 'superseded')", name="status"),
    comment="Every publish of the finance schema",
)  # fmt: skip

audit_links = Table(
    "audit_links", metadata,
    Column("link_no", BigInteger, primary_key=True, autoincrement=False),
    Column("at", DateTime, nullable=False),
    Column("entry_count", Integer, nullable=False),
    Column("entries_hash", String(64), nullable=False),
    Column("prev_hash", String(64), nullable=False),
    Column("hash", String(64), nullable=False),
    UniqueConstraint("hash"),
    comment="Append-only hash chain, one link per transaction that changed state",
)  # fmt: skip

audit_entries = Table(
    "audit_entries", metadata,
    Column("link_no", ForeignKey("audit_links.link_no"), primary_key=True),
    Column("entry_no", Integer, primary_key=True),
    Column("actor", Text, nullable=False),
    Column("action", String(50), nullable=False),
    Column("subject", Text, nullable=False),
    Column("before_hash", String(64)),
    Column("after_hash", String(64)),
    Column("detail", Text),
    Index("ix_audit_entries_subject", "subject"),
    comment="Append-only: what changed, by whom; the link carries the hash of its entries",
)  # fmt: skip
