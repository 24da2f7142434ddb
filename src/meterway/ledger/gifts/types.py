"""Credits as values."""

import msgspec

from meterway.kit.money import Nanos


class Credit(msgspec.Struct, frozen=True, kw_only=True):
    """One gift for a billing channel.

    `left` is the most that may be left of it; `expires_at` is in seconds, None being never.
    """

    id: int
    user_id: int
    billing: str
    left: Nanos
    expires_at: float | None
