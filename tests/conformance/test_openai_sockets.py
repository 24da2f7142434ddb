"""The official OpenAI SDK over the WebSocket of the Responses API."""

from typing import Any

import pytest
from openai import OpenAI
from openai.resources.responses.responses import ResponsesConnection

from tests.conformance.conftest import Way
from tests.conformance.test_openai_sdk import client_of

pytestmark = [
    pytest.mark.conformance,
    # the SDK's own way of calling `websockets`
    pytest.mark.filterwarnings(r"ignore:connect\(\) must be used:DeprecationWarning"),
]
ENDS = {"response.completed", "response.failed", "response.incomplete", "error"}


@pytest.fixture
def client(way: Way):
    with client_of(way.gateway) as made:
        yield made


def told(connection: ResponsesConnection) -> list[Any]:
    """Return the events up to the end of a response."""
    events: list[Any] = []
    for event in connection:
        events.append(event)
        if event.type in ENDS:
            return events
    raise AssertionError("the socket was closed in the middle")


def test_turns_of_one_socket_continue_each_other_though_nothing_is_stored(client: OpenAI, way: Way):
    model = way.to("gpt-4o-mini")
    with client.responses.connect() as connection:
        connection.response.create(model=model, input="one", store=False)
        first = told(connection)[-1].response
        connection.response.create(
            model=model, input="two", store=False, previous_response_id=first.id
        )
        events = told(connection)

    text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert text == events[-1].response.output_text == "[sandbox] two"
    assert first.usage is not None
    assert events[-1].response.usage.input_tokens > first.usage.input_tokens


def test_a_response_is_prepared_and_named(client: OpenAI, way: Way):
    model = way.to("gpt-4o-mini")
    with client.responses.connect() as connection:
        connection.response.create(
            model=model, instructions="be brief", store=False, generate=False, stream_id="main"
        )
        events = told(connection)
        connection.response.create(
            model=model, input="hi", previous_response_id=events[-1].response.id, stream_id="main"
        )
        after = told(connection)

    assert events[-1].response.output == []
    assert after[-1].response.output_text == "[sandbox] hi"
    assert {event.stream_id for event in (*events, *after)} == {"main"}


def test_an_error_is_typed_and_the_socket_lives(client: OpenAI, way: Way):
    with client.responses.connect() as connection:
        connection.response.create(model="no-such-model", input="hi")
        (error,) = told(connection)
        connection.response.create(model=way.to("gpt-4o-mini"), input="hi")
        after = told(connection)

    assert (error.status, error.error.code) == (404, "model_not_found")
    assert error.error.headers["x-request-id"].startswith("req_")
    assert after[-1].type == "response.completed"
