r"""The prompt of a text completion, read as the turns of a chat.

Follows https://platform.claude.com/docs/en/build-with-claude/working-with-messages and the vendor's
own words for what it refuses. A turn begins with a blank line and `Human:` or `Assistant:`; the
blank line may be missing where the prompt begins. White space around a turn is no part of it, and
empty turns are left out. Text after the last `Assistant:` is what the reply is to go on from.
"""

import re
from typing import Final

from meterway.kit.errors import InvalidRequestError
from meterway.protocols.chat import neutral
from meterway.protocols.chat.neutral import Role

HUMAN: Final = "\n\nHuman:"
ASSISTANT: Final = "\n\nAssistant:"
_MARKER: Final = re.compile(r"(?:\n\n|\r\n\r\n)(Human|Assistant):")
_ROLES: Final = {"Human": Role.USER, "Assistant": Role.ASSISTANT}
_BAD_START: Final = f'prompt must start with "{HUMAN}" turn after an optional system prompt'
_BAD_END: Final = f'prompt must end with "{ASSISTANT}" turn'


def turns_of(prompt: str) -> tuple[tuple[neutral.Text, ...], tuple[neutral.Message, ...]]:
    """Return a prompt's system prompt and its turns. Raises `InvalidRequestError`."""
    if prompt.lstrip().startswith(HUMAN.lstrip()):
        prompt = "\n\n" + prompt.lstrip()
    before, *rest = _MARKER.split(prompt)
    speakers, texts = rest[::2], [text.strip() for text in rest[1::2]]
    if not speakers or speakers[0] != "Human":
        raise InvalidRequestError(_BAD_START, param="prompt")
    if speakers[-1] != "Assistant":
        raise InvalidRequestError(_BAD_END, param="prompt")
    if not any(text for who, text in zip(speakers, texts, strict=True) if who == "Human"):
        message = f'prompt: at least one "{HUMAN}" turn must have text'
        raise InvalidRequestError(message, param="prompt")
    system = before.strip()
    return (
        (neutral.Text(text=system, path="prompt"),) if system else (),
        tuple(_turn(who, text) for who, text in zip(speakers, texts, strict=True) if text),
    )


def _turn(who: str, text: str) -> neutral.Message:
    part = neutral.Text(text=text, path="prompt")
    return neutral.Message(role=_ROLES[who], parts=(part,), path="prompt")
