"""Log probabilities: Google's `logprobsResult` and OpenAI's object, which the neutral form holds.

Source: https://ai.google.dev/api/generate-content#LogprobsResult
"""

from typing import Any

import msgspec

from meterway.kit import json
from meterway.protocols.chat.gemini import wire


class _Token(msgspec.Struct, rename="camel"):
    token: str = ""
    log_probability: float = 0.0


class _Top(msgspec.Struct):
    candidates: list[_Token] = []


class _Result(msgspec.Struct, rename="camel"):
    chosen_candidates: list[_Token] = []
    top_candidates: list[_Top] = []


class _Alternative(msgspec.Struct):
    token: str
    logprob: float


class _Chosen(_Alternative):
    top_logprobs: list[_Alternative] | None = None


class _Object(msgspec.Struct):
    content: list[_Chosen] | None = None


def decode_logprobs(raw: msgspec.Raw) -> msgspec.Raw | None:
    """Return OpenAI's object. Raises `msgspec.DecodeError` for what is no such result."""
    if not wire.given(raw):
        return None
    result = msgspec.json.decode(raw, type=_Result)
    tops = [top.candidates for top in result.top_candidates]
    tops += [[]] * (len(result.chosen_candidates) - len(tops))
    pairs = zip(result.chosen_candidates, tops, strict=False)
    content = [{**_told(chosen), "top_logprobs": list(map(_told, top))} for chosen, top in pairs]
    return json.raw({"content": content, "refusal": None})


def _told(token: _Token) -> dict[str, Any]:
    return {
        "token": token.token,
        "logprob": token.log_probability,
        "bytes": list(token.token.encode()),
    }


def encode_logprobs(logprobs: msgspec.Raw) -> dict[str, Any] | None:
    """Return Google's result, None where OpenAI's object says nothing a client could read."""
    try:
        content = msgspec.json.decode(logprobs, type=_Object | None)
    except wire.UNREADABLE:
        return None
    if content is None or not content.content:
        return None
    tops = [[_token(top) for top in chosen.top_logprobs or ()] for chosen in content.content]
    result: dict[str, Any] = {"chosenCandidates": [_token(chosen) for chosen in content.content]}
    if any(tops):
        result["topCandidates"] = [{"candidates": top} for top in tops]
    return result


def _token(one: _Alternative) -> dict[str, Any]:
    return {"token": one.token, "logProbability": one.logprob}
