"""Holds a script to the request's limits and counts it with the real counter."""

import msgspec

from meterway.upstreams.sandbox.types import Ask, Counter, Script, Stop


def stopped(script: Script, ask: Ask) -> Script:
    """Cut the text where the first of the request's stop sequences begins."""
    places = [(at, stop) for stop in ask.stops if (at := script.text.find(stop)) >= 0]
    if not places:
        return script
    at, stop = min(places)
    return msgspec.structs.replace(script, text=script.text[:at], stop=Stop.SEQUENCE, sequence=stop)


async def counted(script: Script, ask: Ask, counter: Counter) -> tuple[Script, int, int]:
    """Cut the script to the request's `max_tokens`; return it with its output and thinking tokens.

    Thinking counts first, as vendors do; a tool call is all or nothing.
    """
    limit = ask.max_tokens
    thinking, thought = await _fitting(counter, ask.model, script.thinking, limit)
    if len(thinking) < len(script.thinking):
        cut = msgspec.structs.replace(
            script, thinking=thinking, text="", refusal="", calls=(), stop=Stop.LENGTH
        )
        return cut, thought, thought
    left = None if limit is None else limit - thought
    calls = sum(
        [
            (await counter.count_text(ask.model, call.name + call.arguments)).tokens
            for call in script.calls
        ]
    )
    if left is not None and calls > left:
        return msgspec.structs.replace(script, calls=(), stop=Stop.LENGTH), limit or 0, thought
    said = script.text or script.refusal
    text, spoken = await _fitting(counter, ask.model, said, left)
    if len(text) < len(said):
        name = "text" if script.text else "refusal"
        script = msgspec.structs.replace(script, **{name: text}, stop=Stop.LENGTH, sequence=None)
    return script, thought + calls + spoken, thought


async def _fitting(counter: Counter, model: str, text: str, limit: int | None) -> tuple[str, int]:
    """Return the longest beginning of `text` of at most `limit` tokens, and its tokens."""
    if not text:
        return "", 0
    tokens = (await counter.count_text(model, text)).tokens
    if limit is None or tokens <= limit:
        return text, tokens
    fits, over, kept = 0, len(text), 0
    while over - fits > 1:
        middle = (fits + over) // 2
        tokens = (await counter.count_text(model, text[:middle])).tokens
        if tokens <= limit:
            fits, kept = middle, tokens
        else:
            over = middle
    return text[:fits], kept
