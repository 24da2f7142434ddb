"""Message threads are not kept, and clients hear it in the way they recover from."""

import pytest

from meterway.kit.errors import InvalidRequestError
from meterway.protocols.chat.anthropic_messages import take_thread
from meterway.protocols.chat.anthropic_messages.threads import ThreadNotFoundError
from tests.factories.anthropic_wire import body


def test_the_wish_for_a_thread_is_granted_in_words_and_sent_to_nobody():
    wishing = body(thread={"type": "create"})

    take_thread(wishing)

    assert wishing == body()


def test_a_thread_to_be_continued_is_not_found():
    continuing = body(thread={"type": "continue", "previous_message_id": "msg_1"})

    with pytest.raises(ThreadNotFoundError) as refusal:
        take_thread(continuing)

    assert refusal.value.status == 404
    assert refusal.value.details == {"error_code": "thread_not_found"}


@pytest.mark.parametrize("thread", ["create", 1, {}, {"type": 1}])
def test_what_is_no_thread_is_refused_by_name(thread):
    with pytest.raises(InvalidRequestError) as refusal:
        take_thread(body(thread=thread))

    assert (refusal.value.param or "").startswith("thread")


@pytest.mark.parametrize("plain", [body(), body(thread=None)])
def test_a_body_without_a_thread_passes(plain):
    take_thread(plain)

    assert plain == body()
