"""Whether a learner committed a scan, or the reveal, the next scan or the end of the time did."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("learner_commit", sa.Column("automatic", sa.Boolean(), nullable=True))
