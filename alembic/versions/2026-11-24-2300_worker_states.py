"""what a worker that is gone is called"""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("UPDATE worker SET state = 'offline' WHERE state = 'stopped'")
    op.execute("UPDATE worker SET state = 'lost' WHERE state = 'dead'")


def downgrade() -> None:
    op.execute("UPDATE worker SET state = 'stopped' WHERE state IN ('offline', 'draining')")
    op.execute("UPDATE worker SET state = 'dead' WHERE state = 'lost'")
