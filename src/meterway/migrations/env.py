"""What Alembic runs: on the connection it is handed, in the transaction that is open there."""

from alembic import context

from meterway.accounts import tables as _accounts
from meterway.catalog import tables as _catalog
from meterway.db import installation as _installation
from meterway.db import versions as _versions
from meterway.db.metadata import metadata
from meterway.idempotency import tables as _idempotency
from meterway.keys import tables as _keys
from meterway.ledger.books import tables as _books
from meterway.ledger.budgets import tables as _budgets
from meterway.ledger.charges import tables as _charges
from meterway.ledger.codes import tables as _codes
from meterway.ledger.journal import tables as _journal
from meterway.ledger.seals import tables as _seals
from meterway.routing import tables as _routing
from meterway.threads import tables as _threads

DECLARING = (
    (_accounts, _catalog, _idempotency, _installation, _keys, _routing, _threads, _versions),
    (_books, _budgets, _charges, _codes, _journal, _seals),
)
"""The modules whose import fills `metadata`."""

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,  # SQLite changes a table by copying it
    compare_type=True,
    compare_server_default=True,
)
context.run_migrations()
