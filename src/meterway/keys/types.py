"""Keys as values, and how much of one may be shown."""

import msgspec

from meterway.kit.money import Nanos

_HEAD, _TAIL, _LEAST = 5, 4, 16


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """A key as it is stored, without its text; times are in seconds since the epoch.

    `shown` is the masked text, `sk-ab***8336`. `permissions` None means everything. `max_fee` is
    what it may spend in all, 0 being no bound; `used_fee` and `used_times` are what ended calls
    cost and how many there were, `used_at` when the last one ended. A deleted key keeps its row.
    `zero_retention`: nothing that is said with it is kept.
    """

    id: int
    user_id: int
    shown: str
    remark: str
    permissions: frozenset[str] | None
    is_admin: bool
    disabled: bool
    expires_at: float | None
    created_at: float
    default_model: str | None
    max_fee: Nanos
    used_fee: Nanos
    used_times: int
    used_at: float | None
    deleted_at: float | None
    zero_retention: bool = False


class NewKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key to be made; empty `permissions` allow everything, `max_fee` 0 any amount."""

    user_id: int
    remark: str = ""
    permissions: frozenset[str] = frozenset()
    is_admin: bool = False
    expires_at: float | None = None
    default_model: str | None = None
    max_fee: Nanos = 0
    zero_retention: bool = False


class Changes(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What to change of a key; what stays `UNSET` stays as it is."""

    remark: str | msgspec.UnsetType = msgspec.UNSET
    permissions: frozenset[str] | msgspec.UnsetType = msgspec.UNSET
    expires_at: float | msgspec.UnsetType | None = msgspec.UNSET
    default_model: str | msgspec.UnsetType | None = msgspec.UNSET
    max_fee: Nanos | msgspec.UnsetType = msgspec.UNSET
    disabled: bool | msgspec.UnsetType = msgspec.UNSET
    zero_retention: bool | msgspec.UnsetType = msgspec.UNSET


def masked(token: str) -> str:
    """Return what may be shown of a token, ours or not: its ends, or nothing of a short one."""
    printable = "".join(c if c.isprintable() else "?" for c in token[:_HEAD] + token[-_TAIL:])
    if len(token) < _LEAST:
        return "***"
    return f"{printable[:_HEAD]}***{printable[_HEAD:]}"
