"""Landing batches are announced before their file and committed after it; a publish names what it was made from."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

PUBLISH_COLUMNS = ("dbt_invocation_id", "fx_rate_set", "source_cut_offs")


def upgrade() -> None:
    op.add_column("landing_batches", sa.Column("committed_at", sa.DateTime(), nullable=True))
    # Until now a batch was entered only once its file stood there.
    op.execute("update landing_batches set committed_at = landed_at")
    for name in PUBLISH_COLUMNS:
        op.add_column("publish_log", sa.Column(name, sa.Text(), nullable=True))


def downgrade() -> None:
    for name in PUBLISH_COLUMNS:
        op.drop_column("publish_log", name)
    op.drop_column("landing_batches", "committed_at")
