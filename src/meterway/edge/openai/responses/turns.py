"""One turn of the Responses API: its history is put in front, and what became of it is kept.

Follows https://platform.openai.com/docs/api-reference/responses/create and
https://platform.openai.com/docs/guides/conversation-state.
"""

from collections.abc import Sequence
from typing import TypeAlias

import msgspec
import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from meterway.auth.types import Principal
from meterway.db.engine import reading
from meterway.edge.openai.shelf import Shelf
from meterway.kit import json
from meterway.kit.errors import InvalidRequestError, MeterwayError
from meterway.kit.json import RawObject
from meterway.protocols.chat.openai_family import optional
from meterway.protocols.chat.openai_responses import (
    Frame,
    conversation_id,
    frame_of,
    input_items,
    output_items,
    reference_of,
    with_items,
)
from meterway.threads import items as kept_items
from meterway.threads.conversations import service as conversations
from meterway.threads.errors import ItemNotFoundError, ZeroRetentionError
from meterway.threads.responses import service as responses
from meterway.threads.types import Item, Retention, StoredResponse

_log = structlog.get_logger()
_OURS = frozenset({"previous_response_id", "conversation", "background"})
_Parent: TypeAlias = tuple[str | None, str | None]
"""The response and the conversation a turn goes on from; it has one of them, or none."""

_NO_PARENT: _Parent = (None, None)
_NULL = msgspec.Raw(b"null")


class BackgroundNotStoredError(InvalidRequestError):
    """The request asks to be answered in the background, and for nothing to be kept."""

    code = "background_not_stored"

    def __init__(self) -> None:
        super().__init__(
            "A response in the background is kept until it is fetched; leave `store` out, or "
            "`background`.",
            param="background",
        )


