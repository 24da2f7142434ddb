"""Responses in the background, through the official OpenAI SDK against a live gateway."""

import openai
import pytest
from openai import OpenAI

from tests.factories.gateways import Gateway, wait_for

pytestmark = pytest.mark.conformance


@pytest.fixture(scope="module")
def gateway(new_gateway) -> Gateway:
    made: Gateway = new_gateway()
    return made.start()


@pytest.fixture
def client(gateway):
    base = f"{gateway.base}/v1"
    with OpenAI(
        base_url=base, api_key=gateway.key, max_retries=0, _strict_response_validation=True
    ) as made:
        yield made


def test_a_response_is_asked_for_polled_and_fetched(client):
    queued = client.responses.create(model="sandbox/echo", input="hi", background=True)

    def ended():
        shown = client.responses.retrieve(queued.id)
        return None if shown.status in {"queued", "in_progress"} else shown

    made = wait_for(ended, "the response")

    assert queued.status == "queued"
    assert (made.status, made.output_text) == ("completed", "[sandbox] hi")
    assert client.responses.cancel(queued.id).status == "completed"


def test_a_client_that_lost_its_stream_goes_on_where_it_was(client):
    seen = []
    with client.responses.create(
        model="sandbox/slow", input="hi", background=True, stream=True
    ) as stream:
        for event in stream:
            seen.append(event)
            if event.type == "response.output_text.delta":
                break
    id_ = seen[0].response.id

    after = seen[-1].sequence_number
    rest = list(client.responses.retrieve(id_, stream=True, starting_after=after))

    kinds = [event.type for event in seen]
    assert kinds[:3] == ["response.created", "response.queued", "response.in_progress"]
    assert [event.sequence_number for event in rest] == list(
        range(after + 1, after + 1 + len(rest))
    )
    assert rest[-1].type == "response.completed"
    said = [e.delta for e in (*seen, *rest) if e.type == "response.output_text.delta"]
    assert "".join(said) == rest[-1].response.output_text


def test_one_that_runs_is_cancelled(client):
    queued = client.responses.create(model="sandbox/slow", input="hi " * 50, background=True)
    wait_for(lambda: client.responses.retrieve(queued.id).status == "in_progress", "its beginning")

    cancelled = client.responses.cancel(queued.id)

    assert cancelled.status == "cancelled"
    assert client.responses.retrieve(queued.id).status == "cancelled"


def test_what_is_not_stored_is_refused_by_name(client):
    with pytest.raises(openai.BadRequestError) as refused:
        client.responses.create(model="sandbox/echo", input="hi", background=True, store=False)

    assert refused.value.param == "background"
    assert refused.value.code == "background_not_stored"
