"""Pictures by URL for an engine that fetches none, from the client to the engine and back."""

import base64
import json
from collections.abc import Iterator

import pytest

from tests.factories.gateways import Answer, Gateway
from tests.fakes.vendor import PICTURE, Vendor, vendor


@pytest.fixture(scope="module")
def inside() -> Iterator[Vendor]:
    """A server of the inside: it serves pictures, and is the engine too."""
    with vendor("a cat") as server:
        yield server


@pytest.fixture(scope="module")
def gateway(new_gateway, inside) -> Gateway:
    """A gateway that may fetch from one port of this machine, and has an engine."""
    listed = f"images.corp, 127.0.0.1:{inside.server_port}"
    made: Gateway = new_gateway(METERWAY_FETCH_PRIVATE_HOSTS=listed, METERWAY_FETCH_TIMEOUT="5")
    channel = ("--provider", "ollama", "--name", "engine", "--models", "llava")
    made.run("channel", "add", *channel, "--base-url", inside.base)
    return made.start()


def ask(gateway: Gateway, url: str) -> Answer:
    part = {"type": "image_url", "image_url": {"url": url}}
    body = {"model": "llava", "messages": [{"role": "user", "content": [part]}]}
    headers = {"authorization": f"Bearer {gateway.key}"}
    return gateway.send("POST", "/v1/chat/completions", headers, json.dumps(body))


def test_a_picture_of_a_listed_server_reaches_the_engine_as_data(gateway, inside):
    answer = ask(gateway, f"http://127.0.0.1:{inside.server_port}/cat.png")

    data = f"data:image/png;base64,{base64.b64encode(PICTURE).decode()}"
    assert answer.said == "a cat"
    assert inside.contents == [[{"type": "image_url", "image_url": {"url": data}}]]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "169.254.169.254", "[::1]"])
def test_the_rest_of_the_inside_is_not_there(gateway, inside, host):
    before = len(inside.contents)

    answer = ask(gateway, f"http://{host}/latest/meta-data")

    assert answer.status == 400
    assert answer.body["error"]["code"] == "url_not_fetched"
    assert answer.body["error"]["param"] == "messages[0].content[0]"
    assert "has no public address" in answer.body["error"]["message"]
    assert len(inside.contents) == before
