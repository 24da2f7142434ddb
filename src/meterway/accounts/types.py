"""Users as values, and the tiers they may be members of."""

from enum import StrEnum

import msgspec


class Tier(StrEnum):
    """What a user is a member of; limits and multipliers follow it."""

    NORMAL = "normal"
    VIP = "VIP"
    PREMIUM = "PREMIUM"


def tier_at(tier: Tier, expires_at: float | None, now: float) -> Tier:
    """Return the tier in effect: a membership that is over leaves the normal one."""
    return tier if expires_at is None or now < expires_at else Tier.NORMAL


class User(msgspec.Struct, frozen=True, kw_only=True):
    """A person or team that owns keys; times are in seconds since the epoch.

    `postpaid`: calls are not refused for want of balance. `tier` is the one that was given;
    `tier_at` says which is in effect. `zero_retention`: nothing it says is kept.
    """

    id: int
    email: str
    is_admin: bool
    postpaid: bool
    disabled: bool
    created_at: float
    tier: Tier = Tier.NORMAL
    tier_expires_at: float | None = None
    zero_retention: bool = False

    def tier_at(self, now: float) -> Tier:
        """Return the tier in effect."""
        return tier_at(self.tier, self.tier_expires_at, now)


class NewUser(msgspec.Struct, frozen=True, kw_only=True):
    """A user to be made; the repr does not show the password."""

    email: str
    password: str
    is_admin: bool = False
    postpaid: bool = False
    tier: Tier = Tier.NORMAL
    tier_expires_at: float | None = None
    zero_retention: bool = False

    def __repr__(self) -> str:
        """Show the e-mail alone."""
        return f"NewUser({self.email!r})"
