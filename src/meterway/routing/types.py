"""Channels on their way in and as they are stored."""

from collections.abc import Mapping
from enum import StrEnum

import msgspec


class Origin(StrEnum):
    """Who says what a channel is."""

    DETECTED = "detected"
    ENVIRONMENT = "environment"
    FILE = "file"
    CLI = "cli"


class NewChannel(msgspec.Struct, frozen=True, kw_only=True):
    """What an operator says about a channel; the repr shows no secret.

    `base_url` None means the provider's own. `timeouts` has any of `connect`, `first_byte` and
    `idle`, in seconds; what it lacks follows the settings.
    """

    name: str
    provider: str
    base_url: str | None = None
    secrets: tuple[str, ...] = ()
    models: Mapping[str, str] = {}
    priority: int = 0
    weight: int = 1
    prefix: str | None = None
    enabled: bool = True
    headers: Mapping[str, str] = {}
    timeouts: Mapping[str, float] = {}
    origin: Origin = Origin.CLI

    def __repr__(self) -> str:
        """Show the name and the provider."""
        return f"NewChannel({self.name!r}, {self.provider!r})"


class StoredChannel(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the table; `credentials` and `headers` are sealed.

    `enabled` is what the operator says; `withdrawn` that the environment no longer names it, or
    that engines are no longer looked for.
    """

    id: int
    name: str
    provider: str
    base_url: str
    credentials: str | None
    headers: str | None
    models: dict[str, str]
    priority: int
    weight: int
    prefix: str | None
    timeouts: dict[str, float]
    origin: Origin
    real: bool
    enabled: bool
    withdrawn: bool
    created_at: int
    deleted_at: int | None
