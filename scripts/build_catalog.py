"""Writes the catalogue's data file from two open data sets and a few hand-kept facts.

    pip download --no-deps litellm -d /tmp/litellm
    python scripts/build_catalog.py /tmp/litellm/litellm-*.whl

Sources, both under the MIT licence (see NOTICE): the model table inside litellm's wheel and
genai-prices. The same inputs give the same bytes.
"""

import json
import re
import sys
import zipfile
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from genai_prices import data as genai

from meterway.catalog.families import family_of
from meterway.catalog.types import Model

TARGET = Path(__file__).parent.parent / "src/meterway/catalog/data/models.json"
TABLE = "litellm/model_prices_and_context_window_backup.json"
TODAY = "2026-11-22"  # a model whose retirement date is past is deprecated; part of the input

# litellm's provider → vendor; the prefix of its names is the provider's own.
LITELLM = {
    "anthropic": "anthropic",
    "dashscope": "qwen",
    "deepseek": "deepseek",
    "gemini": "google",
    "meta_llama": "meta",
    "minimax": "minimax",
    "mistral": "mistral",
    "moonshot": "moonshot",
    "openai": "openai",
    "perplexity": "perplexity",
    "xai": "xai",
    "zai": "zhipu",
}
GENAI = {
    "anthropic": "anthropic",
    "deepseek": "deepseek",
    "google": "google",
    "meta": "meta",
    "minimax": "minimax",
    "mistral": "mistral",
    "moonshotai": "moonshot",
    "openai": "openai",
    "perplexity": "perplexity",
    "x-ai": "xai",
    "zai": "zhipu",
    "zhipuai": "zhipu",
}
OWN = {
    "anthropic": r"claude-",
    "deepseek": r"deepseek-",
    "google": r"(gemini|gemma)-",
    "meta": r"(llama|muse)-",
    "minimax": r"minimax-",
    "mistral": r"(open-)?(mi[sx]tral|ministral|magistral|devstral|codestral|pixtral|voxtral)",
    "moonshot": r"(kimi|moonshot)-",
    "openai": r"(gpt-|chatgpt-|o\d|codex-)",
    "perplexity": r"sonar",
    "qwen": r"(qwen|qwq)",
    "xai": r"grok-",
    "zhipu": r"glm-",
}
NO_CHAT = re.compile(
    r"embed|image|tts|transcribe|realtime|whisper|moderation|instruct$|-live|live-|robotics|lyria"
    r"|banana|ocr|voice|learnlm|gemini-gemma|daybreak|computer-use|:|\(|beta|experimental|-exp-"
    r"|gv2|-ft-|fim|vibe-cli|0301|\.ft-|gpt-chat|flash-1\.5|pro-1\.5|^gpt-5-chat$|-maas$"
)
_CLAUDE: dict[str, Any] = {
    "vendor": "anthropic",
    "context": 200_000,
    "vision": True,
    "tools": True,
    "deprecated": True,
}


def _claude(max_output: int, *aliases: str, **more: Any) -> dict[str, Any]:
    return {**_CLAUDE, "max_output": max_output, "aliases": list(aliases), **more}


# https://platform.claude.com/docs/en/about-claude/model-deprecations
FACTS: dict[str, dict[str, Any]] = {
    "claude-3-opus": _claude(4096, "claude-3-opus-20240229", title="Claude Opus 3"),
    "claude-3-sonnet": _claude(4096, "claude-3-sonnet-20240229", title="Claude Sonnet 3"),
    "claude-3-haiku": _claude(4096, "claude-3-haiku-20240307", title="Claude Haiku 3"),
    "claude-3-5-sonnet": _claude(
        8192,
        "claude-3-5-sonnet-20240620",
        "claude-3-5-sonnet-20241022",
        title="Claude Sonnet 3.5",
        pdf=True,
    ),
    "claude-3-5-haiku": _claude(8192, "claude-3-5-haiku-20241022", title="Claude Haiku 3.5"),
    "claude-3-7-sonnet": _claude(
        64_000, "claude-3-7-sonnet-20250219", title="Claude Sonnet 3.7", pdf=True, reasoning=True
    ),
    "claude-sonnet-4-0": _claude(
        64_000,
        "claude-sonnet-4",
        "claude-sonnet-4-20250514",
        title="Claude Sonnet 4",
        pdf=True,
        reasoning=True,
    ),
    "claude-opus-4-0": _claude(
        32_000,
        "claude-opus-4",
        "claude-opus-4-20250514",
        title="Claude Opus 4",
        pdf=True,
        reasoning=True,
    ),
    "claude-opus-4-1": _claude(
        32_000, "claude-opus-4-1-20250805", title="Claude Opus 4.1", pdf=True, reasoning=True
    ),
    "claude-2": {
        "vendor": "anthropic",
        "context": 100_000,
        "max_output": 4096,
        "aliases": ["claude-2.0", "claude-2.1", "claude-v2"],
        "title": "Claude 2",
        "deprecated": True,
    },
    "claude-instant-1": {
        "vendor": "anthropic",
        "context": 100_000,
        "max_output": 4096,
        "aliases": ["claude-instant-1.1", "claude-instant-1.2"],
        "title": "Claude Instant",
        "deprecated": True,
    },
    "o1-mini": {"vendor": "openai", "max_output": 65_536, "reasoning": True, "deprecated": True},
    "o1-preview": {"vendor": "openai", "max_output": 32_768, "reasoning": True, "deprecated": True},
    "claude-v1": {"vendor": "anthropic", "context": 100_000, "deprecated": True},
    "gpt-4-32k": {"vendor": "openai", "max_output": 8192, "tools": True, "deprecated": True},
}

