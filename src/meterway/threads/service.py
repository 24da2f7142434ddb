"""What concerns everything that is kept of what was said: its end, by time or by its owner."""

from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from meterway.threads.completions import service as completions
from meterway.threads.conversations import service as conversations
from meterway.threads.responses import service as responses

_PART: Final = 100  # rows of one transaction: each may be large


async def expire(tx: AsyncConnection, now: float, limit: int = _PART) -> int:
    """Delete up to `limit` responses, and as many completions, whose time is over.

    Returns how many; `now` in seconds since the epoch. Conversations stay until they are deleted.
    """
    gone = await responses.expire(tx, now, limit)
    return gone + await completions.expire(tx, now, limit)


async def forget(tx: AsyncConnection, user_id: int, limit: int = _PART) -> int:
    """Delete up to `limit` things of each kind of a user; return how many, 0 where none is left."""
    gone = 0
    for kept in (responses, conversations, completions):
        gone += await kept.forget(tx, user_id, limit)
    return gone
