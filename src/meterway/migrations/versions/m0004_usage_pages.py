"""Pages of usage: the index they read knows model and key, so that rare calls are found in it."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the index anew."""
    op.drop_index("ix_charges_user_id", "charges")
    op.create_index("ix_charges_user_id", "charges", ["user_id", "call_id", "model_id", "key_id"])
