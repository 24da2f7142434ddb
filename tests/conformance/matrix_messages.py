"""The dialect matrix: who says what in a conversation."""

from tests.conformance.matrix_cells import (
    ABSENT,
    ITS_PLACES,
    MESSAGES,
    Ask,
    Carried,
    Refused,
    asks,
    clients,
    upstreams,
)
from tests.conformance.matrix_wire import (
    A_HI,
    G_HI,
    HI,
    ONE_TURN,
    R_HI,
    g_said,
    g_text,
    g_turns,
    g_user,
    human,
    prompt,
    r_items,
    r_said,
    r_system,
    r_text,
    r_user,
    said,
    text,
    turns,
    user,
)

YO = {"role": "assistant", "content": "Yo"}
TAGGED = "<system>\nS\n</system>"
FILL_IN = "<before>a = </before>\n<after>\nprint(a)</after>"
ASKED_IN_WORDS = "asked for in words"
NO_REFUSAL = "a refusal is a reason to stop there, history holds its text"

CONVERSATIONS = [
    Ask(
        "system prompt",
        clients(
            chat=turns({"role": "system", "content": "S"}, HI),
            responses={"instructions": "S"},
            messages={"system": [text("S")]},
            gemini={"systemInstruction": {"parts": [g_text("S")]}},
            completions=ONE_TURN,
            complete=human("Hi", before="S"),
        ),
        upstreams(
            chat=turns({"role": "system", "content": "S"}, HI),
            responses={"instructions": "S"} | r_items(R_HI),
            messages={"system": [text("S")]} | turns(A_HI),
            gemini={"systemInstruction": {"parts": [g_text("S")]}} | g_turns(G_HI),
        ),
    ),
    Ask(
        "several turns",
        clients(
            chat=turns(HI, YO, HI),
            responses=r_items(HI, YO, HI),
            messages=turns(HI, YO, HI),
            gemini=g_turns(G_HI, g_said(g_text("Yo")), G_HI),
            completions=ONE_TURN,
            complete=human("Hi", after="\n\nAssistant: Yo\n\nHuman: Hi"),
        ),
        upstreams(
            chat=turns(HI, YO, HI),
            responses=r_items(R_HI, r_said("Yo"), R_HI),
            messages=turns(A_HI, said(text("Yo")), A_HI),
            gemini=g_turns(G_HI, g_said(g_text("Yo")), G_HI),
        ),
    ),
    Ask(
        "turns of one role in a row",
        clients(
            chat=turns(HI, {"role": "user", "content": "Yo"}),
            responses=r_items(HI, {"role": "user", "content": "Yo"}),
            messages=turns(HI, {"role": "user", "content": "Yo"}),
            gemini=g_turns(G_HI, g_user(g_text("Yo"))),
            completions=ONE_TURN,
            complete=human("Hi", after="\n\nHuman: Yo"),
        ),
        upstreams(
            chat=turns(HI, {"role": "user", "content": "Yo"}),
            responses=r_items(R_HI, r_user(r_text("Yo"))),
            messages=Carried(turns(user(text("Hi"), text("Yo"))), note="merged into one turn"),
            gemini=Carried(
                g_turns(g_user(g_text("Hi"), g_text("Yo"))), note="merged into one turn"
            ),
        ),
    ),
    Ask(
        "system turn in mid-conversation",
        clients(
            chat=turns(HI, {"role": "system", "content": "S"}),
            responses=r_items(HI, {"role": "system", "content": "S"}),
            messages=turns(HI, {"role": "system", "content": "S"}),
            gemini="instructions stand before the conversation",
            completions=ONE_TURN,
            complete="instructions stand before the conversation",
        ),
        upstreams(
            chat=turns(HI, {"role": "system", "content": "S"}),
            responses=r_items(R_HI, r_system("S")),
            messages=Carried(
                turns(A_HI, {"role": "system", "content": [text("S")]}),
                note="as a system turn; for models without them as text in `<system>` tags",
            ),
            gemini=Carried(
                g_turns(g_user(g_text("Hi"), g_text(TAGGED))),
                note="as the user's text in `<system>` tags",
            ),
        ),
    ),
    Ask(
        "system turn for a model without them",
        clients(
            chat=turns(HI, {"role": "system", "content": "S"}),
            responses=r_items(HI, {"role": "developer", "content": "S"}),
            messages=turns(HI, {"role": "system", "content": "S"}),
            gemini="instructions stand before the conversation",
            completions=ONE_TURN,
            complete="instructions stand before the conversation",
        ),
        upstreams(
            chat=turns(HI, {"role": "system", "content": "S"}),
            responses=r_items(R_HI, r_system("S")),
            messages=Carried(
                turns(user(text("Hi"), text(TAGGED))), note="as the user's text in `<system>` tags"
            ),
            gemini=Carried(
                g_turns(g_user(g_text("Hi"), g_text(TAGGED))),
                note="as the user's text in `<system>` tags",
            ),
        ),
        models={MESSAGES: "claude-sonnet-4-5"},
        is_variant=True,
    ),
    Ask(
        "answer begun by the client",
        clients(
            chat=turns(HI, YO),
            responses=r_items(HI, YO),
            messages=turns(HI, YO),
            gemini=g_turns(G_HI, g_said(g_text("Yo"))),
            completions=ONE_TURN,
            complete=prompt("\n\nHuman: Hi\n\nAssistant: Yo"),
        ),
        upstreams(
            chat=turns(HI, YO),
            responses=r_items(R_HI, r_said("Yo")),
            messages=turns(A_HI, said(text("Yo"))),
            gemini=g_turns(G_HI, g_said(g_text("Yo"))),
        ),
    ),
    Ask(
        "refusal in history",
        clients(
            chat=turns(HI, {"role": "assistant", "content": None, "refusal": "No."}, HI),
            responses=r_items(
                HI,
                {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]},
                HI,
            ),
            messages=NO_REFUSAL,
            gemini=NO_REFUSAL,
            completions=ONE_TURN,
            complete=NO_REFUSAL,
        ),
        upstreams(
            chat=Carried(
                turns(HI, {"role": "assistant", "refusal": "No."}, HI),
                note="as a refusal; as text for servers other than OpenAI's",
            ),
            responses=r_items(R_HI, {"content": [{"type": "refusal", "refusal": "No."}]}, R_HI),
            messages=Carried(turns(A_HI, said(text("No.")), A_HI), note="as text"),
            gemini=Carried(g_turns(G_HI, g_said(g_text("No.")), G_HI), note="as text"),
        ),
    ),
    Ask(
        "participant's name",
        clients(
            chat=asks(turns({**HI, "name": "Bob"}), "messages[0].name"),
            responses="turns have no names",
            messages="turns have no names",
            gemini="turns have no names",
            text="turns have no names",
        ),
        upstreams(
            responses=Carried(r_items(R_HI | {"name": ABSENT}), ITS_PLACES),
            messages=Carried(turns(A_HI | {"name": ABSENT}), ITS_PLACES),
            gemini=Carried(g_turns(G_HI | {"name": ABSENT}), ITS_PLACES),
        ),
    ),
    Ask(
        "text to be completed, with what follows it",
        clients(
            chat="a chat has no text to be completed",
            responses="a chat has no text to be completed",
            messages="a chat has no text to be completed",
            gemini="a chat has no text to be completed",
            completions={"prompt": "a = ", "suffix": "\nprint(a)"},
            complete="a prompt has no suffix",
        ),
        upstreams(
            chat=Carried(
                turns(
                    {"role": "system"},
                    {"role": "user", "content": FILL_IN},
                ),
                note=ASKED_IN_WORDS,
            ),
            responses=Carried(r_items(r_user(r_text(FILL_IN))), note=ASKED_IN_WORDS),
            messages=Carried(turns(user(text(FILL_IN))), note=ASKED_IN_WORDS),
            gemini=Carried(g_turns(g_user(g_text(FILL_IN))), note=ASKED_IN_WORDS),
        ),
    ),
    Ask(
        "content its vendor keeps",
        clients(
            chat="nothing is kept",
            responses=asks({"prompt": {"id": "pmpt_1"}}, "prompt"),
            messages="nothing is kept",
            gemini=asks({"cachedContent": "cachedContents/1"}, "cachedContent"),
            text="nothing is kept",
        ),
        upstreams(chat=Refused(), responses=Refused(), messages=Refused(), gemini=Refused()),
    ),
]
