"""Message threads are refused so that the official client goes on without one."""

import pytest

from meterway.kit.errors import InvalidRequestError
from meterway.protocols.chat.anthropic_messages import check_thread
from tests.factories.anthropic_wire import body


@pytest.mark.parametrize(
    "thread", [{"type": "create"}, {"type": "continue", "previous_message_id": "msg_1"}, "odd"]
)
def test_a_thread_is_refused_with_the_code_that_clients_recover_from(thread):
    with pytest.raises(InvalidRequestError) as refusal:
        check_thread(body(thread=thread))

    assert refusal.value.param == "thread"
    assert refusal.value.details == {
        "error_code": "thread_unsupported_request",
        "unsupported": ["thread"],
    }


def test_a_body_without_a_thread_passes():
    check_thread(body())
    check_thread(body(thread=None))
