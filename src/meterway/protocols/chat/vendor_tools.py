"""Tools that a vendor runs, on their way to another's upstream (ADR 0010, point 7).

Agents offer them with every call, so they are left out by name where the model may do without. One
that is the only tool, or is demanded, is refused by name; so is a tool that the client itself runs
and that no other dialect has a word for.
"""

from collections.abc import Callable
from typing import Final, TypeAlias

from meterway.protocols.chat import neutral
from meterway.protocols.errors import UnsupportedContentError

Unsupported: TypeAlias = Callable[[str, str], UnsupportedContentError]
_CLIENTS_OWN: Final = "custom"  # OpenAI's free-form tools


def functions_of(
    request: neutral.Request, dropped: list[str], unsupported: Unsupported
) -> list[neutral.FunctionTool]:
    """Return the functions of `request`; paths of the tools left out are added to `dropped`.

    Raises what `unsupported` makes of the path and the kind of a tool that cannot be left out.
    """
    functions = [tool for tool in request.tools if isinstance(tool, neutral.FunctionTool)]
    if len(functions) == len(request.tools):
        return functions
    others = [tool for tool in request.tools if isinstance(tool, neutral.BuiltinTool)]
    needed = others if not functions or _demands_other(request.tool_choice, functions) else []
    for tool in (*needed, *(one for one in others if one.kind == _CLIENTS_OWN)):
        raise unsupported(tool.path, f"a tool of type '{tool.kind}'")
    dropped += [tool.path for tool in others]
    return functions


def _demands_other(
    choice: neutral.ToolChoice | None, functions: list[neutral.FunctionTool]
) -> bool:
    """Whether a choice names a tool that is none of `functions`."""
    if choice is None or choice.mode != "named":
        return False
    return all(choice.name != tool.name for tool in functions)