class Turns:
    """Begins the turns of one worker."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf

    async def begin(self, body: RawObject, caller: Principal) -> "Turn":
        """Return the turn that `body` asks for, with all that was said before in its input.

        Raises `InvalidRequestError`, and what `threads.errors` says of what the request goes on
        from.
        """
        parent, now = _parent(body, caller), self._shelf.clock.now()
        frame = frame_of(body, responses.new_id(), int(now))
        stores = caller.keeps and not _says(frame.echo["store"], False)
        state = {name: body[name] for name in _OURS if name in body}
        asked, new = _without_state(body), list[msgspec.Raw]()
        if stores or parent != _NO_PARENT:
            new = _named(input_items(body))
            history = await self._before(caller.user_id, parent)
            asked = with_items(asked, [*history, *_resolved(new, history)])
        return Turn(self, frame, asked, caller, parent, new, now, state, stores=stores)

    async def _before(self, user_id: int, parent: _Parent) -> list[msgspec.Raw]:
        if parent == _NO_PARENT:
            return []
        return output_items(await self._shelf.door.unbroken(self._history(user_id, parent)))

    async def _history(self, user_id: int, parent: _Parent) -> bytes:
        (previous, conversation), largest = parent, self._shelf.body_limit
        async with reading(self._shelf.engine) as connection:
            if previous is not None:
                return await responses.history(connection, user_id, previous, largest=largest)
            assert conversation is not None, "one of the two was given"
            return await conversations.load(connection, user_id, conversation, largest=largest)

    async def keep(self, turn: "Turn") -> None:
        """Write down what became of a turn; a failure is told in the log, and the reply goes out.

        The call was served and is charged, so refusing the reply would cost its client twice.
        """
        response, appended = turn.stored(self._shelf.retention), turn.appended()
        conversation = turn.conversation

        async def work(tx: AsyncConnection) -> None:
            if conversation is not None:
                user_id = turn.caller.user_id
                await conversations.append_turn(tx, user_id, conversation, appended)
            if response is not None:
                await responses.add(tx, response)

        try:
            await self._shelf.writer.put(work, conversation or "")
        except MeterwayError as error:
            _log.error("response.not_kept", response=turn.frame.id, error=error.message)


class Turn:
    """One response that is being made; the `Keep` of its delivery.

    `body` is the request as it goes on its way: with its history, and without what is ours, which
    is `state`. With `background` it is to be answered at once, and made later.
    """

    __slots__ = (
        "_kept",
        "_new",
        "_now",
        "_turns",
        "background",
        "body",
        "caller",
        "conversation",
        "frame",
        "previous",
        "state",
        "stores",
    )

    def __init__(  # noqa: PLR0913, PLR0917 - what is known of a turn when it begins
        self,
        turns: Turns,
        frame: Frame,
        body: RawObject,
        caller: Principal,
        parent: _Parent,
        new: Sequence[msgspec.Raw],
        now: float,
        state: RawObject,
        *,
        stores: bool,
    ) -> None:
        self.frame = frame
        self.state = state
        self.background = _wants_background(state)
        self.body = body
        self.caller = caller
        self.previous, self.conversation = parent
        self.stores = stores
        self._turns = turns
        self._new = new
        self._now = now
        self._kept = not (self.stores or self.conversation)

    @property
    def due(self) -> bool:
        """Whether the response is whole, and not kept yet."""
        return not self._kept and self.frame.final is not None

    async def keep(self) -> None:
        """Keep it."""
        self._kept = True
        await self._turns.keep(self)

    def stored(self, retention: Retention) -> StoredResponse | None:
        """Return what is kept of it, None where its client wants nothing kept."""
        frame = self.frame
        assert frame.final is not None, "the response is whole"
        if not self.stores:
            return None
        return self.row(retention, frame.status or "completed", frame.final, frame.output or b"[]")

    def row(
        self, retention: Retention, status: str, body: bytes, output: bytes = b"[]"
    ) -> StoredResponse:
        """Return the response as it is kept while it has a status."""
        frame = self.frame
        return StoredResponse(
            id=frame.id,
            user_id=self.caller.user_id,
            key_id=self.caller.key_id,
            created_at=self._now,
            previous_id=self.previous,
            conversation_id=self.conversation,
            status=status,
            background=self.background,
            model=json.decode_as(self.body["model"], str, "model"),
            input=json.encode(list(self._new)),
            body=body,
            output=output,
            expires_at=retention.end(self._now),
        )

    def appended(self) -> list[Item]:
        """Return what its conversation gains."""
        return gained(self._new, self.frame.output or b"[]")


def gained(new: Sequence[msgspec.Raw], output: bytes) -> list[Item]:
    """Return what a conversation gains by a turn: what was new of it, and what was said."""
    return [kept_items.made(item) for item in (*new, *output_items(output))]


def _parent(body: RawObject, caller: Principal) -> _Parent:
    """Return the response and the conversation a request goes on from."""
    previous = optional(body, "previous_response_id", str)
    conversation = conversation_id(body)
    if previous is not None and conversation is not None:
        raise InvalidRequestError(
            "Send `previous_response_id` or `conversation`, not both.", param="previous_response_id"
        )
    background = _wants_background(body)
    if not caller.keeps and (previous or conversation or background):
        named = "previous_response_id" if previous else "conversation"
        raise ZeroRetentionError("background" if background else named)
    if background and _says(body.get("store", _NULL), False):
        raise BackgroundNotStoredError
    return previous, conversation


def _wants_background(fields: RawObject) -> bool:
    return bool(optional(fields, "background", bool))


def _named(items: Sequence[msgspec.Raw]) -> list[msgspec.Raw]:
    """Return new items as they are kept, each with an id; references stay what they are."""
    return [
        item
        if reference_of(item)
        else msgspec.Raw(kept_items.read_one(item, f"input[{place}]").body)
        for place, item in enumerate(items)
    ]


def _resolved(items: Sequence[msgspec.Raw], history: Sequence[msgspec.Raw]) -> list[msgspec.Raw]:
    """Put the items of the history in the place of references to them."""
    found: dict[str, msgspec.Raw] = {}
    resolved = []
    for place, item in enumerate(items):
        id_ = reference_of(item)
        if id_ is None:
            resolved.append(item)
            continue
        found = found or {kept_items.made(one).id: one for one in history}
        if id_ not in found:
            raise ItemNotFoundError(id_, param=f"input[{place}].id")
        resolved.append(found[id_])
    return resolved


def _without_state(body: RawObject) -> RawObject:
    return {name: value for name, value in body.items() if name not in _OURS}


def _says(value: msgspec.Raw, what: bool) -> bool:  # noqa: FBT001 - the value looked for
    return bytes(value) == (b"true" if what else b"false")
