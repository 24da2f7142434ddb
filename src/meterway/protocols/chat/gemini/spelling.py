"""Two spellings of one name: Google's server takes `inlineData` and `inline_data` alike.

Its JSON follows protobuf's mapping, which accepts the lower camel case name and the original one
(https://protobuf.dev/programming-guides/json/). The codec reads the first; here the second is
turned into it, in the places whose names are the API's: arguments, results and schemas of the
client's own keep theirs. A field given in both spellings is refused, so that what is priced is
what is sent on.
"""

import re
from typing import Final

import msgspec

from meterway.kit import json
from meterway.kit.errors import InvalidRequestError

_NAMES: Final = (
    "system_instruction", "generation_config", "tool_config", "safety_settings", "cached_content",
    "service_tier", "generate_content_request", "inline_data", "file_data", "function_call",
    "function_response", "executable_code", "code_execution_result", "tool_call", "tool_response",
    "thought_signature", "video_metadata", "media_resolution", "part_metadata", "mime_type",
    "file_uri", "display_name", "function_declarations", "parameters_json_schema",
    "response_json_schema", "google_search", "google_search_retrieval", "google_maps",
    "code_execution", "url_context", "file_search", "computer_use", "mcp_servers",
    "function_calling_config", "allowed_function_names", "retrieval_config", "max_output_tokens",
    "top_p", "top_k", "stop_sequences", "candidate_count", "presence_penalty",
    "frequency_penalty", "response_mime_type", "response_schema", "response_logprobs",
    "response_modalities", "thinking_config", "thinking_budget", "thinking_level",
    "include_thoughts", "speech_config", "image_config", "any_of", "min_items", "max_items",
    "min_length", "max_length", "min_properties", "max_properties", "property_ordering",
    "prefix_items", "additional_properties", "response_format",
)  # fmt: skip
_CAMEL: Final = {
    name: re.sub(r"_([a-z])", lambda found: found[1].upper(), name) for name in _NAMES
} | {"_responseJsonSchema": "responseJsonSchema"}
_SPELT: Final = {camel: snake for snake, camel in _CAMEL.items()}
_SNAKE: Final = re.compile(rb'"(?:%b)"\s*:' % "|".join(_CAMEL).encode())
_LIKELY: Final = re.compile(rb'"(?:[a-z]+)?_')  # found out in a third of the time
_OPAQUE: Final = frozenset(
    {"args", "response", "parametersJsonSchema", "responseJsonSchema", "labels", "partMetadata"}
)
_MAPS: Final = frozenset({"properties", "defs"})  # whose keys are the client's own
_OBJECT, _LIST = ord("{"), ord("[")
_decode_object = msgspec.json.Decoder(json.RawObject).decode
_decode_list = msgspec.json.Decoder(list[msgspec.Raw]).decode


def canonical(body: json.RawObject) -> json.RawObject:
    """Return `body` with every name of the API's in camel case, also inside its values.

    Raises `InvalidRequestError` where a field is given twice, or nested too deeply.
    """
    try:
        return _renamed(body, "")
    except RecursionError:
        raise InvalidRequestError("The request is nested too deeply.") from None


def find(body: json.RawObject, name: str) -> msgspec.Raw | None:
    """Return the value of one field by its camel case name, itself in camel case.

    None where it is absent or null. Raises `InvalidRequestError` as `canonical` does.
    """
    other = _SPELT.get(name)
    picked = {known: body[known] for known in (name, other) if known is not None and known in body}
    value = canonical(picked).get(name) if picked else None
    return None if value == msgspec.Raw(b"null") else value


def without(body: json.RawObject, *names: str) -> json.RawObject:
    """Return `body` without these fields, in either spelling."""
    unwanted = {*names, *(_SPELT.get(name, name) for name in names)}
    return {name: value for name, value in body.items() if name not in unwanted}


def _renamed(found: json.RawObject, path: str) -> json.RawObject:
    named: json.RawObject = {}
    for name, value in found.items():
        known = _CAMEL.get(name, name)
        if known in named:
            where = f"{path}.{known}".removeprefix(".")
            message = f"Invalid value at '{where}': given twice, in both its spellings."
            raise InvalidRequestError(message, param=where)
        named[known] = value if known in _OPAQUE else _walked(value, f"{path}.{known}", known)
    return named


def _walked(raw: msgspec.Raw, path: str, name: str = "") -> msgspec.Raw:
    """Return a value with its names in camel case, uncopied where they are already."""
    view = memoryview(raw)
    if not view.nbytes or view[0] not in {_OBJECT, _LIST} or _LIKELY.search(view) is None:
        return raw
    if _SNAKE.search(view) is None:
        return raw
    if view[0] == _LIST:
        items = enumerate(_decode_list(raw))
        return json.raw([_walked(item, f"{path}[{place}]") for place, item in items])
    found = _decode_object(raw)
    if name in _MAPS:
        return json.raw({key: _walked(value, f"{path}.{key}") for key, value in found.items()})
    return json.raw(_renamed(found, path))
