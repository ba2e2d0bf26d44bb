"""Seed of a lesson's order, and how near a mark must be to a lesion."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("lesson", sa.Column("seed", sa.Integer(), nullable=True))
    op.add_column("lesson", sa.Column("tolerance_mm", sa.Double(), nullable=True))