# What every model of a line can do, where no data set says so.
LINES: tuple[tuple[str, tuple[str, ...]], ...] = (
    (r"claude-(?!2|v1|instant|3)", ("vision", "tools", "pdf", "reasoning", "structured")),
    (r"gpt-[56]", ("vision", "tools", "reasoning", "structured")),
    (r"gemini-(1\.5|2|3|4)", ("vision", "tools", "pdf", "audio", "structured")),
    (r"grok-4", ("vision", "tools", "reasoning", "structured")),
    (r"grok-3|glm-|kimi-|deepseek-|minimax-m", ("tools",)),
)

_BEHAVIOURS = {
    "echo": "repeats the last user text",
    "tool-call": "calls the first tool offered",
    "tool-calls": "calls every tool offered",
    "json": "answers with JSON that fits the schema asked for",
    "reasoning": "thinks before it answers",
    "long": "answers at length",
    "slow": "answers word by word, slowly",
    "overloaded": "is always overloaded",
    "rate-limited": "is always over its rate limit",
    "unauthorized": "refuses the gateway's credential",
    "cut-off": "cuts the connection half-way",
    "error-mid-stream": "fails half-way",
    "no-usage": "reports no usage",
    "refusal": "declines to answer",
    "max-tokens": "stops for length",
    "bad-json": "answers with what is not JSON",
    "hang": "never answers",
}

SANDBOX = [
    Model(
        id=f"sandbox/{name}",
        family="sandbox",
        vendor="sandbox",
        title=f"Sandbox: {does}",
        created=1_735_689_600,
        context=200_000,
        max_output=8192,
        vision=True,
        tools=True,
        pdf=True,
        reasoning=name == "reasoning",
        structured=True,
    )
    for name, does in _BEHAVIOURS.items()
]

DATE = re.compile(r"-(\d{4})-?(\d{2})-?(\d{2})$")


def main(wheel: Path) -> None:
    """Read the sources, merge names of one model, write the data file."""
    rows = merged([*litellm_rows(wheel), *genai_rows()])
    models = sorted((*rows, *SANDBOX), key=lambda model: (model.vendor, model.id))
    check(models)
    TARGET.parent.mkdir(exist_ok=True)
    lines = ",\n".join(msgspec.json.encode(model).decode() for model in models)
    TARGET.write_text(f"[\n{lines}\n]\n")
    print(f"{len(models)} models, {TARGET.stat().st_size} bytes")


def litellm_rows(wheel: Path) -> Iterator[dict[str, Any]]:
    """Yield chat models of litellm's table as catalogue fields."""
    with zipfile.ZipFile(wheel) as archive:
        table = json.loads(archive.read(TABLE))
    for key, facts in table.items():
        vendor = LITELLM.get(facts.get("litellm_provider", ""))
        name = key.rpartition("/")[2]
        if facts.get("mode") not in {"chat", "responses"} or not wanted(vendor, name):
            continue
        inputs = facts.get("supported_modalities", ())
        yield {
            "name": name,
            "vendor": vendor,
            "context": whole(facts.get("max_input_tokens")),
            "max_output": whole(facts.get("max_output_tokens")),
            "vision": bool(facts.get("supports_vision")) or "image" in inputs,
            "tools": bool(facts.get("supports_function_calling")),
            "pdf": bool(facts.get("supports_pdf_input")),
            "audio": bool(facts.get("supports_audio_input")) or "audio" in inputs,
            "reasoning": bool(facts.get("supports_reasoning")),
            "structured": bool(
                facts.get("supports_response_schema")
                or facts.get("supports_native_structured_output")
            ),
            "deprecated": facts.get("deprecation_date", "9999") <= TODAY,
        }


