"""What the counter process and its clients say to each other over a Unix socket."""

import asyncio
import struct
from typing import Final

import msgspec

from meterway.tokens.types import Tokenizer

_HEAD = struct.Struct(">I")
_LARGEST: Final = 64 * 1024 * 1024  # bytes of one frame


class Question(msgspec.Struct, frozen=True, array_like=True):
    """Texts to be counted; `id` is the client's and comes back with the answer."""

    id: int
    tokenizer: Tokenizer
    texts: list[str]


class Answer(msgspec.Struct, frozen=True, array_like=True):
    """The tokens of each text of the question with that `id`."""

    id: int
    counts: list[int]


_encode = msgspec.msgpack.Encoder().encode
read_question = msgspec.msgpack.Decoder(Question).decode
read_answer = msgspec.msgpack.Decoder(Answer).decode


def frame(message: Question | Answer) -> bytes:
    """Return a message as it travels: its length in four bytes, then msgpack."""
    body = _encode(message)
    return _HEAD.pack(len(body)) + body


async def read_frame(reader: asyncio.StreamReader) -> bytes:
    """Return the next message's msgpack.

    Raises `asyncio.IncompleteReadError` at the end of the stream and `ValueError` where the
    length is beyond any message of ours.
    """
    (size,) = _HEAD.unpack(await reader.readexactly(_HEAD.size))
    if size > _LARGEST:
        raise ValueError(f"A frame of {size} bytes is over the limit of {_LARGEST}.")
    return await reader.readexactly(size)
