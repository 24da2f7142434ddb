"""Log probabilities as text completions tell them: lists side by side, one item a token.

Chats tell a list of tokens, each with its alternatives. Source:
https://platform.openai.com/docs/api-reference/completions/object
"""

from typing import Any

import msgspec

from meterway.protocols.errors import BadReplyError


class _Alternative(msgspec.Struct):
    token: str
    logprob: float


class _Token(msgspec.Struct):
    token: str
    logprob: float
    top_logprobs: list[_Alternative] | None = None


class _Logprobs(msgspec.Struct):
    content: list[_Token] | None = None


_decode = msgspec.json.Decoder(_Logprobs | None).decode


def encode_logprobs(raw: msgspec.Raw | None, offset: int) -> dict[str, Any] | None:
    """Write a chat's log probabilities; `offset` is where in the choice's text they begin.

    An alternative list always has the token itself too. `text_offset` counts characters. Raises
    `BadReplyError` where `raw` is not OpenAI's object.
    """
    if raw is None:
        return None
    try:
        found = _decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        message = f"The upstream's log probabilities are not OpenAI's: {error}."
        raise BadReplyError(message) from None
    if found is None or found.content is None:
        return None
    offsets: list[int] = []
    for token in found.content:
        offsets.append(offset)
        offset += len(token.token)
    return {
        "tokens": [token.token for token in found.content],
        "token_logprobs": [token.logprob for token in found.content],
        "top_logprobs": [_alternatives(token) for token in found.content],
        "text_offset": offsets,
    }


def _alternatives(token: _Token) -> dict[str, float]:
    told = {one.token: one.logprob for one in token.top_logprobs or ()}
    return told if token.token in told else {**told, token.token: token.logprob}
