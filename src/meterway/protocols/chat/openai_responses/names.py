"""Tools under the names other dialects know them by, and back as their client declared them.

Other dialects have functions alone, whose names are letters, digits, `_` and `-`, at most 64. A
function keeps its name; a custom tool too; a tool of a namespace is `namespace__name`. Two that
would be called the same are numbered. See ADR 0010, point 7.
"""

import re
from collections.abc import Sequence
from typing import Literal

import msgspec

from meterway.kit.json import RawObject
from meterway.protocols.chat.openai_family import optional
from meterway.protocols.chat.openai_responses import wire

_ODD = re.compile(r"[^a-zA-Z0-9_-]")
_LONGEST = 64


class Declared(msgspec.Struct, frozen=True, kw_only=True):
    """A tool as its client declared it."""

    name: str
    kind: Literal["function", "custom"] = "function"
    namespace: str | None = None


class ToolNames:
    """The names of one request's tools, both ways."""

    def __init__(self, tools: Sequence[wire.Tool] = ()) -> None:
        self._declared: dict[str, Declared] = {}
        self._flat: dict[tuple[str | None, str], str] = {}
        spaces = [tool for tool in tools if tool.type == "namespace"]
        for tool in tools:
            self._add(tool, None)
        for space in spaces:  # after the others, which keep their names
            for tool in space.tools or ():
                self._add(tool, space.name)

    def _add(self, tool: wire.Tool, namespace: str | None) -> None:
        if tool.name is None or (namespace, tool.name) in self._flat:
            return
        if tool.type == "function":
            declared = Declared(name=tool.name, namespace=namespace)
        elif tool.type == "custom":
            declared = Declared(name=tool.name, kind="custom", namespace=namespace)
        else:
            return
        flat = wished = _flat(namespace, tool.name)
        number = 2
        while flat in self._declared:
            ending = f"_{number}"
            flat, number = wished[: _LONGEST - len(ending)] + ending, number + 1
        self._declared[flat] = declared
        self._flat[namespace, tool.name] = flat

    def flat(self, namespace: str | None, name: str) -> str:
        """Return the name other dialects know a tool by, declared or not."""
        return self._flat.get((namespace, name)) or _flat(namespace, name)

    def declared(self, flat: str) -> Declared:
        """Return the tool a model calls `flat`; one nobody declared is a function."""
        return self._declared.get(flat) or Declared(name=flat)


def _flat(namespace: str | None, name: str) -> str:
    if namespace is None:
        return name
    joint = "" if namespace.endswith("__") else "__"
    return _ODD.sub("_", f"{namespace}{joint}{name}")[-_LONGEST:]


def tools_of(body: RawObject) -> list[wire.Tool]:
    """Return the tools a request declares. Raises `InvalidRequestError`."""
    return optional(body, "tools", list[wire.Tool]) or []
