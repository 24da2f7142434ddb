"""The second line of defence: what looks like a secret does not reach the log."""

import io
import logging

import msgspec
import pytest
import structlog

from meterway.kit import log

KEY = "sk-" + "aB3dEfGh" * 6


@pytest.fixture
def lines():
    """A configured log in JSON, read back as events; the world is put back after."""
    root = logging.getLogger()
    before = root.handlers, root.level
    stream = io.StringIO()
    log.configure("info", "json", stream, {"process": "test"})
    yield lambda: [msgspec.json.decode(line) for line in stream.getvalue().splitlines()]
    structlog.contextvars.clear_contextvars()
    structlog.reset_defaults()
    root.handlers, root.level = before


def test_an_event_is_one_line_with_its_facts(lines):
    structlog.get_logger().info("key.created", key_id=7)

    (event,) = lines()
    assert (event["event"], event["key_id"], event["process"]) == ("key.created", 7, "test")
    assert event["level"] == "info"
    assert event["timestamp"].endswith("Z")


@pytest.mark.parametrize(
    "facts",
    [
        {"message": f"Incorrect API key provided: {KEY}."},
        {"header": f"Bearer {KEY}"},
        {"header": "Basic dXNlcjpwYXNzd29yZA=="},
        {"authorization": "whatever-it-is"},
        {"headers": {"X-Api-Key": "whatever-it-is", "other": [KEY, {"deep": KEY}]}},
        {"url": "postgresql://user:whatever-it-is@db/name"},
        {"event_text": "key=AIzaSyA1234567890abcdefghij"},
    ],
)
def test_what_looks_like_a_secret_is_masked(lines, facts):
    structlog.get_logger().warning("upstream.failed", **facts)

    text = str(lines())
    assert "***" in text
    for secret in (KEY, "whatever-it-is", "dXNlcjpwYXNzd29yZA", "SyA1234567890"):
        assert secret not in text


def test_ordinary_facts_are_left_alone(lines):
    facts = {"channel": "risk-averse", "model": "gpt-4o-mini-2024-07-18", "path": "/v1/chat"}

    structlog.get_logger().info("call.ended", **facts, tokens=12)

    (event,) = lines()
    assert facts.items() <= event.items()
    assert event["tokens"] == 12


def test_a_traceback_shows_neither_variables_nor_keys(lines):
    prompt = "a private prompt"
    try:
        raise ValueError(f"bad {KEY}")
    except ValueError as error:
        structlog.get_logger().error("request.failed", exc_info=error)

    text = str(lines())
    assert "ValueError" in text
    assert KEY not in text
    assert prompt not in text


def test_what_libraries_warn_of_joins_the_log_and_their_chatter_does_not(lines):
    logging.getLogger("some.library").info("chatter")
    logging.getLogger("some.library").warning("bad %s", KEY)

    (event,) = lines()
    assert (event["event"], event["library"]) == ("library.reported", "some.library")
    assert KEY not in str(event)


def test_less_than_the_level_is_not_written(lines):
    structlog.get_logger().debug("request.abandoned")

    assert lines() == []
