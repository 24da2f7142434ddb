"""What the sandbox does, chosen by the model's name.

`sandbox/<behaviour>` always behaves so; every other name answers as a plain model would: by a tool
call where one is forced or the user's text names a tool on offer, by JSON where a schema asks for
it, and else by an echo. Text begins with "[sandbox]". A tool whose name is an ordinary word is
named by "use Bash", "the Bash tool" or `Bash {"command": "ls"}`, so that "Write a poem" calls none.
A JSON object after the name sets the call's arguments; otherwise they are the smallest that fit
the tool's schema. A turn of tool results is answered with their content.
"""

import json
import re
from collections.abc import Callable, Mapping

from meterway.upstreams.sandbox.schema import BadSchemaError, instance
from meterway.upstreams.sandbox.types import (
    Ask,
    Break,
    Call,
    Fault,
    SandboxError,
    Script,
    Stop,
    Tool,
    bad_request,
)

PREFIX = "sandbox/"
HANG = "sandbox/hang"
BAD_JSON = "sandbox/bad-json"

_MARK = "[sandbox]"
_ORDINARY = re.compile(r"[A-Za-z][a-z]*")
_WORDS = 512  # of a long answer, where the user's text has no number
_MOST_WORDS = 100_000
_MOST_CALLS = 8
_SEARCHED = 10_000  # characters of the user's text in which tools are named
_PAUSE = 0.2
_THOUGHT = "The user wants an answer. The sandbox repeats what was said."
_DECLINED = "[sandbox] I can't help with that."


def script(ask: Ask) -> Script:
    """Return what to say to `ask`. Raises `SandboxError` where the answer is an error."""
    if not ask.model.startswith(PREFIX):
        return _plain(ask)
    behaviour = BEHAVIOURS.get(ask.model.removeprefix(PREFIX))
    if behaviour is None:
        raise SandboxError(
            Fault(
                status=404,
                kind="invalid_request_error",
                anthropic="not_found_error",
                code="model_not_found",
                message=f"The model `{ask.model}` does not exist.",
            )
        )
    return behaviour(ask)


def _plain(ask: Ask) -> Script:
    thinking = _THOUGHT if ask.thinks else ""
    if ask.results is None and (tools := _wanted(ask)):
        calls = tuple(_call(tool, ask) for tool in tools[:1])
        return Script(calls=calls, stop=Stop.TOOLS, thinking=thinking)
    return Script(text=_json(ask) if ask.json else _echo(ask), thinking=thinking)


def _wanted(ask: Ask) -> list[Tool]:
    """Return the tools the request demands or the text names, in the order they are named."""
    if ask.chosen:
        return [tool for tool in ask.tools if tool.name == ask.chosen]
    places = {tool.name: _named_at(tool.name, ask.text) for tool in ask.tools}
    named = [tool for tool in ask.tools if places[tool.name] is not None]
    named.sort(key=lambda tool: places[tool.name] or 0)
    return named or (list(ask.tools) if ask.forced else [])


def _named_at(name: str, text: str) -> int | None:
    exact = rf"(?<!\w){re.escape(name)}(?!\w)"
    if _ORDINARY.fullmatch(name):
        exact = (
            rf"(?i:\b(?:use|run|call|invoke)\s+(?:the\s+)?)`?{exact}|{exact}(?=`?\s*(?:tool\b|\{{))"
        )
    found = re.compile(exact).search(text, 0, _SEARCHED)
    return found.start() if found else None


def _call(tool: Tool, ask: Ask) -> Call:
    given = _given_arguments(tool.name, ask.text)
    if given is not None:
        return Call(tool.name, given, tool.custom)
    if tool.custom:
        return Call(tool.name, _echo(ask), custom=True)
    made = instance_of(tool.schema)
    arguments = made if isinstance(made, dict) else {}
    return Call(tool.name, json.dumps(arguments, ensure_ascii=False))


