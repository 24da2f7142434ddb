"""The rows that vendors' published suites take for granted, put into a gateway's SQLite file.

The suites delete one and the same id again and again, so each row comes back when it is deleted:
by triggers of this one database, not by anything of the product.
"""

import json
import sqlite3
from contextlib import closing

import msgspec

from meterway.protocols.chat.openai_responses import frame_of
from tests.factories.gateways import Gateway

CONVERSATION, ITEM, COMPLETION = "conv_123", "msg_abc", "completion_id"
RESPONSES = (
    "resp_677efb5139a88190b512bc3fef8e535d",
    "response_id",
    "resp_123",
    "previous_response_id",
)
_CURSOR = "after"  # what the suites' lists go on behind
_MESSAGE = (
    '{"id":"msg_abc","type":"message","status":"completed","role":"user",'
    '"content":[{"type":"input_text","text":"hi"}]}'
)
_REPLY = (
    '{"id":"completion_id","object":"chat.completion","created":1,"model":"gpt-4o-mini",'
    '"choices":[{"index":0,"message":{"role":"assistant","content":"ho"},'
    '"finish_reason":"stop","logprobs":null}]}'
)
_ASKED = '[{"role":"assistant","content":"hi","refusal":null}]'  # the SDK's type has no other role
_CONVERSATION = (
    "INSERT OR IGNORE INTO conversations "
    "(id, user_id, created_at, metadata, next_position, size) "
    "VALUES ('conv_123', {user}, 1000, '{}', 2, 200)"
)
_ITEM = (
    "INSERT OR IGNORE INTO conversation_items "
    "(conversation_id, position, item_id, type, body) "
    f"VALUES ('conv_123', 0, 'msg_abc', 'message', CAST('{_MESSAGE}' AS BLOB))"
)
_COMPLETION = (
    "INSERT OR IGNORE INTO stored_completions "
    "(id, user_id, key_id, created_at, model, messages, body) VALUES "
    "('completion_id', {user}, 1, 1000, 'gpt-4o-mini', "
    f"CAST('{_ASKED}' AS BLOB), CAST('{_REPLY}' AS BLOB))"
)
_RESPONSE = (
    "INSERT OR IGNORE INTO responses "
    "(id, user_id, key_id, created_at, status, background, model, input, body, output) VALUES "
    "('{id}', {user}, 1, 1000, 'completed', 1, 'gpt-4o-mini', "
    "CAST('[{ITEM},{AFTER}]' AS BLOB), CAST('{BODY}' AS BLOB), CAST('[]' AS BLOB))"
)


def _response(id_: str, user: int) -> str:
    """Return what puts a response of the suites back."""
    body = frame_of({}, id_, 1).echo
    shown = {
        **{name: msgspec.json.decode(value) for name, value in body.items()},
        "id": id_,
        "object": "response",
        "created_at": 1,
        "model": "gpt-4o-mini",
        "status": "completed",
        "output": [],
        "error": None,
        "incomplete_details": None,
    }
    values = {
        "{id}": id_,
        "{user}": str(user),
        "{ITEM}": _MESSAGE,
        "{AFTER}": _MESSAGE.replace(ITEM, _CURSOR),
        "{BODY}": json.dumps(shown),
    }
    statement = _RESPONSE
    for name, value in values.items():
        statement = statement.replace(name, value)
    return statement


def seed(gateway: Gateway, user: int = 1) -> None:
    """Give the suites' conversation, item and completion to a user of a gateway that is set up."""
    completion = _COMPLETION.replace("{user}", str(user))
    thread = (
        _CONVERSATION.replace("{user}", str(user)),
        _ITEM,
        _ITEM.replace(ITEM, _CURSOR).replace(" 0,", " 1,"),
    )
    with closing(sqlite3.connect(gateway.data / "meterway.db")) as database, database:
        for statement in (*thread, completion, completion.replace(COMPLETION, _CURSOR)):
            database.execute(statement)
        database.execute(thread[0].replace(CONVERSATION, "string"))
        for id_ in RESPONSES:
            database.execute(_response(id_, user))
            database.execute(_again("responses", "id", id_, _response(id_, user)))
        database.execute(_again("conversations", "id", CONVERSATION, *thread))
        database.execute(_again("conversation_items", "item_id", ITEM, *thread))
        database.execute(_again("stored_completions", "id", COMPLETION, completion))


def _again(table: str, column: str, value: str, *statements: str) -> str:
    """Return the trigger that puts a deleted row back."""
    return (
        f"CREATE TRIGGER seed_{table}_{value} AFTER DELETE ON {table} "
        f"WHEN OLD.{column} = '{value}' BEGIN {'; '.join(statements)}; END"
    )
