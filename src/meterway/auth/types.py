"""Who is calling, as the rest of the product sees them."""

import math
from collections.abc import Iterable

import msgspec

from meterway.accounts.types import Tier, tier_at
from meterway.keys import permissions as rights


class Principal(msgspec.Struct, frozen=True, kw_only=True):
    """The caller behind a valid credential.

    `key_name` is the key as it may be shown (`sk-ab***8336`). `permissions` None means
    everything. `expires_at` is in seconds since the epoch. `default_model` answers calls that
    name no model. `capped`: the key has a budget of its own. `of_admin`: its owner administers
    the installation. `tier` is the one that was given; `tier_at` says which is in effect. `keeps`:
    what it asks to be kept is kept; neither its key nor its user has zero retention.
    """

    key_id: int
    user_id: int
    key_name: str
    permissions: frozenset[str] | None = None
    expires_at: float | None = None
    is_admin: bool = False
    postpaid: bool = False
    default_model: str | None = None
    capped: bool = False
    tier: Tier = Tier.NORMAL
    tier_expires_at: float | None = None
    of_admin: bool = False
    keeps: bool = True

    def tier_at(self, now: float) -> Tier:
        """Return the tier in effect at `now`, in seconds since the epoch."""
        return tier_at(self.tier, self.tier_expires_at, now)

    def span_of_tier(self, now: float) -> tuple[float, float]:
        """Return the moments around `now` between which the tier is the same; the end excluded."""
        ends = self.tier_expires_at
        if ends is None:
            return -math.inf, math.inf
        return (-math.inf, ends) if now < ends else (ends, math.inf)

    def allows(
        self, model_id: str | None, family: str | None = None, capabilities: Iterable[str] = ()
    ) -> bool:
        """Say whether this caller may use a model and the capabilities it takes."""
        return rights.allows(self.permissions, model_id, family, capabilities)
