"""What became of a call whose worker has not been heard of: asked before it runs again."""

from sqlalchemy.ext.asyncio import AsyncConnection

from meterway.idempotency.types import Fate, Holder
from meterway.jobs import service as jobs
from meterway.ledger.charges import service as charges
from meterway.ledger.journal import service as journals


async def fate_of(connection: AsyncConnection, holder: Holder) -> Fate:
    """Return what the ledger knows of a call; its process is called as its journal is.

    Only of a journal that is posted to its end can be said that a charge will never come. What goes
    on in the background is charged by another process.
    """
    journal = (await journals.named(connection, [holder.process])).get(holder.process)
    if journal is None or not journal.is_closed:
        return Fate.UNKNOWN
    charged = await charges.is_posted(connection, holder.call_id)
    if charged or await jobs.makes(connection, holder.call_id):
        return Fate.CHARGED
    return Fate.FREE
