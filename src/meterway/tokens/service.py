"""Counts texts and request bodies for workers, remembering what was counted before."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from hashlib import blake2b
from itertools import accumulate
from types import ModuleType
from typing import Final, NamedTuple, Protocol, TypeVar

import msgspec
import structlog

from meterway.kit.errors import InvalidRequestError
from meterway.kit.tasks import Tasks
from meterway.protocols.dialects import Dialect
from meterway.tokens import anthropic_body, arithmetic, gemini_body, openai_body
from meterway.tokens.arithmetic import Tally
from meterway.tokens.drafts import Draft, Kind, Piece
from meterway.tokens.errors import CounterDownError
from meterway.tokens.families import Family, OpenAIFamily, family_of
from meterway.tokens.types import Count, Tokenizer, TokenSource, estimate

_log = structlog.get_logger()

_REMEMBERED: Final = 8192  # pieces
_LARGEST: Final = 8 * 1024 * 1024  # bytes of text counted for one call, the rest is estimated
_LOOP_BYTES: Final = 512 * 1024  # taken apart without leaving the event loop
_COUNTED: Final = (
    "messages", "system", "tools", "tool_choice", "thinking",
    "contents", "systemInstruction", "toolConfig",
)  # fmt: skip
T = TypeVar("T")
_BODIES: Mapping[Dialect, ModuleType] = {
    Dialect.ANTHROPIC_MESSAGES: anthropic_body,
    Dialect.OPENAI_CHAT: openai_body,
    Dialect.GEMINI: gemini_body,
}


class _Missing(NamedTuple):
    """A piece not counted yet, with the texts of it that go to the tokenizer."""

    draft: Draft
    texts: list[str]


class Counting(Protocol):
    """Whoever holds the tokenizers."""

    async def count(self, tokenizer: Tokenizer, texts: list[str]) -> list[int]:
        """Return the tokens of each text; raises `CounterDownError` where that can't be done."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


