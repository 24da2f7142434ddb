"""The dialects' words, as the rows of the matrix use them.

`o_` is OpenAI's chat completions, `r_` its Responses, `a_` Anthropic's Messages, `g_` Gemini's API.
Written from the vendors' documentation alone.
"""

from typing import Any

Wire = dict[str, Any]

SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": False}
PNG, PDF, WAV = "iVBORw0KGgo=", "JVBERi0xLjQ=", "UklGRg=="
IMAGE_URL, PDF_URL = "https://example.org/a.png", "https://example.org/a.pdf"


def text(words: str) -> Wire:
    """A text part of OpenAI's chat completions and of Anthropic's Messages."""
    return {"type": "text", "text": words}


def turns(*messages: Wire) -> Wire:
    """A conversation of OpenAI's chat completions or of Anthropic's Messages."""
    return {"messages": list(messages)}


def user(*content: Any) -> Wire:
    """A user's turn there."""
    return {"role": "user", "content": list(content)}


def said(*content: Any) -> Wire:
    """The model's turn there."""
    return {"role": "assistant", "content": list(content)}


HI: Wire = {"role": "user", "content": "Hi"}

# -- OpenAI's chat completions ---------------------------------------------------------------------

O_FUNCTION: Wire = {"name": "f", "description": "d", "parameters": SCHEMA}
O_TOOL: Wire = {"type": "function", "function": O_FUNCTION}
O_IMAGE: Wire = {"type": "image_url", "image_url": {"url": IMAGE_URL}}
O_DATA_IMAGE: Wire = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}
O_FILE: Wire = {
    "type": "file",
    "file": {"filename": "a.pdf", "file_data": f"data:application/pdf;base64,{PDF}"},
}
O_AUDIO: Wire = {"type": "input_audio", "input_audio": {"data": WAV, "format": "wav"}}


def o_call(id_: str, name: str = "f", arguments: str = '{"a":"b"}') -> Wire:
    return {"id": id_, "type": "function", "function": {"name": name, "arguments": arguments}}


def o_calls(*calls: Wire) -> Wire:
    return {"role": "assistant", "content": None, "tool_calls": list(calls)}


def o_result(id_: str, content: Any) -> Wire:
    return {"role": "tool", "tool_call_id": id_, "content": content}


# -- OpenAI's Responses ----------------------------------------------------------------------------

R_TOOL: Wire = {"type": "function", **O_FUNCTION}
R_IMAGE: Wire = {"type": "input_image", "image_url": IMAGE_URL, "detail": "auto"}
R_DATA_IMAGE: Wire = {
    "type": "input_image",
    "image_url": f"data:image/png;base64,{PNG}",
    "detail": "auto",
}
R_FILE: Wire = {
    "type": "input_file",
    "filename": "a.pdf",
    "file_data": f"data:application/pdf;base64,{PDF}",
}


def r_text(words: str) -> Wire:
    return {"type": "input_text", "text": words}


def r_items(*items: Wire) -> Wire:
    """An input."""
    return {"input": list(items)}


def r_user(*content: Wire) -> Wire:
    return {"type": "message", "role": "user", "content": list(content)}


def r_system(words: str) -> Wire:
    return {"type": "message", "role": "system", "content": [r_text(words)]}


def r_said(words: str) -> Wire:
    """A message of the model."""
    part = {"type": "output_text", "text": words, "annotations": []}
    return {"type": "message", "role": "assistant", "content": [part]}


def r_call(id_: str, name: str = "f", arguments: str = '{"a":"b"}') -> Wire:
    return {"type": "function_call", "call_id": id_, "name": name, "arguments": arguments}


def r_result(id_: str, output: Any) -> Wire:
    return {"type": "function_call_output", "call_id": id_, "output": output}


R_HI = r_user(r_text("Hi"))

# -- Anthropic's Messages --------------------------------------------------------------------------

A_TOOL: Wire = {"name": "f", "description": "d", "input_schema": SCHEMA}
A_IMAGE: Wire = {"type": "image", "source": {"type": "url", "url": IMAGE_URL}}
A_DATA_IMAGE: Wire = {
    "type": "image",
    "source": {"type": "base64", "media_type": "image/png", "data": PNG},
}
A_FILE: Wire = {
    "type": "document",
    "source": {"type": "base64", "media_type": "application/pdf", "data": PDF},
    "title": "a.pdf",
}
A_FILE_BY_URL: Wire = {"type": "document", "source": {"type": "url", "url": PDF_URL}}
HOUR = {"type": "ephemeral", "ttl": "1h"}


def a_call(id_: str, name: str = "f") -> Wire:
    return {"type": "tool_use", "id": id_, "name": name, "input": {"a": "b"}}


def a_result(id_: str, content: Any, **more: Any) -> Wire:
    return {"type": "tool_result", "tool_use_id": id_, "content": content, **more}


A_HI = user(text("Hi"))

# -- Gemini's API ----------------------------------------------------------------------------------

G_FUNCTION: Wire = {"name": "f", "description": "d", "parametersJsonSchema": SCHEMA}
G_DATA_IMAGE: Wire = {"inlineData": {"mimeType": "image/png", "data": PNG}}
G_FILE: Wire = {"inlineData": {"mimeType": "application/pdf", "data": PDF}}


def g_tools(*functions: Wire) -> Wire:
    return {"tools": [{"functionDeclarations": list(functions)}]}


def g_calling(mode: str, *names: str) -> Wire:
    config: Wire = {"mode": mode} | ({"allowedFunctionNames": list(names)} if names else {})
    return {"toolConfig": {"functionCallingConfig": config}}


def g_turns(*contents: Wire) -> Wire:
    return {"contents": list(contents)}


def g_text(words: str) -> Wire:
    return {"text": words}


def g_user(*parts: Wire) -> Wire:
    return {"role": "user", "parts": list(parts)}


def g_said(*parts: Wire) -> Wire:
    return {"role": "model", "parts": list(parts)}


def g_call(id_: str, name: str = "f", **more: Any) -> Wire:
    return {"functionCall": {"id": id_, "name": name, "args": {"a": "b"}}, **more}


def g_result(id_: str, response: Wire, name: str = "f", **more: Any) -> Wire:
    return {"functionResponse": {"id": id_, "name": name, "response": response, **more}}


def g_config(**knobs: Any) -> Wire:
    return {"generationConfig": knobs}


G_HI = g_user(g_text("Hi"))

# -- legacy text completions -----------------------------------------------------------------------

ONE_TURN = "a prompt is one turn of the user"
NO_TOOLS = "completions have no tools"
TEXT_ALONE = "a prompt is text"


def prompt(words: str) -> Wire:
    """A prompt of either legacy dialect."""
    return {"prompt": words}


def human(words: str, before: str = "", after: str = "") -> Wire:
    """A prompt in Anthropic's form."""
    return prompt(f"{before}\n\nHuman: {words}{after}\n\nAssistant:")
