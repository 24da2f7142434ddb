"""The dialect matrix: knobs of sampling, the form of the answer, and what the call is billed as."""

from meterway.protocols.chat.anthropic_messages.request_out import JSON_ONLY
from tests.conformance.matrix_cells import (
    ABSENT,
    CHAT,
    COMPLETIONS,
    GEMINI,
    ITS_PLACES,
    MESSAGES,
    RESPONSES,
    Ask,
    Carried,
    Refused,
    asks,
    clients,
    upstreams,
)
from tests.conformance.matrix_parties import PLAIN
from tests.conformance.matrix_wire import SCHEMA, g_config, text

OLD = {MESSAGES: "claude-sonnet-4-20250514", CHAT: PLAIN, RESPONSES: PLAIN}
NO_SUCH_KNOB = "no such knob"
NO_FORM = "completions have no form"
PENALTIES = {"presence_penalty": 1, "frequency_penalty": 1}
BIAS = {"logit_bias": {"5": 1}}

KNOBS = [
    Ask(
        "output limit",
        clients(
            chat={"max_completion_tokens": 50},
            responses={"max_output_tokens": 50},
            messages={"max_tokens": 50},
            gemini=g_config(maxOutputTokens=50),
            completions={"max_tokens": 50},
            complete={"max_tokens_to_sample": 50},
        ),
        upstreams(
            chat={"max_completion_tokens": 50},
            responses={"max_output_tokens": 50},
            messages={"max_tokens": 50},
            gemini=g_config(maxOutputTokens=50),
        ),
    ),
    Ask(
        "no output limit",
        clients(
            chat={},
            responses={},
            messages="`max_tokens` is mandatory",
            gemini={},
            completions="16 tokens are the default",
            complete="`max_tokens_to_sample` is mandatory",
        ),
        upstreams(
            chat={"max_completion_tokens": ABSENT},
            responses={"max_output_tokens": ABSENT},
            messages=Carried({"max_tokens": 8192}, note="as 8192; 4096 before Claude 3.5"),
            gemini={"generationConfig": ABSENT},
        ),
    ),
    Ask(
        "stop sequences",
        clients(
            chat={"stop": ["X", "Y"]},
            responses=NO_SUCH_KNOB,
            messages={"stop_sequences": ["X", "Y"]},
            gemini=g_config(stopSequences=["X", "Y"]),
            completions={"stop": ["X", "Y"]},
            complete={"stop_sequences": ["X", "Y"]},
        ),
        upstreams(
            chat={"stop": ["X", "Y"]},
            responses=Carried({"stop": ABSENT}, ("stop",)),
            messages={"stop_sequences": ["X", "Y"]},
            gemini=g_config(stopSequences=["X", "Y"]),
        ),
    ),
    Ask(
        "temperature",
        clients(
            chat={"temperature": 0.5},
            responses={"temperature": 0.5},
            messages={"temperature": 0.5},
            gemini=g_config(temperature=0.5),
            completions={"temperature": 0.5},
            complete={"temperature": 0.5},
        ),
        upstreams(
            chat={"temperature": 0.5},
            responses={"temperature": 0.5},
            messages=Carried({"temperature": 0.5}, note="but left out and named since Claude 4.7"),
            gemini=g_config(temperature=0.5),
        ),
        models=OLD,
    ),
    Ask(
        "temperature above 1",
        clients(
            chat={"temperature": 1.5},
            responses={"temperature": 1.5},
            messages="1 is the highest",
            gemini=g_config(temperature=1.5),
            completions={"temperature": 1.5},
            complete="1 is the highest",
        ),
        upstreams(
            chat={"temperature": 1.5},
            responses={"temperature": 1.5},
            messages=Carried({"temperature": 1}, ("temperature",), note="sent as 1"),
            gemini=g_config(temperature=1.5),
        ),
        models=OLD,
    ),
    Ask(
        "top_p",
        clients(
            chat={"top_p": 0.9},
            responses={"top_p": 0.9},
            messages={"top_p": 0.9},
            gemini=g_config(topP=0.9),
            completions={"top_p": 0.9},
            complete={"top_p": 0.9},
        ),
        upstreams(
            chat={"top_p": 0.9},
            responses={"top_p": 0.9},
            messages=Carried({"top_p": 0.9}, note="but left out and named since Claude 4.7"),
            gemini=g_config(topP=0.9),
        ),
        models=OLD,
    ),
    Ask(
        "top_k",
        clients(
            chat={"top_k": 5},
            responses="no such knob",
            messages={"top_k": 5},
            gemini=g_config(topK=5),
            completions={"top_k": 5},
            complete={"top_k": 5},
        ),
        upstreams(
            chat=Carried({"top_k": ABSENT}, ("top_k",)),
            responses=Carried({"top_k": ABSENT}, ("top_k",)),
            messages={"top_k": 5},
            gemini=g_config(topK=5),
        ),
        models=OLD,
    ),
    Ask(
        "sampling knobs for a Claude that has none",
        clients(
            chat={"temperature": 0.5},
            responses={"temperature": 0.5},
            messages={"temperature": 0.5},
            gemini=g_config(temperature=0.5),
            completions={"temperature": 0.5},
            complete={"temperature": 0.5},
        ),
        upstreams(
            chat={"temperature": 0.5},
            responses={"temperature": 0.5},
            messages=Carried({"temperature": ABSENT}, ("temperature",)),
            gemini=g_config(temperature=0.5),
        ),
        is_variant=True,
    ),
    Ask(
        "seed",
        clients(
            chat={"seed": 1},
            responses=NO_SUCH_KNOB,
            messages=NO_SUCH_KNOB,
            gemini=g_config(seed=1),
            completions={"seed": 1},
            complete=NO_SUCH_KNOB,
        ),
        upstreams(
            chat={"seed": 1},
            responses=Carried({"seed": ABSENT}, ("seed",)),
            messages=Carried({"seed": ABSENT}, ("seed",)),
            gemini=g_config(seed=1),
        ),
    ),
    Ask(
        "penalties",
        clients(
            chat=PENALTIES,
            responses=PENALTIES,
            messages=NO_SUCH_KNOB,
            gemini=g_config(presencePenalty=1, frequencyPenalty=1),
            completions=PENALTIES,
            complete=NO_SUCH_KNOB,
        ),
        upstreams(
            chat=PENALTIES,
            responses=Carried(dict.fromkeys(PENALTIES, ABSENT), tuple(PENALTIES)),
            messages=Carried(dict.fromkeys(PENALTIES, ABSENT), tuple(PENALTIES)),
            gemini=g_config(presencePenalty=1, frequencyPenalty=1),
        ),
    ),
    Ask(
        "token biases",
        clients(
            chat=BIAS,
            responses=NO_SUCH_KNOB,
            messages=NO_SUCH_KNOB,
            gemini=NO_SUCH_KNOB,
            completions=BIAS,
            complete=NO_SUCH_KNOB,
        ),
        upstreams(
            chat=BIAS,
            responses=Carried({"logit_bias": ABSENT}, ("logit_bias",)),
            messages=Carried({"logit_bias": ABSENT}, ("logit_bias",)),
            gemini=Carried({"generationConfig": ABSENT}, ("logit_bias",)),
        ),
        pairs={
            (COMPLETIONS, GEMINI): Carried(g_config(maxOutputTokens=16), ("logit_bias",)),
        },
    ),
    Ask(
        "logprobs",
        clients(
            chat={"logprobs": True, "top_logprobs": 3},
            responses={"include": ["message.output_text.logprobs"], "top_logprobs": 3},
            messages="no logprobs",
            gemini=g_config(responseLogprobs=True, logprobs=3),
            completions={"logprobs": 3},
            complete="no logprobs",
        ),
        upstreams(
            chat={"logprobs": True, "top_logprobs": 3},
            responses={"include": ["message.output_text.logprobs"], "top_logprobs": 3},
            messages=Carried({"logprobs": ABSENT}, ("logprobs", "top_logprobs")),
            gemini=g_config(responseLogprobs=True, logprobs=3),
        ),
    ),
    Ask(
        "several choices",
        clients(
            chat=asks({"n": 2}, "n"),
            responses="replies have one choice",
            messages="replies have one choice",
            gemini=asks(g_config(candidateCount=2), "generationConfig.candidateCount"),
            completions=asks({"n": 2}, "n"),
            complete="replies have one choice",
        ),
        upstreams(
            chat={"n": 2},
            responses=Refused("n"),
            messages=Refused("n"),
            gemini=g_config(candidateCount=2),
        ),
    ),
]

