"""What Alembic runs: on the connection it is handed, in the transaction that is open there."""

from alembic import context

from meterway.accounts import tables as _accounts
from meterway.db import installation as _installation
from meterway.db import versions as _versions
from meterway.db.metadata import metadata
from meterway.keys import tables as _keys
from meterway.routing import tables as _routing

DECLARING = (_accounts, _installation, _keys, _routing, _versions)
"""The modules whose import fills `metadata`."""

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,  # SQLite changes a table by copying it
    compare_type=True,
    compare_server_default=True,
)
context.run_migrations()
