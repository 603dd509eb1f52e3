"""All tables of the first version."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# SQLite gives automatic numbers only to a column typed INTEGER.
SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TABLES = [
    "posting_batch_lines",
    "posting_attempts",
    "posting_batches",
    "booking_periods",
    "audit_entries",
    "source_cursors",
    "publish_log",
    "policy_versions",
    "periods",
    "period_history",
    "member_cuts",
    "leases",
    "landing_batches",
    "journal_bookings",
    "exceptions",
    "erp_circuits",
    "audit_links",
]


def upgrade() -> None:
    op.create_table(
        "audit_links",
        sa.Column("link_no", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.Column("entry_count", sa.Integer(), nullable=False),
        sa.Column("entries_hash", sa.String(length=64), nullable=False),
        sa.Column("prev_hash", sa.String(length=64), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("link_no", name=op.f("pk_audit_links")),
        sa.UniqueConstraint("hash", name=op.f("uq_audit_links_hash")),
        comment="Append-only hash chain, one link per transaction that changed state",
    )
    op.create_table(
        "erp_circuits",
        sa.Column("erp_company", sa.String(length=200), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("paused_until", sa.DateTime(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("erp_company", name=op.f("pk_erp_circuits")),
        comment="Circuit breaker per ERP company: consecutive failed calls, and until when nothing is sent",
    )
    op.create_table(
        "exceptions",
        sa.Column("exception_id", sa.String(length=64), nullable=False),
        sa.Column("origin", sa.String(length=30), nullable=False),
        sa.Column("recon_id", sa.String(length=20), nullable=True),
        sa.Column("category", sa.String(length=50), nullable=False),
        sa.Column("severity", sa.String(length=20), nullable=False),
        sa.Column("entity_id", sa.String(length=32), nullable=True),
        sa.Column("period", sa.String(length=7), nullable=True),
        sa.Column("currency", sa.String(length=3), nullable=True),
        sa.Column("amount", sa.BigInteger(), nullable=True),
        sa.Column("blocks_close", sa.Boolean(), nullable=False),
        sa.Column("owner_team", sa.String(length=100), nullable=False),
        sa.Column("assignee", sa.String(length=200), nullable=True),
        sa.Column("status", sa.String(length=30), nullable=False),
        sa.Column("source_reference", sa.Text(), nullable=True),
        sa.Column("customer_id", sa.String(length=200), nullable=True),
        sa.Column("correlation_id", sa.String(length=200), nullable=True),
        sa.Column("source_event_id", sa.String(length=200), nullable=True),
        sa.Column("idempotency_key", sa.String(length=64), nullable=True),
        sa.Column("erp_document", sa.String(length=200), nullable=True),
        sa.Column("error_code", sa.String(length=50), nullable=True),
        sa.Column("error_message", sa.Text(), nullable=True),
        sa.Column("next_action", sa.Text(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("last_attempt_at", sa.DateTime(), nullable=True),
        sa.Column("first_seen_at", sa.DateTime(), nullable=False),
        sa.Column("opened_at", sa.DateTime(), nullable=False),
        sa.Column("last_seen_at", sa.DateTime(), nullable=False),
        sa.Column("reopened", sa.Integer(), nullable=False),
        sa.Column("cleared_at", sa.DateTime(), nullable=True),
        sa.Column("resolution", sa.String(length=50), nullable=True),
        sa.Column("resolution_note", sa.Text(), nullable=True),
        sa.Column("resolved_by", sa.String(length=200), nullable=True),
        sa.Column("resolved_at", sa.DateTime(), nullable=True),
        sa.CheckConstraint("owner_team <> ''", name=op.f("ck_exceptions_owner")),
        sa.CheckConstraint(
            "status in ('Open', 'In progress', 'Waiting on source', 'Ready for replay', 'Resolved', 'Accepted')",
            name=op.f("ck_exceptions_status"),
        ),
        sa.PrimaryKeyConstraint("exception_id", name=op.f("pk_exceptions")),
        comment="What a person must look at; identity lasts over runs",
    )
    op.create_index("ix_exceptions_origin_status", "exceptions", ["origin", "status"], unique=False)
    op.create_table(
        "journal_bookings",
        sa.Column("booking_id", sa.String(length=64), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("row_count", sa.BigInteger(), nullable=False),
        sa.Column("uncut_rows", sa.BigInteger(), nullable=False),
        sa.Column("control_totals", sa.Text(), nullable=False),
        sa.Column("booked_at", sa.DateTime(), nullable=False),
        sa.CheckConstraint(
            "row_count > 0 and uncut_rows >= 0 and uncut_rows <= row_count", name=op.f("ck_journal_bookings_rows")
        ),
        sa.PrimaryKeyConstraint("booking_id", name=op.f("pk_journal_bookings")),
        sa.UniqueConstraint("seq", name=op.f("uq_journal_bookings_seq")),
        comment="Manifest of the journal of record: a file without a row here does not exist",
    )
    op.create_table(
        "landing_batches",
        sa.Column("batch_id", sa.String(length=100), nullable=False),
        sa.Column("source", sa.String(length=100), nullable=False),
        sa.Column("object", sa.String(length=100), nullable=False),
        sa.Column("path", sa.Text(), nullable=True),
        sa.Column("sha256", sa.String(length=64), nullable=True),
        sa.Column("row_count", sa.BigInteger(), nullable=False),
        sa.Column("quarantined", sa.BigInteger(), nullable=False),
        sa.Column("control_totals", sa.Text(), nullable=False),
        sa.Column("seq_from", sa.BigInteger(), nullable=True),
        sa.Column("seq_to", sa.BigInteger(), nullable=True),
        sa.Column("run_id", sa.String(length=100), nullable=True),
        sa.Column("landed_at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("batch_id", name=op.f("pk_landing_batches")),
        comment="One row per landing batch: its file, rows and control totals",
    )
    op.create_index("ix_landing_batches_source_object", "landing_batches", ["source", "object"], unique=False)
    op.create_table(
        "leases",
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column("holder", sa.Text(), nullable=True),
        sa.Column("expires_at", sa.DateTime(), nullable=True),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_leases")),
        comment="One row per thing that has one writer at a time; fence grows with every holder",
    )
    op.create_table(
        "member_cuts",
        sa.Column("cut_id", sa.String(length=64), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("row_count", sa.BigInteger(), nullable=False),
        sa.Column("batch_count", sa.BigInteger(), nullable=False),
        sa.Column("cut_at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("cut_id", name=op.f("pk_member_cuts")),
        sa.UniqueConstraint("seq", name=op.f("uq_member_cuts_seq")),
        comment="Manifest of the member files: which booked lines went into which batches",
    )
    op.create_table(
        "period_history",
        sa.Column("change_id", SERIAL, autoincrement=True, nullable=False),
        sa.Column("entity_id", sa.String(length=32), nullable=False),
        sa.Column("book", sa.String(length=32), nullable=False),
        sa.Column("period", sa.String(length=7), nullable=False),
        sa.Column("old_status", sa.String(length=20), nullable=True),
        sa.Column("new_status", sa.String(length=20), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.Column("actor", sa.String(length=200), nullable=False),
        sa.Column("approver", sa.String(length=200), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("snapshot_hash", sa.String(length=64), nullable=True),
        sa.CheckConstraint(
            "old_status <> 'hard_closed' or (reason <> '' and approver is not null and approver <> actor)",
            name=op.f("ck_period_history_reopening"),
        ),
        sa.PrimaryKeyConstraint("change_id", name=op.f("pk_period_history")),
        comment="Append-only: who changed a period, when and why; reopening takes a reason and a second person",
    )
    op.create_table(
        "periods",
        sa.Column("entity_id", sa.String(length=32), nullable=False),
        sa.Column("book", sa.String(length=32), nullable=False),
        sa.Column("period", sa.String(length=7), nullable=False),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("changed_at", sa.DateTime(), nullable=False),
        sa.Column("changed_by", sa.String(length=200), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("closed_at", sa.DateTime(), nullable=True),
        sa.Column("snapshot_hash", sa.String(length=64), nullable=True),
        sa.Column("snapshot_json", sa.Text(), nullable=True),
        sa.CheckConstraint("status in ('open', 'soft_closed', 'hard_closed')", name=op.f("ck_periods_status")),
        sa.PrimaryKeyConstraint("entity_id", "book", "period", name=op.f("pk_periods")),
        comment="State of each accounting period per entity and book",
    )
    op.create_table(
        "policy_versions",
        sa.Column("content_hash", sa.String(length=64), nullable=False),
        sa.Column("company", sa.String(length=100), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("stored_at", sa.DateTime(), nullable=False),
        sa.Column("author", sa.String(length=200), nullable=False),
        sa.Column("approver", sa.String(length=200), nullable=True),
        sa.PrimaryKeyConstraint("content_hash", name=op.f("pk_policy_versions")),
        comment="Every rule set a journal line was ever computed with, by content hash",
    )
    op.create_table(
        "publish_log",
        sa.Column("publish_id", sa.String(length=64), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("run_id", sa.String(length=100), nullable=True),
        sa.Column("code_version", sa.String(length=100), nullable=False),
        sa.Column("rules_version", sa.String(length=64), nullable=True),
        sa.Column("as_of", sa.Date(), nullable=True),
        sa.Column("content_hash", sa.String(length=64), nullable=False),
        sa.Column("table_rows", sa.Text(), nullable=False),
        sa.Column("table_hashes", sa.Text(), nullable=False),
        sa.CheckConstraint("status in ('built', 'live', 'superseded')", name=op.f("ck_publish_log_status")),
        sa.PrimaryKeyConstraint("publish_id", name=op.f("pk_publish_log")),
        sa.UniqueConstraint("seq", name=op.f("uq_publish_log_seq")),
        comment="Every publish of the finance schema",
    )
    op.create_table(
        "source_cursors",
        sa.Column("source", sa.String(length=100), nullable=False),
        sa.Column("object", sa.String(length=100), nullable=False),
        sa.Column("position", sa.Text(), nullable=False),
        sa.Column("updated_at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("source", "object", name=op.f("pk_source_cursors")),
        comment="How far a source's object has been landed; opaque text of that source",
    )
    op.create_table(
        "audit_entries",
        sa.Column("link_no", sa.BigInteger(), nullable=False),
        sa.Column("entry_no", sa.Integer(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("action", sa.String(length=50), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("before_hash", sa.String(length=64), nullable=True),
        sa.Column("after_hash", sa.String(length=64), nullable=True),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["link_no"], ["audit_links.link_no"], name=op.f("fk_audit_entries_link_no")),
        sa.PrimaryKeyConstraint("link_no", "entry_no", name=op.f("pk_audit_entries")),
        comment="Append-only: what changed, by whom; the link carries the hash of its entries",
    )
    op.create_table(
        "booking_periods",
        sa.Column("booking_id", sa.String(length=64), nullable=False),
        sa.Column("entity_id", sa.String(length=32), nullable=False),
        sa.Column("book", sa.String(length=32), nullable=False),
        sa.Column("period", sa.String(length=7), nullable=False),
        sa.Column("row_count", sa.BigInteger(), nullable=False),
        sa.Column("debit_fc", sa.BigInteger(), nullable=False),
        sa.Column("credit_fc", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("debit_fc = credit_fc", name=op.f("ck_booking_periods_balanced")),
        sa.ForeignKeyConstraint(
            ["booking_id"], ["journal_bookings.booking_id"], name=op.f("fk_booking_periods_booking_id")
        ),
        sa.PrimaryKeyConstraint("booking_id", "entity_id", "book", "period", name=op.f("pk_booking_periods")),
        comment="What a booking put into which period; refused for a hard-closed one",
    )
    op.create_table(
        "posting_batches",
        sa.Column("batch_key", sa.String(length=32), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("content_hash", sa.String(length=64), nullable=False),
        sa.Column("cut_id", sa.String(length=64), nullable=False),
        sa.Column("tenant", sa.String(length=100), nullable=False),
        sa.Column("entity_id", sa.String(length=32), nullable=False),
        sa.Column("erp_company", sa.String(length=200), nullable=False),
        sa.Column("book", sa.String(length=32), nullable=False),
        sa.Column("period", sa.String(length=7), nullable=False),
        sa.Column("event_class", sa.String(length=100), nullable=False),
        sa.Column("rule_hash", sa.String(length=64), nullable=False),
        sa.Column("functional_currency", sa.String(length=3), nullable=False),
        sa.Column("currency_set", sa.Text(), nullable=False),
        sa.Column("accounting_date", sa.Date(), nullable=False),
        sa.Column("line_count", sa.Integer(), nullable=False),
        sa.Column("member_count", sa.BigInteger(), nullable=False),
        sa.Column("debit_fc", sa.BigInteger(), nullable=False),
        sa.Column("credit_fc", sa.BigInteger(), nullable=False),
        sa.Column("document_json", sa.Text(), nullable=False),
        sa.Column("mode", sa.String(length=10), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_attempt_at", sa.DateTime(), nullable=True),
        sa.Column("settle_until", sa.DateTime(), nullable=True),
        sa.Column("sent_at", sa.DateTime(), nullable=True),
        sa.Column("posted_at", sa.DateTime(), nullable=True),
        sa.Column("verified_at", sa.DateTime(), nullable=True),
        sa.Column("erp_document_id", sa.String(length=200), nullable=True),
        sa.Column("erp_document_number", sa.String(length=200), nullable=True),
        sa.Column("erp_job_id", sa.String(length=200), nullable=True),
        sa.Column("last_error_class", sa.String(length=50), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.CheckConstraint("mode in ('live', 'shadow', 'off')", name=op.f("ck_posting_batches_mode")),
        sa.CheckConstraint(
            "status <> 'verified' or erp_document_id is not null", name=op.f("ck_posting_batches_verified_has_document")
        ),
        sa.CheckConstraint(
            "status in ('awaiting_approval', 'planned', 'sent', 'uncertain', 'accepted', 'created', 'posted', "
            "'verified', 'dead')",
            name=op.f("ck_posting_batches_status"),
        ),
        sa.CheckConstraint("debit_fc = credit_fc and debit_fc >= 0", name=op.f("ck_posting_batches_balanced")),
        sa.ForeignKeyConstraint(["cut_id"], ["member_cuts.cut_id"], name=op.f("fk_posting_batches_cut_id")),
        sa.PrimaryKeyConstraint("batch_key", name=op.f("pk_posting_batches")),
        sa.UniqueConstraint("seq", name=op.f("uq_posting_batches_seq")),
        comment="Outbox: one row per ERP document, written in one transaction with its cut",
    )
    op.create_index(
        "ix_posting_batches_work", "posting_batches", ["erp_company", "status", "next_attempt_at"], unique=False
    )
    op.create_table(
        "posting_attempts",
        sa.Column("attempt_id", SERIAL, autoincrement=True, nullable=False),
        sa.Column("batch_key", sa.String(length=32), nullable=False),
        sa.Column("attempt_no", sa.Integer(), nullable=False),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column("holder", sa.Text(), nullable=False),
        sa.Column("action", sa.String(length=20), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.Column("outcome", sa.String(length=20), nullable=False),
        sa.Column("error_class", sa.String(length=50), nullable=True),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["batch_key"], ["posting_batches.batch_key"], name=op.f("fk_posting_attempts_batch_key")
        ),
        sa.PrimaryKeyConstraint("attempt_id", name=op.f("pk_posting_attempts")),
        comment="Append-only: every intent, request outcome, look-up and read-back of a batch",
    )
    op.create_index("ix_posting_attempts_batch_key", "posting_attempts", ["batch_key"], unique=False)
    op.create_table(
        "posting_batch_lines",
        sa.Column("batch_key", sa.String(length=32), nullable=False),
        sa.Column("line_no", sa.Integer(), nullable=False),
        sa.Column("account_role", sa.String(length=100), nullable=False),
        sa.Column("account_code", sa.String(length=100), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("amount_tc", sa.BigInteger(), nullable=False),
        sa.Column("functional_currency", sa.String(length=3), nullable=False),
        sa.Column("debit_fc", sa.BigInteger(), nullable=False),
        sa.Column("credit_fc", sa.BigInteger(), nullable=False),
        sa.Column("product_family", sa.String(length=100), nullable=True),
        sa.Column("prior_period", sa.Boolean(), nullable=False),
        sa.Column("dimensions", sa.Text(), nullable=True),
        sa.Column("member_count", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "debit_fc >= 0 and credit_fc >= 0 and (debit_fc = 0 or credit_fc = 0)",
            name=op.f("ck_posting_batch_lines_one_side"),
        ),
        sa.CheckConstraint("member_count > 0", name=op.f("ck_posting_batch_lines_members")),
        sa.ForeignKeyConstraint(
            ["batch_key"], ["posting_batches.batch_key"], name=op.f("fk_posting_batch_lines_batch_key")
        ),
        sa.PrimaryKeyConstraint("batch_key", "line_no", name=op.f("pk_posting_batch_lines")),
        comment="Summarised lines of a batch, debits and credits apart",
    )


def downgrade() -> None:
    for table in TABLES:
        op.drop_table(table)