FORMS = [
    Ask(
        "output of a JSON schema",
        clients(
            chat={
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "n", "strict": True, "schema": SCHEMA},
                }
            },
            responses={
                "text": {
                    "format": {"type": "json_schema", "name": "n", "strict": True, "schema": SCHEMA}
                }
            },
            messages={"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}},
            gemini=g_config(responseMimeType="application/json", responseJsonSchema=SCHEMA),
            text=NO_FORM,
        ),
        upstreams(
            chat={"response_format": {"type": "json_schema", "json_schema": {"schema": SCHEMA}}},
            responses={"text": {"format": {"type": "json_schema", "schema": SCHEMA}}},
            messages=Carried(
                {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}},
                note="structured output, objects closed; in words for models without it",
            ),
            gemini=g_config(responseMimeType="application/json", responseJsonSchema=SCHEMA),
        ),
    ),
    Ask(
        "output of any JSON object",
        clients(
            chat={"response_format": {"type": "json_object"}},
            responses={"text": {"format": {"type": "json_object"}}},
            messages="a format has a schema",
            gemini=g_config(responseMimeType="application/json"),
            text=NO_FORM,
        ),
        upstreams(
            chat={"response_format": {"type": "json_object"}},
            responses={"text": {"format": {"type": "json_object"}}},
            messages=Carried(
                {"system": [text(JSON_ONLY)]}, note="as an instruction in the system prompt"
            ),
            gemini=g_config(responseMimeType="application/json", responseJsonSchema=ABSENT),
        ),
    ),
    Ask(
        "output of one of several words",
        clients(
            chat="a form is JSON",
            responses="a form is JSON",
            messages="a form is JSON",
            gemini=asks(
                g_config(
                    responseMimeType="text/x.enum",
                    responseSchema={"type": "STRING", "enum": ["a", "b"]},
                ),
                "generationConfig.responseMimeType",
                "generationConfig.responseSchema",
            ),
            text=NO_FORM,
        ),
        upstreams(
            chat=Carried({"response_format": ABSENT}, ITS_PLACES),
            responses=Carried({"text": ABSENT}, ITS_PLACES),
            messages=Carried({"output_config": ABSENT}, ITS_PLACES),
        ),
    ),
    Ask(
        "output of other kinds than text",
        clients(
            chat=asks({"modalities": ["text", "audio"]}, "modalities"),
            responses="replies are text",
            messages="replies are text",
            gemini=asks(
                g_config(responseModalities=["TEXT", "IMAGE"]),
                "generationConfig.responseModalities",
            ),
            text="replies are text",
        ),
        upstreams(
            chat=Carried({"modalities": ABSENT}, ITS_PLACES),
            responses=Carried({"modalities": ABSENT}, ITS_PLACES),
            messages=Carried({"modalities": ABSENT}, ITS_PLACES),
            gemini=Carried({"generationConfig": ABSENT}, ITS_PLACES),
        ),
    ),
    Ask(
        "how wordy the answer is",
        clients(
            chat=asks({"verbosity": "low"}, "verbosity"),
            responses=asks({"text": {"verbosity": "low"}}, "text.verbosity"),
            messages=NO_SUCH_KNOB,
            gemini=NO_SUCH_KNOB,
            text=NO_SUCH_KNOB,
        ),
        upstreams(
            chat=Carried({"verbosity": ABSENT}, ITS_PLACES),
            responses=Carried({"text": ABSENT}, ITS_PLACES),
            messages=Carried({"verbosity": ABSENT}, ITS_PLACES),
            gemini=Carried({"generationConfig": ABSENT}, ITS_PLACES),
        ),
    ),
]

