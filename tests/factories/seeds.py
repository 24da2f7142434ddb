"""The rows that vendors' published suites take for granted, put into a gateway's SQLite file.

The suites delete one and the same id again and again, so each row comes back when it is deleted:
by triggers of this one database, not by anything of the product.
"""

import sqlite3
from contextlib import closing

from tests.factories.gateways import Gateway

CONVERSATION, ITEM, COMPLETION = "conv_123", "msg_abc", "completion_id"
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
        database.execute(_again("conversations", "id", CONVERSATION, *thread))
        database.execute(_again("conversation_items", "item_id", ITEM, *thread))
        database.execute(_again("stored_completions", "id", COMPLETION, completion))


def _again(table: str, column: str, value: str, *statements: str) -> str:
    """Return the trigger that puts a deleted row back."""
    return (
        f"CREATE TRIGGER seed_{table} AFTER DELETE ON {table} "
        f"WHEN OLD.{column} = '{value}' BEGIN {'; '.join(statements)}; END"
    )
