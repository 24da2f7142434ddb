import msgspec
import pytest

from meterway.protocols.chat import neutral
from meterway.protocols.chat.vendor_tools import functions_of
from meterway.protocols.errors import UnsupportedContentError

F = neutral.FunctionTool(name="f", path="tools[0]")
SEARCH = neutral.BuiltinTool(kind="web_search", raw=msgspec.Raw(b"{}"), path="tools[1]")
OWN = neutral.BuiltinTool(kind="custom", raw=msgspec.Raw(b"{}"), path="tools[2]")


def functions(
    *tools: neutral.Tool, choice: neutral.ToolChoice | None = None
) -> tuple[list[neutral.FunctionTool], list[str]]:
    def unsupported(path: str, what: str) -> UnsupportedContentError:
        return UnsupportedContentError(what, param=path)

    dropped: list[str] = []
    request = neutral.Request(model="m", messages=(), tools=tools, tool_choice=choice)
    return functions_of(request, dropped, unsupported), dropped


@pytest.mark.parametrize(
    "choice",
    [
        None,
        neutral.ToolChoice(mode="auto"),
        neutral.ToolChoice(mode="required"),
        neutral.ToolChoice(mode="named", name="f"),
    ],
)
def test_a_vendors_tool_is_left_out_where_the_model_may_do_without_it(
    choice: neutral.ToolChoice | None,
):
    assert functions(F, SEARCH, choice=choice) == ([F], ["tools[1]"])


@pytest.mark.parametrize(
    ("tools", "choice", "param"),
    [
        ((SEARCH,), None, "tools[1]"),
        ((F, SEARCH), neutral.ToolChoice(mode="named", name="web_search"), "tools[1]"),
        ((F, SEARCH, OWN), None, "tools[2]"),
    ],
    ids=["alone", "demanded", "run by the client"],
)
def test_a_tool_that_is_needed_is_refused_by_its_path(
    tools: tuple[neutral.Tool, ...], choice: neutral.ToolChoice | None, param: str
):
    with pytest.raises(UnsupportedContentError) as refusal:
        functions(*tools, choice=choice)

    assert refusal.value.param == param


def test_functions_alone_stay_as_they_are():
    assert functions(F) == ([F], [])
    assert functions() == ([], [])
