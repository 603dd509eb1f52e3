"""What the ERP held when a batch was read back is kept: "verified" can be checked again without the ERP."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

TABLE = "posting_read_backs"
SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        TABLE,
        sa.Column("read_back_id", SERIAL, autoincrement=True, nullable=False),
        sa.Column("batch_key", sa.String(length=32), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.Column("outcome", sa.String(length=20), nullable=False),
        sa.Column("document_json", sa.Text(), nullable=False),
        sa.Column("content_hash", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["batch_key"], ["posting_batches.batch_key"], name=op.f("fk_posting_read_backs_batch_key")
        ),
        sa.PrimaryKeyConstraint("read_back_id", name=op.f("pk_posting_read_backs")),
        comment="Append-only: the ERP document as it was read back and compared with what was sent",
    )
    op.create_index(op.f("ix_posting_read_backs_batch_key"), TABLE, ["batch_key"])
    if op.get_bind().dialect.name == "sqlite":
        for what in ("update", "delete"):
            op.get_bind().exec_driver_sql(
                f"create trigger {TABLE}_no_{what} before {what} on {TABLE} for each row "
                f"begin select raise(abort, '{TABLE} is append-only'); end"
            )
        return
    op.get_bind().exec_driver_sql(
        f"create trigger {TABLE}_append_only before update or delete on {TABLE} for each row "
        "execute function revenue_append_only()"
    )


def downgrade() -> None:
    raise NotImplementedError("evidence is never taken away")
