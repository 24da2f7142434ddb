"""Call ids in their public form and back."""

import pytest

from meterway.kit.ids import CallIds, call_id_of, request_id


def test_a_call_id_comes_back_from_its_public_form():
    call_id = CallIds(3).next()

    assert call_id_of(request_id(call_id)) == call_id_of(str(call_id)) == call_id


@pytest.mark.parametrize(
    "text",
    [
        "",
        "req_",
        "req_0",
        "req_00000000000000zz",
        "req_8000000000000000",
        "9" * 19,
        "²",
        "-1",
        "1 ",
    ],
)
def test_what_names_no_call_is_none(text):
    assert call_id_of(text) is None
