"""An operator's day: setting up, adding channels and keys while serving, and things that break."""

import os
import signal
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import httpx2
import openai
import pytest
from openai import OpenAI

from tests.factories.gateways import Gateway, wait_for
from tests.fakes.vendor import vendor

# A change is promised to hold within a second; the rest is for a busy machine.
SOON = 4.0
MODEL, ECHO = "gpt-4o-mini", "sandbox/echo"


@pytest.fixture(scope="module")
def gateway(new_gateway: Callable[..., Gateway]) -> Gateway:
    return new_gateway().start()


@pytest.fixture
def database(gateway) -> Iterator[sqlite3.Connection]:
    """Somebody else's hand in the gateway's database."""
    with closing(sqlite3.connect(gateway.data / "meterway.db", isolation_level=None)) as opened:
        yield opened


def add_channel(gateway: Gateway, name: str, base: str, key: str, *more: str) -> None:
    where = ("--provider", "openai-compatible", "--name", name, "--base-url", base)
    gateway.run("channel", "add", *where, "--api-key", key, *more)


def test_a_key_may_do_what_it_was_made_for_and_ends_when_it_is_revoked(gateway):
    key = gateway.new_key("--permissions", ECHO)
    before = [gateway.chat(model, key=key.token).status for model in (ECHO, MODEL)]

    gateway.run("key", "revoke", str(key.id))

    assert before == [200, 403]
    wait_for(lambda: gateway.chat(ECHO, key=key.token).status == 401, "the revocation", SOON)


def test_a_key_ends_when_its_time_is_over(gateway):
    key = gateway.new_key("--expires", "1s")

    wait_for(lambda: gateway.chat(ECHO, key=key.token).status == 401, "the end", 1 + SOON)

    error = gateway.chat(ECHO, key=key.token).body["error"]
    assert "expired" in error["message"]


def test_the_sandbox_stands_in_until_there_is_a_channel_and_never_again(new_gateway):
    gateway = new_gateway().start()
    before = gateway.chat(MODEL)
    with vendor("really") as real:
        add_channel(gateway, "real", real.base, "sk-vendor-1")

        wait_for(lambda: gateway.chat(MODEL).said == "really", "the channel", SOON)
        gateway.run("channel", "remove", "real")
        wait_for(lambda: gateway.chat(MODEL).status == 404, "the channel's end", SOON)

    assert before.said == "[sandbox] hi"
    assert before.headers["x-meterway-provider"] == "sandbox"
    assert gateway.chat(ECHO).said == "[sandbox] hi"
    assert set(real.keys) == {"Bearer sk-vendor-1"}
    assert set(real.models) == {MODEL}


def test_credentials_can_be_opened_after_the_secret_was_rotated(gateway):
    with vendor("one") as first, vendor("two") as second:
        add_channel(gateway, "first", first.base, "sk-vendor-1", "--models", "ours-1=theirs")
        gateway.run("price", "set", "ours-1", "--free")
        wait_for(lambda: gateway.chat("ours-1").status == 200, "the first channel", SOON)

        answer = gateway.run("secret", "rotate")
        add_channel(gateway, "second", second.base, "sk-vendor-2", "--models", "ours-2=theirs")
        gateway.run("price", "set", "ours-2", "--free")
        wait_for(lambda: gateway.chat("ours-2").status == 200, "the second channel", SOON)

        assert answer == {"resealed": 1}
        assert (gateway.chat("ours-1").said, gateway.chat("ours-2").said) == ("one", "two")
    assert set(first.keys) == {"Bearer sk-vendor-1"}
    assert set(second.keys) == {"Bearer sk-vendor-2"}
    assert set(second.models) == {"theirs"}


def test_a_killed_worker_is_an_error_to_its_clients_and_is_replaced(gateway):
    old, ends, begun = gateway.worker(), [], threading.Barrier(5)
    assert old is not None
    words: Any = [{"role": "user", "content": " ".join(f"word {n}" for n in range(99))}]

    def call() -> None:
        with OpenAI(base_url=f"{gateway.base}/v1", api_key=gateway.key, max_retries=0) as client:
            stream = client.chat.completions.create(
                model="sandbox/slow", messages=words, stream=True
            )
            begun.wait(timeout=30)
            try:
                ends.append("".join(chunk.choices[0].delta.content or "" for chunk in stream))
            except (openai.APIError, httpx2.HTTPError) as broken:
                ends.append(type(broken).__name__)

    threads = [threading.Thread(target=call) for _ in range(4)]
    for thread in threads:
        thread.start()
    begun.wait(timeout=30)
    os.kill(old, signal.SIGKILL)
    for thread in threads:
        thread.join(timeout=30)

    assert len(ends) == 4
    assert not any("word" in end for end in ends)
    assert gateway.chat(ECHO).said == "[sandbox] hi"
    assert gateway.worker() not in {None, old}


def test_a_broken_database_is_a_passing_fault_and_no_wrong_key(gateway, database):
    known, unseen = gateway.new_key(), gateway.new_key()
    wait_for(lambda: gateway.chat(ECHO, key=known.token).status == 200, "the key", SOON)

    database.execute("ALTER TABLE keys RENAME TO hidden")
    try:
        refused = gateway.chat(ECHO, key=unseen.token)
    finally:
        database.execute("ALTER TABLE hidden RENAME TO keys")

    assert (refused.status, refused.body["error"]["type"]) == (503, "service_unavailable_error")
    assert int(refused.headers["retry-after"]) >= 1
    assert refused.headers["x-should-retry"] == "true"
    assert gateway.chat(ECHO, key=unseen.token).status == 200
    assert gateway.chat(ECHO, key="sk-nobodys-0123456789").status == 401


def test_a_database_that_somebody_writes_to_serves_calls_all_the_same(gateway, database):
    unseen = gateway.new_key()

    database.execute("BEGIN IMMEDIATE")
    answered = gateway.chat(ECHO, key=unseen.token).status
    database.execute("ROLLBACK")

    assert answered == 200


def test_it_ends_in_order_and_starts_again_where_it_was(gateway):
    key = gateway.new_key()

    status = gateway.stop()
    gateway.start()

    assert status == 0
    assert gateway.chat(ECHO, key=key.token).said == "[sandbox] hi"
