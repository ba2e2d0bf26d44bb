"""Why a scan was skipped, and in which order of the worklist it was opened."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("case_event", sa.Column("detail", sa.Text(), nullable=True))
