"""One turn of the Responses API: its history is put in front, and what became of it is kept.

Follows https://platform.openai.com/docs/api-reference/responses/create and
https://platform.openai.com/docs/guides/conversation-state.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final, TypeAlias

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
    COMPACTION,
    Frame,
    conversation_id,
    frame_of,
    input_items,
    opened,
    output_items,
    reference_of,
    unread_items,
    with_items,
)
from meterway.threads import items as kept_items
from meterway.threads.conversations import service as conversations
from meterway.threads.errors import (
    ItemNotFoundError,
    PreviousResponseNotFoundError,
    ZeroRetentionError,
)
from meterway.threads.responses import service as responses
from meterway.threads.types import Item, Retention, StoredResponse

_log = structlog.get_logger()
_OURS = frozenset({"previous_response_id", "conversation", "background"})
_Parent: TypeAlias = tuple[str | None, str | None]
"""The response and the conversation a turn goes on from. With both it goes on from the response,
and is appended to the conversation."""

Said: TypeAlias = tuple[bytes, ...]
"""What was said up to a response, it included: JSON arrays of items, one after the other."""

Lately: TypeAlias = Callable[[str], Said | None]
"""What was said up to a response that was not stored, where somebody remembers it."""

_NO_PARENT: _Parent = (None, None)
_COMPACTED = b'"%b"' % COMPACTION.encode()
_NULL = msgspec.Raw(b"null")
_NOTHING: Final = b"[]"


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

    async def begin(
        self, body: RawObject, caller: Principal, lately: Lately | None = None
    ) -> "Turn":
        """Return the turn that `body` asks for, with all that was said before in its input.

        With `lately` it may go on from what nobody stored, and tells what was said by `said`.
        Raises `InvalidRequestError`, and what `threads.errors` says of what the request goes on
        from.
        """
        parent, now = _parent(body), self._shelf.clock.now()
        frame = frame_of(body, responses.new_id(now), int(now))
        stores = caller.keeps and not _says(frame.echo["store"], False)
        if _wants_background(body):
            _may_wait(body, caller, lately)
        state = {name: body[name] for name in _OURS if name in body}
        asked, new, before = _without_state(body), list[msgspec.Raw](), Said()
        if stores or parent != _NO_PARENT or lately is not None:
            new, referred = _read(unread_items(body))
            parent, before = await self._before(caller, parent, lately)
            if referred:
                new = _resolved(new, referred, before)
        if before:  # else it goes on as it came
            said = kept_items.chained([*before, json.encode(new)])
            if said != _NOTHING or "input" in body:
                asked["input"] = msgspec.Raw(said)
        if _COMPACTED in bytes(asked.get("input", b"")):
            asked = with_items(asked, opened(input_items(asked)))
        turn = Turn(self, frame, asked, caller, parent, new, now, state, stores=stores)
        if lately is not None:
            turn.before = before
        return turn

    async def _before(
        self, caller: Principal, parent: _Parent, lately: Lately | None
    ) -> tuple[_Parent, Said]:
        """Return what was said before, and the parent without what is only remembered."""
        if parent == _NO_PARENT:
            return parent, ()
        previous, _ = parent
        if lately is not None and previous and (said := lately(previous)) is not None:
            return _NO_PARENT, said
        if not caller.keeps and lately is not None and previous:
            raise PreviousResponseNotFoundError(previous)
        if not caller.keeps:
            raise ZeroRetentionError("previous_response_id" if previous else "conversation")
        return parent, (await self._shelf.door.unbroken(self._history(caller.user_id, parent)),)

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
        writer, response = self._shelf.writer, turn.stored(self._shelf.retention)
        try:
            if turn.conversation is not None:
                work = partial(_append, turn, turn.appended(), response)
                await writer.put(work, turn.conversation)
            elif response is not None:
                await writer.add(responses.INTO, responses.row_of(response))
        except MeterwayError as error:
            _log.error("response.not_kept", response=turn.frame.id, error=error.message)


async def _append(
    turn: "Turn", items: Sequence[Item], response: StoredResponse | None, tx: AsyncConnection
) -> None:
    """Append a turn to its conversation, and keep its response."""
    assert turn.conversation is not None, "it belongs to one"
    await conversations.append_turn(tx, turn.caller.user_id, turn.conversation, items)
    if response is not None:
        await responses.add(tx, response)


class Turn:
    """One response that is being made; the `Keep` of its delivery.

    `body` is the request as it goes on its way: with its history, and without what is ours, which
    is `state`. With `background` it is to be answered at once, and made later. `before` is its
    history where that is to be remembered, too.
    """

    __slots__ = (
        "_kept",
        "_new",
        "_now",
        "_turns",
        "background",
        "before",
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
        self.before: Said = ()
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

    def said(self) -> Said | None:
        """Return all that was said up to it, once it is whole and nothing went wrong."""
        if self.frame.output is None or self.frame.status == "failed":
            return None
        return (*self.before, json.encode(self._new), self.frame.output)

    def _own_input(self) -> bytes:
        """Return the new items; with those before, where these are stored nowhere."""
        new = json.encode(self._new)
        if self.previous or self.conversation or not self.before:
            return new
        return kept_items.chained([*self.before, new])

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
            model=frame.model,
            input=self._own_input(),
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


def _may_wait(body: RawObject, caller: Principal, lately: Lately | None) -> None:
    """Refuse to make in the background what cannot be asked for later."""
    if lately is not None:
        raise InvalidRequestError(
            "A socket answers while its client waits; send `background` by POST.",
            param="background",
        )
    if not caller.keeps:
        raise ZeroRetentionError("background")
    if _says(body.get("store", _NULL), False):
        raise BackgroundNotStoredError


def _parent(body: RawObject) -> _Parent:
    """Return the response and the conversation a request goes on from."""
    previous = optional(body, "previous_response_id", str)
    conversation = conversation_id(body)
    return previous, conversation


def _wants_background(fields: RawObject) -> bool:
    return bool(optional(fields, "background", bool))


def _read(items: Sequence[msgspec.Raw]) -> tuple[list[msgspec.Raw], dict[int, str]]:
    """Return new items as they are kept, each with an id, and the ids that references stand for.

    References stay what they are; their ids come by the places they have.
    """
    new, referred = list[msgspec.Raw](), dict[int, str]()
    for place, item in enumerate(items):
        body = kept_items.new_message(item)
        if body is None:
            path = f"input[{place}]"
            id_ = reference_of(item, path)
            if id_ is not None:
                referred[place] = id_
                new.append(item)
                continue
            body = kept_items.read_one(item, path).body
        new.append(msgspec.Raw(body))
    return new, referred


def _resolved(
    items: Sequence[msgspec.Raw], referred: Mapping[int, str], before: Said
) -> list[msgspec.Raw]:
    """Put the items of what was said before in the place of references to them."""
    history = (kept_items.made(item) for said in before for item in output_items(said))
    found = {item.id: msgspec.Raw(item.body) for item in history}
    for place, id_ in referred.items():
        if id_ not in found:
            raise ItemNotFoundError(id_, param=f"input[{place}].id")
    return [found[referred[i]] if i in referred else item for i, item in enumerate(items)]


def _without_state(body: RawObject) -> RawObject:
    return {name: value for name, value in body.items() if name not in _OURS}


def _says(value: msgspec.Raw, what: bool) -> bool:  # noqa: FBT001 - the value looked for
    return bytes(value) == (b"true" if what else b"false")
