"""`meterway channel refresh`: the list is read anew from the upstream."""

import asyncio
import json

import pytest

from tests.fakes.upstream_server import UpstreamServer, reply


def _list(*names):
    data = [{"id": name, "object": "model"} for name in names]
    return reply(json.dumps({"object": "list", "data": data}).encode())


@pytest.fixture
async def server():
    async with UpstreamServer() as running:
        yield running


@pytest.fixture
def do(shell):
    """Run a command of the shell beside the loop the server runs on; return its answer."""

    async def run(*arguments, **options):
        return await asyncio.to_thread(shell.json, *arguments, **options)

    return run


async def _models(do):
    [channel] = await do("channel", "list")
    return channel["models"]


async def test_the_list_is_what_the_engine_says_now(do, server):
    server.always(_list("a:latest", "b:7b"))
    url = f"http://127.0.0.1:{server.port}"
    await do("channel", "add", "--provider", "ollama", "--base-url", url)

    said = await do("channel", "refresh", "ollama")

    assert said["models"] == {"a": "a:latest", "a:latest": "a:latest", "b:7b": "b:7b"}
    assert await _models(do) == said["models"]


async def test_names_of_ones_own_stay_while_their_model_does(do, server):
    url = f"http://127.0.0.1:{server.port}"
    server.always(_list("m1", "m3"))
    await do(
        "channel", "add", "--provider", "openai-compatible", "--name", "lab", "--base-url", url,
        "--api-key", "k", "--models", "m1,fast=m1,old=m2",
    )  # fmt: skip

    await do("channel", "refresh", "lab")

    assert await _models(do) == {"m1": "m1", "m3": "m3", "fast": "m1"}
    assert server.requests[0].header(b"authorization") == b"Bearer k"


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (reply(b'{"error":{"message":"no"}}', status=401), 1),
        (reply(b"<html>"), 3),
        (_list(), 3),
    ],
    ids=["refused", "no list", "nothing listed"],
)
async def test_a_list_that_cannot_be_read_changes_nothing(do, shell, server, answer, code):
    server.always(answer)
    url = f"http://127.0.0.1:{server.port}"
    await do("channel", "add", "--provider", "ollama", "--base-url", url, "--models", "m")

    await asyncio.to_thread(shell.run, "channel", "refresh", "ollama", code=code)

    assert await _models(do) == {"m": "m"}


def test_a_channel_that_is_not_there_is_not_found(shell):
    assert "no channel 'x'" in shell.run("channel", "refresh", "x", code=3).stderr
