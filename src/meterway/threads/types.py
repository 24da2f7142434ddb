"""What is kept, as values: responses, conversations, their items, stored completions."""

from collections.abc import Mapping
from typing import Generic, TypeVar

import msgspec

_DAY = 86_400.0
T = TypeVar("T")


class Retention(msgspec.Struct, frozen=True):
    """How long responses and completions are kept; `days` 0 keeps them for ever."""

    days: int

    def end(self, created_at: float) -> float | None:
        """Return when what was made at a moment (seconds) is deleted; None for never."""
        return created_at + self.days * _DAY if self.days else None


class Item(msgspec.Struct, frozen=True):
    """One item: `body` is its whole JSON object, with its `id` and `type` in it."""

    id: str
    type: str
    body: bytes


class StoredResponse(msgspec.Struct, frozen=True, kw_only=True):
    """A response as it is kept; times are in seconds since the epoch.

    `input` is a JSON array of this turn's own new items, each with an id; `body` the whole
    response object as its client gets it; `output` a JSON array of the items that are replayed
    when another continues it, which may say more than `body` shows. `expires_at` None keeps it
    for ever.
    """

    id: str
    user_id: int
    key_id: int
    created_at: float
    previous_id: str | None = None
    conversation_id: str | None = None
    status: str
    background: bool = False
    model: str
    input: bytes
    body: bytes
    output: bytes
    expires_at: float | None = None


class Conversation(msgspec.Struct, frozen=True, kw_only=True):
    """A conversation without its items; `created_at` in seconds since the epoch."""

    id: str
    created_at: float
    metadata: Mapping[str, str]


class StoredCompletion(msgspec.Struct, frozen=True, kw_only=True):
    """A chat completion as it is kept; times are in seconds since the epoch.

    `messages` is the JSON array of the request's messages; `body` the completion object as it is
    shown later, without its metadata.
    """

    id: str
    user_id: int
    key_id: int
    created_at: float
    model: str
    metadata: Mapping[str, str]
    messages: bytes
    body: bytes
    expires_at: float | None = None


class Cursor(msgspec.Struct, frozen=True):
    """Which page is asked for: up to `limit` behind the one named `after`, None being the first."""

    after: str | None = None
    limit: int = 20
    descending: bool = True


class Page(msgspec.Struct, Generic[T], frozen=True):
    """A page of a list; `more` says that others come behind it."""

    rows: list[T]
    more: bool
