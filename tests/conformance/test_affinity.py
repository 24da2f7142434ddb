"""Encrypted thoughts before two organisations, through the official OpenAI SDK and real workers."""

from collections.abc import Iterator
from typing import Any

import pytest
from openai import OpenAI

from tests.conformance.test_openai_sockets import told
from tests.factories.gateways import Gateway, wait_for
from tests.fakes.organisations import Organisation, served

pytestmark = [
    pytest.mark.conformance,
    # the SDK's own way of calling `websockets`
    pytest.mark.filterwarnings(r"ignore:connect\(\) must be used:DeprecationWarning"),
]
MODEL = "gpt-5"
TURNS = 6  # of which some would go astray: channels of one weight take them at random
ASIDE: Any = {"role": "user", "content": "And?"}


@pytest.fixture(scope="module")
def place(new_gateway) -> Iterator[tuple[Gateway, Organisation, Organisation]]:
    """Two workers before two organisations of the same weight."""
    gateway = new_gateway(METERWAY_WORKERS="2", METERWAY_COOLDOWN_FAILURES="1000")
    a, b = Organisation("a"), Organisation("b")
    with served(a) as first, served(b) as second:
        for name, base in (("a", first), ("b", second)):
            where = ("--provider", "openai", "--name", name, "--base-url", base)
            gateway.run("channel", "add", *where, "--api-key", name, "--models", MODEL)
        yield gateway.start(), a, b


@pytest.fixture
def both(place) -> tuple[Organisation, Organisation]:
    """The organisations, which answered nothing yet."""
    _, *members = place
    for one in members:
        one.asked.clear()
        one.refused, one.down = 0, False
    return tuple(members)


@pytest.fixture
def client(place, both):
    with _client(place[0]) as made:
        yield made


def _client(gateway: Gateway) -> OpenAI:
    return OpenAI(
        base_url=f"{gateway.base}/v1",
        api_key=gateway.key,
        max_retries=0,
        _strict_response_validation=True,
    )


def _brought(both: tuple[Organisation, Organisation]) -> list[int]:
    """Return how many thoughts each request that was answered brought, the fewest first."""
    return sorted(
        sum("encrypted_content" in item for item in body["input"] if isinstance(item, dict))
        for one in both
        for body in one.asked
    )


def _in_background(client: OpenAI, **more: Any) -> str:
    """Have a response made while nobody waits; return its id."""
    id_: str = client.responses.create(model=MODEL, input="Hi", background=True, **more).id
    wait_for(lambda: client.responses.retrieve(id_).status == "completed", "the response")
    return id_


def _stateless(client: OpenAI, said: list[Any], *, streams: bool) -> list[Any]:
    """Ask without state; return all that was said."""
    include: Any = ["reasoning.encrypted_content"]
    if streams:
        with client.responses.stream(
            model=MODEL, input=said, store=False, include=include
        ) as stream:
            reply = stream.get_final_response()
    else:
        reply = client.responses.create(model=MODEL, input=said, store=False, include=include)  # type: ignore[assignment]  # the same fields are read of both
    return [*said, *(item.model_dump(exclude_none=True) for item in reply.output), ASIDE]


@pytest.mark.parametrize("streams", [False, True], ids=["whole", "stream"])
def test_a_client_that_keeps_all_itself_is_never_refused(client, both, streams):
    said: list[Any] = [ASIDE]
    for _ in range(TURNS):
        said = _stateless(client, said, streams=streams)

    assert _brought(both) == list(range(TURNS))
    assert [one.refused for one in both] == [0, 0]


def test_a_client_that_goes_on_by_id_is_never_refused(client, both):
    id_ = None
    for _ in range(TURNS):
        id_ = client.responses.create(model=MODEL, input="Hi", previous_response_id=id_).id

    assert _brought(both) == list(range(TURNS))
    assert [one.refused for one in both] == [0, 0]


def test_a_conversation_is_never_refused(client, both):
    conversation = client.conversations.create()
    for _ in range(TURNS):
        client.responses.create(model=MODEL, input="Hi", conversation=conversation.id)

    assert _brought(both) == list(range(TURNS))


def test_a_socket_that_stores_nothing_is_never_refused(client, both):
    id_: Any = None
    with client.responses.connect() as connection:
        for _ in range(TURNS):
            more = {} if id_ is None else {"previous_response_id": id_}
            connection.response.create(model=MODEL, input="Hi", store=False, **more)
            id_ = told(connection)[-1].response.id

    assert _brought(both) == list(range(TURNS))
    assert [one.refused for one in both] == [0, 0]


def test_a_compaction_is_asked_of_the_account_that_thought(client, both):
    for _ in range(TURNS):
        said = _stateless(client, [ASIDE], streams=False)
        compacted = client.responses.compact(model=MODEL, input=said)
        client.responses.create(
            model=MODEL, input=[*(item.model_dump() for item in compacted.output), ASIDE]
        )

    assert _brought(both) == [0] * TURNS * 2 + [1] * TURNS
    assert [one.refused for one in both] == [0, 0]


def test_a_background_response_is_gone_on_with_by_its_account(client, both):
    first = _in_background(client)
    for _ in range(TURNS):
        _in_background(client, previous_response_id=first)

    assert _brought(both) == [0] + [1] * TURNS
    assert [one.refused for one in both] == [0, 0]


def test_where_its_account_fails_another_goes_on_without(client, both):
    said = _stateless(client, [ASIDE], streams=False)
    (maker,) = (one for one in both if one.asked)
    maker.down = True

    more = _stateless(client, said, streams=True)
    maker.down = False
    _stateless(client, more, streams=False)

    assert _brought(both) == [0, 0, 1]
    assert len(maker.asked) == 1
    assert [one.refused for one in both] == [0, 0]


def test_a_restart_forgets_nothing(place, both):
    gateway, *_ = place
    with _client(gateway) as client:
        ids = [client.responses.create(model=MODEL, input="Hi").id for _ in range(TURNS)]

    gateway.stop()
    gateway.start()
    with _client(gateway) as client:
        for id_ in ids:
            client.responses.create(model=MODEL, input="And?", previous_response_id=id_)

    assert _brought(both) == [0] * TURNS + [1] * TURNS
    assert [one.refused for one in both] == [0, 0]
