"""Official clients that send an Idempotency-Key, against a live gateway, through its whole life."""

import os
import signal
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from typing import Any

import anthropic
import httpx2
import openai
import pytest
from anthropic import Anthropic
from openai import OpenAI

from tests.factories.gateways import Gateway, wait_for

pytestmark = pytest.mark.conformance
HI: Any = [{"role": "user", "content": "hi"}]
WORDS: Any = [{"role": "user", "content": " ".join(f"word {n}" for n in range(99))}]


@pytest.fixture(scope="module")
def gateway(new_gateway: Callable[..., Gateway]) -> Gateway:
    return new_gateway().start()


@pytest.fixture
def chat(gateway) -> Iterator[Any]:
    with OpenAI(base_url=f"{gateway.base}/v1", api_key=gateway.key, max_retries=0) as client:
        yield client.chat.completions


@pytest.fixture
def messages(gateway) -> Iterator[Any]:
    with Anthropic(base_url=gateway.base, api_key=gateway.key, max_retries=0) as client:
        yield client.messages


def mark(name: str) -> dict[str, str]:
    return {"idempotency-key": name}


def rows(gateway: Gateway) -> int:
    with closing(sqlite3.connect(gateway.data / "meterway.db")) as database:
        found: int = database.execute("SELECT count(*) FROM repeatable_replies").fetchone()[0]
        return found


def test_openais_client_gets_the_same_completion_again(chat):
    asked = {"model": "sandbox/echo", "messages": HI, "extra_headers": mark("openai")}

    first, second = (chat.with_raw_response.create(**asked) for _ in range(2))

    assert second.parse() == first.parse()
    assert second.headers["idempotent-replayed"] == "true"


def test_anthropics_client_gets_the_same_stream_again(messages):
    asked = {"model": "sandbox/echo", "messages": HI, "max_tokens": 9, "stream": True}

    first, second = (
        [event.model_dump() for event in messages.create(**asked, extra_headers=mark("anthropic"))]
        for _ in range(2)
    )

    assert first == second
    assert first[-1]["type"] == "message_stop"


def test_neither_client_sends_a_key_of_its_own(gateway, chat, messages):
    before = rows(gateway)

    chat.create(model="sandbox/echo", messages=HI)
    messages.create(model="sandbox/echo", messages=HI, max_tokens=9)

    assert rows(gateway) == before


def test_counting_tokens_takes_no_notice_of_a_key(gateway, messages):
    before = rows(gateway)

    for text in ("one", "another"):
        said: Any = [{"role": "user", "content": text}]
        model = "claude-sonnet-4-5"
        messages.count_tokens(model=model, messages=said, extra_headers=mark("count"))

    assert rows(gateway) == before


def test_clients_do_not_retry_a_key_that_was_used_for_something_else(gateway, chat, messages):
    chat.create(model="sandbox/echo", messages=HI, extra_headers=mark("used"))
    retrying = chat._client.with_options(max_retries=5).chat.completions

    with pytest.raises(openai.ConflictError) as refused:
        retrying.create(model="sandbox/echo", messages=WORDS, extra_headers=mark("used"))
    with pytest.raises(anthropic.ConflictError):
        messages.create(model="sandbox/echo", messages=HI, max_tokens=9, extra_headers=mark("used"))

    assert refused.value.code == "idempotency_key_reused"
    assert "x-stainless-retry-count" in refused.value.request.headers
    assert refused.value.request.headers["x-stainless-retry-count"] == "0"


def test_a_reply_outlives_a_rotated_secret(gateway, chat):
    asked = {"model": "sandbox/echo", "messages": HI, "extra_headers": mark("rotated")}
    first = chat.create(**asked)

    gateway.run("secret", "rotate")

    assert chat.create(**asked) == first


def test_a_call_whose_worker_was_killed_never_runs_again(gateway, chat):
    old, begun = gateway.worker(), threading.Event()
    assert old is not None
    asked = {"model": "sandbox/slow", "messages": WORDS, "stream": True}

    def call() -> None:
        with suppress(openai.APIError, httpx2.HTTPError):
            for chunk in chat.create(**asked, extra_headers=mark("killed")):
                if chunk.choices and chunk.choices[0].delta.content:
                    begun.set()

    calling = threading.Thread(target=call)
    calling.start()
    assert begun.wait(30)
    os.kill(old, signal.SIGKILL)
    calling.join()
    wait_for(lambda: gateway.worker() not in {None, old} and gateway.get("/ready"), "a worker")

    with pytest.raises(openai.ConflictError) as refused:
        chat.create(**asked, extra_headers=mark("killed"))

    assert refused.value.code == "idempotency_key_in_use"
