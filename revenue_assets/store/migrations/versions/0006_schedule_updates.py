"""Revenue schedules on their way into an ERP that runs them: one row per version, and what was tried with it.

Content and identity of a version never change, no row goes away, attempts are append-only, and a version that was
overtaken or verified stays what it is.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
FROZEN = (
    "update_key", "schedule_key", "version", "seq", "entity_id", "erp_company", "currency", "total_tc", "content_hash",
    "document_json",
)  # fmt: skip
_FINAL = "old.status in ('verified', 'superseded') and new.status <> old.status"
# (name, when, table, condition, message): what is refused, in both dialects.
GUARDS = (
    ("schedule_updates_no_delete", "delete", "schedule_updates", "", "schedule_updates keeps its rows for ever"),
    ("schedule_updates_frozen", f"update of {', '.join(FROZEN)}", "schedule_updates",
     " or ".join(f"new.{c} <> old.{c}" for c in FROZEN), "schedule_updates: this column never changes"),
    ("schedule_updates_final", "update of status", "schedule_updates", _FINAL,
     "a schedule version that is verified or superseded stays so"),
    ("schedule_attempts_no_update", "update", "schedule_attempts", "", "schedule_attempts is append-only"),
    ("schedule_attempts_no_delete", "delete", "schedule_attempts", "", "schedule_attempts is append-only"),
)  # fmt: skip


def upgrade() -> None:
    op.create_table(
        "schedule_updates",
        sa.Column("update_key", sa.String(length=64), nullable=False),
        sa.Column("schedule_key", sa.String(length=32), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("entity_id", sa.String(length=32), nullable=False),
        sa.Column("erp_company", sa.String(length=200), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("total_tc", sa.BigInteger(), nullable=False),
        sa.Column("content_hash", sa.String(length=64), nullable=False),
        sa.Column("document_json", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_attempt_at", sa.DateTime()),
        sa.Column("settle_until", sa.DateTime()),
        sa.Column("sent_at", sa.DateTime()),
        sa.Column("verified_at", sa.DateTime()),
        sa.Column("erp_schedule_id", sa.String(length=200)),
        sa.Column("last_error_class", sa.String(length=50)),
        sa.Column("last_error", sa.Text()),
        sa.PrimaryKeyConstraint("update_key", name=op.f("pk_schedule_updates")),
        sa.UniqueConstraint("schedule_key", "version", name=op.f("uq_schedule_updates_schedule_key")),
        sa.UniqueConstraint("seq", name=op.f("uq_schedule_updates_seq")),
        sa.CheckConstraint(
            "status in ('planned', 'sent', 'uncertain', 'taken', 'verified', 'superseded', 'dead')",
            name=op.f("ck_schedule_updates_status"),
        ),
        sa.CheckConstraint(
            "status <> 'verified' or erp_schedule_id is not null", name=op.f("ck_schedule_updates_verified_has_id")
        ),
        sa.CheckConstraint("version > 0", name=op.f("ck_schedule_updates_version")),
        comment="Outbox of revenue schedules: one row per version of a schedule that an ERP runs",
    )
    op.create_index("ix_schedule_updates_work", "schedule_updates", ["erp_company", "status", "seq"])
    op.create_table(
        "schedule_attempts",
        sa.Column("attempt_id", SERIAL, autoincrement=True, nullable=False),
        sa.Column("update_key", sa.String(length=64), nullable=False),
        sa.Column("attempt_no", sa.Integer(), nullable=False),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column("holder", sa.Text(), nullable=False),
        sa.Column("action", sa.String(length=20), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.Column("outcome", sa.String(length=20), nullable=False),
        sa.Column("error_class", sa.String(length=50)),
        sa.Column("detail", sa.Text()),
        sa.PrimaryKeyConstraint("attempt_id", name=op.f("pk_schedule_attempts")),
        sa.ForeignKeyConstraint(
            ["update_key"], ["schedule_updates.update_key"],
            name=op.f("fk_schedule_attempts_update_key_schedule_updates"),
        ),
        comment="Append-only: every intent, outcome, look-up and read-back of a schedule version",
    )  # fmt: skip
    op.create_index("ix_schedule_attempts_update_key", "schedule_attempts", ["update_key"])
    sqlite = op.get_bind().dialect.name == "sqlite"
    for name, when, table, condition, message in GUARDS:
        for statement in (
            _sqlite(name, when, table, condition, message)
            if sqlite
            else _postgresql(name, when, table, condition, message)
        ):
            op.get_bind().exec_driver_sql(statement.replace("%", "%%"))


def downgrade() -> None:
    raise NotImplementedError("controls are never taken away")


def _sqlite(name: str, when: str, table: str, condition: str, message: str) -> list[str]:
    clause = f" when {condition}" if condition else ""
    return [
        f"create trigger {name} before {when} on {table} for each row{clause} "
        f"begin select raise(abort, '{message}'); end"
    ]


def _postgresql(name: str, when: str, table: str, condition: str, message: str) -> list[str]:
    refusal = f"raise exception '{message}';"
    body = f"if {condition} then {refusal} end if; return new;" if condition else refusal
    return [
        f"create function revenue_{name}() returns trigger language plpgsql as $$ begin {body} end $$",
        f"create trigger {name} before {when} on {table} for each row execute function revenue_{name}()",
    ]
