"""The two API versions: what the newer one refuses, and that both are cheap to check."""

import pytest

from meterway.kit.errors import InvalidRequestError
from meterway.protocols.chat.anthropic_messages import check_version
from tests.factories.anthropic_wire import assistant, body, user

NEW = "2026-10-21"
DOCUMENT = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "x"}}
CITED = {"type": "text", "text": "x", "citations": [{"type": "char_location"}]}
REFUSED = [
    ({"temperature": 1}, "temperature"),
    ({"top_p": 0.99}, "top_p"),
    ({"top_k": 5}, "top_k"),
    (
        {"messages": [user("a"), assistant("b", DOCUMENT), user("c")]},
        "messages.1.content.1",
    ),
    ({"messages": [user(CITED)]}, "messages.0.content.0.citations"),
]


@pytest.mark.parametrize(("fields", "path"), REFUSED)
def test_the_new_version_refuses_what_the_old_one_takes(fields, path):
    check_version(body(**fields), None)
    check_version(body(**fields), "2023-06-01")

    with pytest.raises(InvalidRequestError) as refusal:
        check_version(body(**fields), NEW)

    assert refusal.value.param == path


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"temperature": None},
        {"messages": [user(DOCUMENT, "a"), assistant(CITED)]},
        {"messages": [user({**CITED, "citations": []}), user({**CITED, "citations": None})]},
        {"messages": [{"role": "assistant", "content": 'about a "document"'}, user('"citations"')]},
    ],
)
def test_the_new_version_takes_the_rest(fields):
    check_version(body(**fields), NEW)


@pytest.mark.parametrize("version", ["2023-01-01", "latest", ""])
def test_an_unknown_version_is_refused_by_name(version):
    with pytest.raises(InvalidRequestError) as refusal:
        check_version(body(), version)

    assert f'"{version}"' in refusal.value.message
    assert refusal.value.param == "anthropic-version"
