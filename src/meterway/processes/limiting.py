"""What the settings say of tiers: their limits, and what membership costs."""

from meterway.accounts.types import Tier
from meterway.kit.money import Nanos, dollars
from meterway.limits.types import Limit, TierLimits
from meterway.settings import Settings


def tier_limits(settings: Settings) -> dict[str, TierLimits]:
    """Return what each membership tier is held to; nothing where the settings say 0."""
    return {
        name: TierLimits(
            user=_limit(table.rpm, table.tpm, table.concurrency),
            key=_limit(table.key_rpm, table.key_tpm, table.key_concurrency),
            total=_limit(table.total_rpm, table.total_tpm, table.total_concurrency),
            counting=_limit(table.count_rpm),
        )
        for name, table in settings.tiers.items()
    }


def membership_prices(settings: Settings) -> dict[Tier, Nanos]:
    """Return what a month of membership costs, by the tiers that are sold."""
    return {Tier(name): dollars(price) for name, price in settings.membership_prices.items()}


def _limit(requests: int, tokens: int = 0, concurrency: int = 0) -> Limit:
    return Limit(requests=requests or None, tokens=tokens or None, concurrency=concurrency or None)
