"""What a list of permissions allows."""

import pytest

from meterway.keys.errors import UnknownPermissionError
from meterway.keys.permissions import allows, checked

KNOWN = {"gpt-4o", "gpt-4", "claude-3", "file-v1"}


@pytest.mark.parametrize(
    ("permissions", "model", "family", "capabilities", "expected"),
    [
        (None, "any", "any", ["file-v1"], True),
        ({"gpt-4o"}, "gpt-4o", "gpt-4", [], True),
        ({"gpt-4"}, "gpt-4o", "gpt-4", [], True),
        ({"gpt-4o"}, "gpt-4o-mini", "gpt-4", [], False),
        ({"gpt-4o"}, "GPT-4O", None, [], False),
        ({"claude-3"}, "gpt-4o", None, [], False),
        ({"gpt-4o"}, "gpt-4o", "gpt-4", ["file-v1"], False),
        ({"gpt-4o", "file-v1"}, "gpt-4o", "gpt-4", ["file-v1"], True),
        ({"file-v1"}, None, None, ["file-v1"], True),
        ({"gpt-4o"}, None, None, ["file-v1"], False),
        ({"file-v1"}, "gpt-4o", "gpt-4", ["file-v1"], False),
        (frozenset(), "gpt-4o", "gpt-4", [], False),
    ],
)
def test_list_allows_what_it_names(permissions, model, family, capabilities, expected):
    assert allows(permissions, model, family, capabilities) is expected


def test_empty_list_at_creation_means_everything():
    assert checked([], KNOWN) is None


def test_unknown_names_are_refused_and_named():
    with pytest.raises(UnknownPermissionError, match=r"a, b\. "):
        checked(["gpt-4o", "b", "a"], KNOWN)


def test_known_names_are_kept_once():
    assert checked(["gpt-4o", "gpt-4o", "file-v1"], KNOWN) == frozenset({"gpt-4o", "file-v1"})