def genai_rows() -> Iterator[dict[str, Any]]:
    """Yield names, titles and context windows of genai-prices as catalogue fields."""
    for provider in genai.providers:
        vendor = GENAI.get(provider.id)
        for model in provider.models:
            if wanted(vendor, model.id):
                yield {
                    "name": model.id,
                    "vendor": vendor,
                    "title": model.name if vendor == "anthropic" else None,
                    "context": model.context_window,
                    "deprecated": bool(model.deprecated),
                }


def wanted(vendor: str | None, name: str) -> bool:
    """Whether `name` is a chat model of that vendor's own."""
    lowered = name.lower()
    if vendor is None or (NO_CHAT.search(lowered) and lowered not in FACTS):
        return False
    return bool(re.match(OWN[vendor], lowered))


def whole(value: Any) -> int | None:
    """Return a positive whole number of tokens; the table has strings and floats too."""
    try:
        return int(value) or None
    except (TypeError, ValueError):
        return None


def root(name: str) -> str:
    """Return the name without date and `-latest`, in lower case."""
    return DATE.sub("", name.lower()).removesuffix("-latest")


def merged(rows: list[dict[str, Any]]) -> list[Model]:
    """Make one model of all the rows whose names differ by date, case or `-latest` alone."""
    groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        groups[root(row["name"])].append(row)
    for name in FACTS:
        groups.setdefault(name, [])
    return [model(name, group) for name, group in groups.items()]


def model(name: str, group: list[dict[str, Any]]) -> Model:
    """Return the model of one group: hand-kept facts first, then its rows in order."""
    facts = FACTS.get(name, {})
    spelled = [row["name"] for row in group]
    names = list(dict.fromkeys([*map(spelling, spelled), *facts.get("aliases", [])]))
    plain = [each for each in names if each.lower() == name]
    if plain or facts:
        id_ = plain[0] if plain else name
    else:
        id_ = min(names, key=lambda each: (len(each), each))
    known: dict[str, Any] = {}
    for row in (facts, *group):
        for key, value in row.items():
            if key not in {"name", "aliases"} and known.get(key) in {None, False}:
                known[key] = value
    known["context"] = max((row.get("context") or 0 for row in (facts, *group)), default=0) or None
    known |= dict.fromkeys(
        (each for line, can in LINES if re.match(line, name) for each in can), True
    )
    known["deprecated"] = all(row.get("deprecated") for row in group) if group else True
    known |= {key: facts[key] for key in ("deprecated",) if key in facts}
    aliases = {each for each in names if each.lower() != id_.lower()}
    if name != id_.lower():
        aliases.add(name)
    return Model(
        id=id_,
        family=family_of(id_),
        title=known.pop("title", None) or title_of(id_),
        created=min((date for each in names if (date := created(each))), default=0),
        aliases=tuple(sorted(aliases)),
        **known,
    )


def spelling(name: str) -> str:
    """Return the name as its vendor's API writes it: GLM's are lower-case there."""
    return name.lower() if name.startswith("GLM-") else name


def created(name: str) -> int:
    """Return midnight UTC of the date a name ends with, in seconds since the epoch, else 0."""
    if not (match := DATE.search(name)):
        return 0
    try:
        day = datetime.strptime("".join(match.groups()), "%Y%m%d").replace(tzinfo=UTC)
    except ValueError:
        return 0
    return int(day.timestamp())


def title_of(name: str) -> str:
    """Return a readable title: `gpt-4o-mini` is `GPT 4o Mini`."""
    words = name.replace("_", "-").split("-")
    return " ".join(w.upper() if w in {"gpt", "glm"} else w[:1].upper() + w[1:] for w in words)


def check(models: list[Model]) -> None:
    """Refuse two models of one name, and a list without the models everybody asks for."""
    names = [name.lower() for each in models for name in (each.id, *each.aliases)]
    twice = {name for name in names if names.count(name) > 1}
    missing = {"claude-3-opus", "gpt-4o-mini", "gemini-2.5-pro", "deepseek-chat"} - set(names)
    if twice or missing:
        raise SystemExit(f"twice: {sorted(twice)}, missing: {sorted(missing)}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