def _given_arguments(name: str, text: str) -> str | None:
    """Return the JSON object that follows the tool's name in the text, as it stands there."""
    named = re.compile(rf"(?<!\w){re.escape(name)}\W{{0,3}}(?=\{{)")
    found = named.search(text, 0, _SEARCHED)
    if found is None:
        return None
    try:
        _, end = json.JSONDecoder().raw_decode(text, found.end())
    except (ValueError, RecursionError):
        return None
    return text[found.end() : end]


def instance_of(schema: object) -> object:
    """Return a value for a schema of the request. Raises `SandboxError` where it is no schema."""
    try:
        return instance(schema if schema is not None else {"type": "object"})
    except BadSchemaError as error:
        raise bad_request(str(error)) from error


def _echo(ask: Ask) -> str:
    said = "\n".join(ask.results) if ask.results is not None else ask.text
    counts = {kind: ask.attachments.count(kind) for kind in dict.fromkeys(ask.attachments)}
    seen = ", ".join(f"{count} {kind}" for kind, count in counts.items())
    return " ".join(part for part in (_MARK, said, f"({seen})" if seen else "") if part)


def _json(ask: Ask) -> str:
    value = {"sandbox": _echo(ask)} if ask.schema is None else instance_of(ask.schema)
    return json.dumps(value, ensure_ascii=False)


def _tool_calls(ask: Ask) -> Script:
    tools = _wanted(ask) or list(ask.tools)
    if ask.results is not None or not tools:
        return Script(text=_echo(ask))
    if not ask.parallel:
        tools = tools[:1]
    elif len(tools) == 1:
        tools *= 2
    calls = tuple(_call(tool, ask) for tool in tools[:_MOST_CALLS])
    return Script(calls=calls, stop=Stop.TOOLS)


def _tool_call(ask: Ask) -> Script:
    tools = _wanted(ask) or list(ask.tools)
    if ask.results is not None or not tools:
        return Script(text=_echo(ask))
    return Script(calls=(_call(tools[0], ask),), stop=Stop.TOOLS)


def _long(ask: Ask) -> Script:
    asked = re.search(r"\d{1,6}", ask.text)
    words = min(int(asked[0]) if asked else _WORDS, _MOST_WORDS)
    return Script(text=_MARK + " word" * words)


def _failing(status: int, kind: str, anthropic: str, message: str) -> Callable[[Ask], Script]:
    retry_after = 1 if status == 429 else None  # noqa: PLR2004 - Too Many Requests
    fault = Fault(
        status=status,
        kind=kind,
        anthropic=anthropic,
        message=f"{_MARK} {message}",
        code="invalid_api_key" if anthropic == "authentication_error" else None,
        retry_after=retry_after,
    )

    def fail(_: Ask) -> Script:
        raise SandboxError(fault)

    return fail


BEHAVIOURS: Mapping[str, Callable[[Ask], Script]] = {
    "echo": lambda ask: Script(text=_echo(ask)),
    "tool-call": _tool_call,
    "tool-calls": _tool_calls,
    "json": lambda ask: Script(text=_json(ask)),
    "reasoning": lambda ask: Script(text=_echo(ask), thinking=_THOUGHT),
    "long": _long,
    "slow": lambda ask: Script(text=_echo(ask), pause=_PAUSE),
    "overloaded": _failing(
        529, "service_unavailable_error", "overloaded_error", "The server is overloaded."
    ),
    "rate-limited": _failing(
        429, "rate_limit_error", "rate_limit_error", "Rate limit reached; try again later."
    ),
    "unauthorized": _failing(
        401, "invalid_request_error", "authentication_error", "Incorrect API key provided."
    ),
    "cut-off": lambda ask: Script(text=_echo(ask), breaks=Break.CUT),
    "error-mid-stream": lambda ask: Script(text=_echo(ask), breaks=Break.ERROR),
    "no-usage": lambda ask: Script(text=_echo(ask), usage=False),
    "refusal": lambda _: Script(refusal=_DECLINED, stop=Stop.REFUSAL),
    "max-tokens": lambda _: Script(text=f"{_MARK} This answer is longer than", stop=Stop.LENGTH),
    "bad-json": lambda ask: Script(text=_echo(ask)),
    "hang": lambda ask: Script(text=_echo(ask)),
}
