"""`docs/dialects.md`: the dialect matrix in words, one chapter per client dialect."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from meterway.protocols.dialects import Dialect
from tests.conformance.matrix_cells import (
    CHAT,
    CLIENTS,
    COMPLETE,
    COMPLETIONS,
    GEMINI,
    MESSAGES,
    RESPONSES,
    UPSTREAMS,
    Ask,
    Carried,
    Example,
    Failing,
    Heard,
    NotAskable,
    NotSayable,
    Pair,
    Refused,
    Tell,
    Unchanged,
)
from tests.conformance.matrix_rows import REPLIES, REQUESTS

PAGE = Path(__file__).parents[2] / "docs" / "dialects.md"
NAMES = {
    CHAT: "Chat Completions",
    RESPONSES: "Responses",
    MESSAGES: "Messages",
    GEMINI: "Gemini API",
    COMPLETIONS: "Completions",
    COMPLETE: "Complete",
}
HEADS = {
    CHAT: "OpenAI's `POST /v1/chat/completions`",
    RESPONSES: "OpenAI's `POST /v1/responses`",
    MESSAGES: "Anthropic's `POST /v1/messages`",
    GEMINI: "Google's `generateContent` and `streamGenerateContent`, as events and as a JSON array",
    COMPLETIONS: "OpenAI's legacy `POST /v1/completions`",
    COMPLETE: "Anthropic's legacy `POST /v1/complete`",
}
CARRIED, UNTOLD, SILENT = "✓", "not told", "—"
INTRODUCTION = """\
# Dialects

Six dialects are understood from clients, and four are spoken to upstreams. This page shows what a
client of each can ask of, and hear from, an upstream of another. It is made from the tables that
the test suite checks cell by cell, for whole replies and for streams, and rewritten by
`python -m scripts.build_docs`.

Between equal dialects requests, replies and streams pass unchanged: the gateway sets the model's
name, asks for usage where that has to be asked for, and keeps the state of Responses itself. What
does not pass even so is named at the head of a chapter.

In the tables, of requests and then of replies:

| mark | meaning |
| --- | --- |
| ✓ | carried, in the other dialect's words; how, where that is not plain |
| left out | answered without it: `x-meterway-dropped` has its place in the request, or that name |
| refused | a 400 `unsupported_content`: `param` is its place in the request, or that name |
| not told | the client's dialect has no word for it, the rest of the reply is told |
| fails | the client's dialect has no word for it, and the reply is none without: a 502 |
| — | the upstream's dialect has no word for it |

Where a model decides, the newest of its vendor is meant unless the row names another.
"""


def matrix_page() -> str:
    """The whole page."""
    return "\n".join([INTRODUCTION, *(_chapter(client) for client in CLIENTS)])


def _chapter(client: Dialect) -> str:
    lines = [f"## Clients of {NAMES[client]}", "", f"{HEADS[client]}.", ""]
    if passing := _exceptions(client):
        lines += ["Upstreams of the same dialect are sent all of it but these:", "", *passing, ""]
    lines += ["### What is asked", "", *_table(client, "to", REQUESTS), ""]
    lines += _unasked("Not asked in this dialect", client, REQUESTS)
    lines += ["### What is heard", "", *_table(client, "from", REPLIES), ""]
    lines += _unasked("Not heard in this dialect", client, REPLIES)
    return "\n".join(lines)


def _exceptions(client: Dialect) -> list[str]:
    return [
        f"- {row.title}: {cell.note}"
        for row in _rows(REQUESTS)
        if isinstance(cell := row.cell((client, client)), Carried)
    ]


def _table(client: Dialect, way: str, groups: Mapping[str, Sequence[Ask | Tell]]) -> list[str]:
    others = [upstream for upstream in UPSTREAMS if upstream is not client]
    lines = [
        ["", *(f"{way} {NAMES[upstream]}" for upstream in others)],
        ["---"] * (len(others) + 1),
    ]
    for group, rows in groups.items():
        shown = [
            [row.title, *(_words(row, (client, upstream)) for upstream in others)]
            for row in _shown(rows)
            if not isinstance(row.clients.get(client), NotAskable)
        ]
        shown = [line for line in shown if set(line[1:]) != {SILENT}]
        if shown:
            lines += [[f"**{group}**", *([""] * len(others))], *shown]
    return ["| " + " | ".join(line) + " |" for line in lines]


def _unasked(title: str, client: Dialect, groups: Mapping[str, Sequence[Ask | Tell]]) -> list[str]:
    """The rows a client has no words for, by the reason why."""
    reasons: dict[str, list[str]] = {}
    for group, rows in groups.items():
        whys = [_why(row, client) for row in _shown(rows)]
        if whys[0] and len(set(whys)) == 1:
            reasons.setdefault(whys[0], []).append(f"all of **{group}**")
            continue
        for row, why in zip(_shown(rows), whys, strict=True):
            if why:
                reasons.setdefault(why, []).append(row.title)
    if not reasons:
        return []
    told = [f"- {'; '.join(titles)} ({why})" for why, titles in reasons.items()]
    return [f"{title}:", "", *told, ""]


def _rows(groups: Mapping[str, Sequence[Ask | Tell]]) -> Iterable[Ask | Tell]:
    return (row for rows in groups.values() for row in _shown(rows))


def _why(row: Ask | Tell, client: Dialect) -> str:
    cell = row.clients.get(client)
    return cell.why if isinstance(cell, NotAskable) else ""


def _shown(rows: Sequence[Ask | Tell]) -> list[Ask | Tell]:
    return [row for row in rows if isinstance(row, Tell) or not row.is_variant]


def _words(row: Ask | Tell, pair: Pair) -> str:
    """A cell in the words of the page."""
    example = row.clients.get(pair[0])
    places = example.places if isinstance(example, Example) else ()
    match row.cell(pair):
        case Carried(dropped=dropped, note=note):
            kept = f"{CARRIED} {note}".strip() if note or not dropped else ""
            gone = _named("left out", () if dropped == places else dropped) if dropped else ""
            return "; ".join(filter(None, (kept, gone)))
        case Refused(param=param):
            return _named("refused", () if param in places else (param,))
        case Heard(note=note, is_told=is_told):
            return f"{CARRIED if is_told else UNTOLD} {note}".strip()
        case Failing():
            return "fails"
        case NotSayable():
            return SILENT
        case Unchanged() | NotAskable() | None:
            raise AssertionError("shown elsewhere, or not at all")


def _named(mark: str, names: tuple[str, ...]) -> str:
    return f"{mark}: {', '.join(f'`{name}`' for name in names)}" if names else mark
