"""The prompt of a text completion: which forms of it a chat model can be given, and how.

One request is one exchange with one upstream, so it has one prompt. A `suffix` is what fill-in
models continue towards; a chat model is asked for the text between in words.
"""

from typing import Any, Final

import msgspec

from meterway.kit.json import RawObject
from meterway.protocols.chat import neutral
from meterway.protocols.chat.openai_family import decode_at, optional, refused, required
from meterway.protocols.chat.wording import Wording, unread, words_of

_NULL: Final = msgspec.Raw(b"null")
_Prompt: Any = str | list[str | int | list[int]]
_FILL_IN: Final = (
    "The user's message holds two parts of one text, in <before> and <after> tags. Write what "
    "stands between them, so that the three together read as one. Answer with that text alone, "
    "without tags and without repeating either part."
)


def prompt_of(body: RawObject) -> Wording:
    """Return the prompt, unread where it may be.

    Raises `InvalidRequestError` where it is missing or empty, where there are several, and where
    it is given as tokens.
    """
    raw = body.get("prompt", _NULL)
    if raw == _NULL:
        raise required("prompt")
    prompt = unread(raw)
    if prompt is None:
        prompt = _only(decode_at(raw, _Prompt, "prompt"))
    if not prompt:
        raise refused("prompt", "it is empty; send the text to be completed.")
    return prompt


def _only(prompts: list[str | int | list[int]]) -> str:
    """Return the prompt of an array."""
    if any(not isinstance(prompt, str) for prompt in prompts):
        problem = "tokens mean a text to one tokenizer alone; send the text itself."
        raise refused("prompt", problem)
    if len(prompts) > 1:
        problem = f"one prompt a request can be served, not {len(prompts)}; send one request each."
        raise refused("prompt", problem)
    return "".join(map(str, prompts))


def echo_of(body: RawObject) -> str:
    """Return what each choice is to begin with: the prompt where `echo` is set."""
    return words_of(prompt_of(body)) if optional(body, "echo", bool) else ""


def turns_of(body: RawObject) -> tuple[tuple[neutral.Text, ...], tuple[neutral.Message, ...]]:
    """Return the system prompt and the messages that ask a chat model for the completion."""
    prompt, suffix = prompt_of(body), optional(body, "suffix", str)
    system: tuple[neutral.Text, ...] = ()
    if suffix:
        prompt = f"<before>{words_of(prompt)}</before>\n<after>{suffix}</after>"
        system = (neutral.Text(text=_FILL_IN, path="suffix"),)
    text = neutral.Text(text=prompt, path="prompt")
    return system, (neutral.Message(role=neutral.Role.USER, parts=(text,), path="prompt"),)