SAFETY = [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}]
TERMS = [
    Ask(
        "end user's id",
        clients(
            chat={"user": "u"},
            responses={"user": "u"},
            messages={"metadata": {"user_id": "u"}},
            gemini="users are not named",
            completions={"user": "u"},
            complete={"metadata": {"user_id": "u"}},
        ),
        upstreams(
            chat={"user": "u"},
            responses={"user": "u"},
            messages={"metadata": {"user_id": "u"}},
            gemini=Carried({"user": ABSENT}, ("user",)),
        ),
    ),
    Ask(
        "standard tier only",
        clients(
            chat={"service_tier": "default"},
            responses={"service_tier": "default"},
            messages={"service_tier": "standard_only"},
            gemini={"serviceTier": "standard"},
            text="completions have no tiers",
        ),
        upstreams(
            chat={"service_tier": "default"},
            responses={"service_tier": "default"},
            messages={"service_tier": "standard_only"},
            gemini={"serviceTier": "standard"},
        ),
    ),
    Ask(
        "a cheaper or faster tier",
        clients(
            chat={"service_tier": "flex"},
            responses={"service_tier": "flex"},
            messages="such tiers are no part of a request",
            gemini={"serviceTier": "flex"},
            text="completions have no tiers",
        ),
        upstreams(
            chat={"service_tier": "flex"},
            responses={"service_tier": "flex"},
            messages=Carried({"service_tier": ABSENT}, ("service_tier",)),
            gemini={"serviceTier": "flex"},
        ),
    ),
    Ask(
        "safety settings",
        clients(
            chat="no such settings",
            responses="no such settings",
            messages="no such settings",
            gemini=asks({"safetySettings": SAFETY}, "safetySettings"),
            text="no such settings",
        ),
        upstreams(
            chat=Carried({"safetySettings": ABSENT}, ITS_PLACES),
            responses=Carried({"safetySettings": ABSENT}, ITS_PLACES),
            messages=Carried({"safetySettings": ABSENT}, ITS_PLACES),
        ),
    ),
    Ask(
        "a context cut to what the model takes",
        clients(
            chat="contexts are the client's",
            responses=asks({"truncation": "auto"}, "truncation"),
            messages=asks(
                {"context_management": {"edits": [{"type": "clear_tool_uses_20250919"}]}},
                "context_management",
            ),
            gemini="contexts are the client's",
            text="contexts are the client's",
        ),
        upstreams(
            chat=Carried({"truncation": ABSENT, "context_management": ABSENT}, ITS_PLACES),
            responses=Carried({"context_management": ABSENT}, ITS_PLACES),
            messages=Carried({"truncation": ABSENT}, ITS_PLACES),
            gemini=Carried({"truncation": ABSENT, "context_management": ABSENT}, ITS_PLACES),
        ),
    ),
    Ask(
        "fields nobody knows",
        clients(
            chat=asks({"novelty": {"x": 1}}, "novelty"),
            responses=asks({"novelty": {"x": 1}}, "novelty"),
            messages=asks({"novelty": {"x": 1}}, "novelty"),
            gemini=asks({"novelty": {"x": 1}}, "novelty"),
            completions=asks({"novelty": {"x": 1}}, "novelty"),
            complete=asks({"novelty": {"x": 1}}, "novelty"),
        ),
        upstreams(
            chat=Carried({"novelty": ABSENT}, ITS_PLACES),
            responses=Carried({"novelty": ABSENT}, ITS_PLACES),
            messages=Carried({"novelty": ABSENT}, ITS_PLACES),
            gemini=Carried({"novelty": ABSENT}, ITS_PLACES),
        ),
    ),
]
SAMPLING = [*KNOBS, *FORMS, *TERMS]