class TokenCounter:
    """Counts for one worker: bodies and pieces seen before from memory, others in one round trip.

    Pieces are remembered by a keyed digest of their bytes, never by their text. Where the counter
    is down, counts are estimates and labelled so; nothing estimated that way is remembered.
    """

    def __init__(
        self, counting: Counting, *, remembered: int = _REMEMBERED, largest: int = _LARGEST
    ) -> None:
        self._counting = counting
        self._remembered = remembered
        self._largest = largest
        self._known: OrderedDict[bytes, Tally] = OrderedDict()
        self._bodies: OrderedDict[bytes, Count] = OrderedDict()
        self._flying: dict[bytes, asyncio.Future[Tally]] = {}
        self._tasks = Tasks()

    async def count_messages(
        self, dialect: Dialect, model: str, body: Mapping[str, msgspec.Raw]
    ) -> Count:
        """Return the input tokens of a request body (its keys decoded, values raw).

        Raises `InvalidRequestError` naming the JSON path of a value that matters and can't be
        read. Fields that don't matter to the count are ignored.
        """
        family = family_of(model)
        whole = _body_key(body, _tag(f"{dialect}:body", family))
        if (known := self._bodies.get(whole)) is not None:
            self._bodies.move_to_end(whole)
            return known
        shape = _BODIES[dialect]
        reading = shape.read(body)
        tags = {kind: _tag(f"{dialect}:{kind}", family) for kind in Kind}
        keys = [_key(piece.raw, tags[piece.kind]) for piece in reading.pieces]
        pieces = dict(zip(keys, reading.pieces, strict=True))
        drafts: dict[bytes, _Missing] = {}
        while missing := {k: p for k, p in pieces.items() if k not in drafts and not self._has(k)}:
            drafts |= await _apart(shape.draft, missing, family)
        drafts = {key: draft for key, draft in drafts.items() if not self._has(key)}
        tallies = await self._tallies(keys, drafts, family)
        tokens, sure = arithmetic.total(reading, tallies, family)
        count = Count(tokens, TokenSource.EXACT if sure else TokenSource.ESTIMATE)
        if all(key in self._known for key in keys):
            _keep(self._bodies, whole, count, self._remembered)
        return count

    async def count_text(self, model: str, text: str) -> Count:
        """Return the tokens of bare text, without any frame around it."""
        family = family_of(model)
        raw = text.encode(errors="replace")
        key = _key(raw, _tag("text", family))
        text = raw.decode()
        drafts = {} if self._has(key) else {key: _Missing(Draft(texts=[text]), [text])}
        (tally,) = await self._tallies([key], drafts, family)
        scale = family.scale if isinstance(family, OpenAIFamily) else 100
        known = scale == 100 if isinstance(family, OpenAIFamily) else family.known  # noqa: PLR2004  per hundred
        source = TokenSource.EXACT if tally.sure and known else TokenSource.ESTIMATE
        return Count(-(-tally.tokens * scale // 100), source)

    async def close(self) -> None:
        """Stop and let go of the counter process."""
        await self._tasks.cancel()
        await self._counting.close()

    def _has(self, key: bytes) -> bool:
        return key in self._known or key in self._flying

    async def _tallies(
        self, keys: Sequence[bytes], drafts: Mapping[bytes, _Missing], family: Family
    ) -> list[Tally]:
        """Return the tally of each key; `drafts` holds those that nobody knows or asks for yet."""
        found = {key: self._known[key] for key in keys if key in self._known}
        for key in found:
            self._known.move_to_end(key)
        if drafts:
            loop = asyncio.get_running_loop()
            self._flying.update((key, loop.create_future()) for key in drafts)
            self._tasks.spawn(self._fetch(drafts, family), name="tokens.fetch")
        awaited = {key: self._flying[key] for key in keys if key not in found}
        if awaited:
            await asyncio.wait(awaited.values())
        return [found[key] if key in found else awaited[key].result() for key in keys]

    async def _fetch(self, drafts: Mapping[bytes, _Missing], family: Family) -> None:
        """Count what is missing in one round trip and tell everybody who waits for it.

        It runs apart from the call that began it, whose caller may leave while others wait.
        """
        waiting = {key: self._flying[key] for key in drafts}
        try:
            texts = [text for missing in drafts.values() for text in missing.texts]
            counts, sure = await self._count(family.tokenizer, texts)
            at = 0
            for key, (draft, own) in drafts.items():
                end = at + len(own)
                draft.sure = draft.sure and all(sure[at:end])
                tally = arithmetic.tally(draft, counts[at:end], family)
                if all(sure[at:end]):
                    _keep(self._known, key, tally, self._remembered)
                waiting[key].set_result(tally)
                at = end
        except Exception as error:  # noqa: BLE001  whatever failed, all who wait must hear of it
            _log.exception("counting.failed")
            for future in waiting.values():
                if not future.done():
                    future.set_exception(error)
        finally:
            for key, future in waiting.items():
                del self._flying[key]
                future.cancel()

    async def _count(self, tokenizer: Tokenizer, texts: list[str]) -> tuple[list[int], list[bool]]:
        """Return tokens of each text and whether they were counted rather than estimated."""
        sizes = [len(text.encode()) for text in texts]
        counts = [estimate(size) for size in sizes]
        sure = [size <= self._largest for size in accumulate(sizes)]
        asked = [at for at, is_sure in enumerate(sure) if is_sure]
        if not asked:
            return counts, sure
        try:
            answers = await self._counting.count(tokenizer, [texts[at] for at in asked])
        except CounterDownError as error:
            _log.warning("counter.down", reason=str(error.__cause__))
            return counts, [False] * len(texts)
        for at, answer in zip(asked, answers, strict=True):
            counts[at] = answer
        return counts, sure


async def _apart(
    take: Callable[[Piece], Draft], pieces: Mapping[bytes, Piece], family: Family
) -> dict[bytes, _Missing]:
    """Take pieces apart, in a thread where they are large enough to hold up the event loop."""

    def work() -> dict[bytes, _Missing]:
        return {key: _missing(take, piece, family) for key, piece in pieces.items()}

    if sum(memoryview(piece.raw).nbytes for piece in pieces.values()) > _LOOP_BYTES:
        return await asyncio.to_thread(work)
    return work()


def _missing(take: Callable[[Piece], Draft], piece: Piece, family: Family) -> _Missing:
    try:
        draft = take(piece)
        return _Missing(draft, arithmetic.texts(draft, family))
    except RecursionError:
        message = f"'{piece.path}' is nested too deeply."
        raise InvalidRequestError(message, param=piece.path) from None


def _keep(memory: OrderedDict[bytes, T], key: bytes, value: T, limit: int) -> None:
    memory[key] = value
    while len(memory) > limit:
        memory.popitem(last=False)


def _body_key(body: Mapping[str, msgspec.Raw], tag: bytes) -> bytes:
    digest = blake2b(digest_size=16, key=tag)
    for name in _COUNTED:
        if (raw := body.get(name)) is not None:
            digest.update(f"{name} {memoryview(raw).nbytes}:".encode())
            digest.update(raw)
    return digest.digest()


def _key(raw: bytes | msgspec.Raw, tag: bytes) -> bytes:
    return blake2b(raw, digest_size=16, key=tag).digest()


@lru_cache(maxsize=1024)
def _tag(purpose: str, family: Family) -> bytes:
    return blake2b(f"{purpose}:{family!r}".encode(), digest_size=16).digest()
