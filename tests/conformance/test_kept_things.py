"""What is kept, through the official OpenAI SDK against a live gateway."""

import openai
import pytest
from openai import OpenAI
from openai.types.chat import ChatCompletionMessageParam

from tests.factories.gateways import Gateway

pytestmark = pytest.mark.conformance
HI: list[ChatCompletionMessageParam] = [{"role": "user", "content": "hi"}]


@pytest.fixture(scope="module")
def gateway(new_gateway) -> Gateway:
    made: Gateway = new_gateway()
    return made.start()


def _client(gateway: Gateway, key: str | None = None) -> OpenAI:
    return OpenAI(
        base_url=f"{gateway.base}/v1",
        api_key=key or gateway.key,
        max_retries=0,
        _strict_response_validation=True,
    )


@pytest.fixture
def client(gateway):
    with _client(gateway) as made:
        yield made


@pytest.fixture
def stranger(gateway):
    email = "stranger@example.org"
    if email not in {one["email"] for one in gateway.run("user", "list")}:
        gateway.run("user", "create", "--email", email, "--postpaid")
    with _client(gateway, gateway.run("key", "create", "--user", email)["key"]) as made:
        yield made


@pytest.mark.parametrize("streams", [False, True])
def test_completion_is_there_once_its_reply_was_read(client, stranger, streams):
    told = {"journey": f"stored-{streams}"}
    if streams:
        stream = client.chat.completions.create(
            model="sandbox/echo", messages=HI, store=True, metadata=told, stream=True
        )
        chunks = list(stream)
        id_, said = (
            chunks[0].id,
            "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices),
        )
    else:
        reply = client.chat.completions.create(
            model="sandbox/echo", messages=HI, store=True, metadata=told
        )
        id_, said = reply.id, reply.choices[0].message.content or ""

    kept = client.chat.completions.retrieve(id_)
    listed = client.chat.completions.list(metadata=told)
    changed = client.chat.completions.update(id_, metadata={"journey": "over"})

    assert kept.choices[0].message.content == said
    assert [one.id for one in listed] == [id_]
    assert changed.id == id_
    with pytest.raises(openai.NotFoundError):
        stranger.chat.completions.retrieve(id_)
    assert client.chat.completions.delete(id_).deleted
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.retrieve(id_)


def test_conversation_lives_and_ends(client, stranger):
    made = client.conversations.create(
        items=[{"type": "message", "role": "user", "content": "hello"}], metadata={"a": "b"}
    )
    more = [{"type": "message", "role": "user", "content": str(i)} for i in range(5)]
    client.conversations.items.create(made.id, items=more)

    items = list(client.conversations.items.list(made.id, limit=2, order="asc"))

    assert [item.content[0].text for item in items if item.type == "message"] == [
        "hello",
        *"01234",
    ]
    with pytest.raises(openai.NotFoundError):
        stranger.conversations.retrieve(made.id)
    with pytest.raises(openai.NotFoundError):
        stranger.conversations.items.list(made.id)
    assert client.conversations.delete(made.id).deleted
    with pytest.raises(openai.NotFoundError):
        client.conversations.retrieve(made.id)


def test_conversation_that_is_asked_for_again_is_made_once(client):
    again = {"Idempotency-Key": "one-conversation"}

    made = [client.conversations.create(extra_headers=again).id for _ in range(2)]

    assert made[0] == made[1]


def test_key_of_zero_retention_is_told_why(gateway):
    key = gateway.run("key", "create", "--user", "admin@localhost", "--zero-retention")["key"]
    with _client(gateway, key) as client:
        with pytest.raises(openai.PermissionDeniedError, match="zero retention") as refused:
            client.conversations.create()
        reply = client.chat.completions.create(model="sandbox/echo", messages=HI, store=True)
        with pytest.raises(openai.NotFoundError):
            client.chat.completions.retrieve(reply.id)

    assert refused.value.code == "zero_retention"
