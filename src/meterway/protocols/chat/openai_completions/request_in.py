"""A client's text completion request, read into the neutral form.

Follows https://platform.openai.com/docs/api-reference/completions/create. Read beyond it: `top_k`
(vLLM). Fields without a word in the neutral form stand in `Request.extra`.
"""

from typing import Annotated, Any, Final

import msgspec

from meterway.kit.errors import InvalidRequestError
from meterway.kit.json import RawObject
from meterway.protocols.chat import neutral
from meterway.protocols.chat.codec import Facts
from meterway.protocols.chat.openai_completions.prompts import turns_of
from meterway.protocols.chat.openai_family import decode_at, optional, refused

USUAL_TOKENS: Final = 16
_NULL: Final = msgspec.Raw(b"null")
_Positive = Annotated[int, msgspec.Meta(ge=1)]
_Count = Annotated[int, msgspec.Meta(ge=0)]
_Stop: Any = str | list[str]
_KNOBS: dict[str, Any] = {
    "temperature": float,
    "top_p": float,
    "top_k": int,
    "seed": int,
    "presence_penalty": float,
    "frequency_penalty": float,
}
_KNOWN = frozenset(_KNOBS) | {
    "model",
    "prompt",
    "suffix",
    "echo",
    "max_tokens",
    "n",
    "best_of",
    "logprobs",
    "logit_bias",
    "stop",
    "user",
    "stream",
    "stream_options",
}


class _StreamOptions(msgspec.Struct):
    """What a stream should carry besides its content."""

    include_usage: bool | None = None


def read_facts(body: RawObject) -> Facts:
    """Return the facts of a request. Raises `InvalidRequestError`."""
    model = decode_at(body["model"], str, "model") if "model" in body else ""
    if not model:
        raise InvalidRequestError("you must provide a model parameter", param="model")
    stream = optional(body, "stream", bool) is True
    return Facts(
        model=model,
        stream=stream,
        include_usage=stream and _asks_for_usage(body),
        max_tokens=_max_tokens(body),
        choices=_choices(body) or 1,
    )


def decode_request(body: RawObject) -> neutral.Request:
    """Read a whole request. Raises `InvalidRequestError` naming the field at fault."""
    facts = read_facts(body)
    system, messages = turns_of(body)
    return neutral.Request(
        model=facts.model,
        messages=messages,
        system=system,
        sampling=_sampling(body),
        user=optional(body, "user", str),
        stream=facts.stream,
        include_usage=facts.include_usage,
        extra={key: raw for key, raw in body.items() if key not in _KNOWN and raw != _NULL},
    )


def _asks_for_usage(body: RawObject) -> bool:
    options = optional(body, "stream_options", _StreamOptions)
    return options is not None and options.include_usage is True


def _max_tokens(body: RawObject) -> int:
    """Return the limit; 0 would score the prompt alone, which no chat model can."""
    limit = optional(body, "max_tokens", int)
    if limit is None:
        return USUAL_TOKENS
    if limit < 1:
        raise refused("max_tokens", f"it is {limit}; chat models write at least 1 token.")
    return limit


def _choices(body: RawObject) -> int | None:
    """Return how many choices are wanted, which is how many are made."""
    wanted, made = optional(body, "n", _Positive), optional(body, "best_of", _Count)
    if made and made < (wanted or 1):
        raise refused("best_of", f"it is {made}, and must not be less than n, {wanted}.")
    if made and made > (wanted or 1):
        problem = f"the best of {made} is not chosen here; send n={made} and choose yourself."
        raise refused("best_of", problem)
    return wanted


def _sampling(body: RawObject) -> neutral.Sampling:
    logprobs = optional(body, "logprobs", _Count)
    return neutral.Sampling(
        max_tokens=_max_tokens(body),
        stop=_stop(body),
        logprobs=None if logprobs is None else True,
        top_logprobs=logprobs or None,
        logit_bias=_logit_bias(body),
        n=_choices(body),
        **{key: optional(body, key, _KNOBS[key]) for key in body if key in _KNOBS},
    )


def _stop(body: RawObject) -> tuple[str, ...]:
    stop: str | list[str] | None = optional(body, "stop", _Stop)
    if stop is None:
        return ()
    return (stop,) if isinstance(stop, str) else tuple(stop)


def _logit_bias(body: RawObject) -> msgspec.Raw | None:
    is_given = optional(body, "logit_bias", RawObject) is not None
    return body["logit_bias"] if is_given else None
