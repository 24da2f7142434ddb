"""Replies as plain text, for the dialects that know nothing else.

Reasoning is hidden; a refusal is told as the text it is. A part that is no text is an error: nobody
who speaks such a dialect can have asked for it.
"""

import re
from collections.abc import Iterable
from typing import Final, TypeAlias, assert_never

from meterway.protocols.chat import neutral
from meterway.protocols.chat.wording import words_of
from meterway.protocols.errors import BadReplyError

PartEvent: TypeAlias = (
    neutral.TextDelta
    | neutral.RefusalDelta
    | neutral.ThinkingDelta
    | neutral.ThinkingSigned
    | neutral.ThinkingRedacted
    | neutral.ToolCallOpened
    | neutral.ToolCallDelta
)
_PREFIX: Final = re.compile(r"[a-z]+[-_](?=.)")


def text_of(parts: Iterable[neutral.AssistantPart]) -> str:
    """Return what `parts` say visibly. Raises `BadReplyError` where one is no text."""
    texts: list[str] = []
    for part in parts:
        match part:
            case neutral.Text(text=text):
                texts.append(words_of(text))
            case neutral.Refusal(text=text):
                texts.append(text)
            case neutral.Thinking() | neutral.RedactedThinking():
                pass
            case (
                neutral.ToolCall()
                | neutral.Image()
                | neutral.Document()
                | neutral.Audio()
                | neutral.Foreign()
            ):
                raise _no_text(type(part).__name__)
            case _:
                assert_never(part)
    return "".join(texts)


def more_text(event: PartEvent) -> str:
    """Return what `event` adds to the visible text. Raises `BadReplyError` where it is no text."""
    match event:
        case neutral.TextDelta(text=text) | neutral.RefusalDelta(text=text):
            return text
        case neutral.ThinkingDelta() | neutral.ThinkingSigned() | neutral.ThinkingRedacted():
            return ""
        case neutral.ToolCallOpened() | neutral.ToolCallDelta():
            raise _no_text("ToolCall")
        case _:
            assert_never(event)


def _no_text(kind: str) -> BadReplyError:
    return BadReplyError(f"The upstream's reply holds what no plain text can say ({kind.lower()}).")


def id_with(prefix: str, id_: str) -> str:
    """Return a reply's id under the `prefix` of another dialect, in place of its own."""
    return prefix + (_PREFIX.sub("", id_, count=1) if id_ else "unnamed")
