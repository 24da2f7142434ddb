"""Which family a model's name belongs to: what permissions may name instead of single models."""

import re

_RULES = tuple(
    (re.compile(pattern), family)
    for pattern, family in (
        (r"sandbox/", "sandbox"),
        (r".*\bclaude\b.*\b(opus|sonnet|haiku|fable|mythos|instant)\b", r"claude-\1"),
        (r".*\bclaude\b", "claude"),
        (r"chatgpt-4o|gpt-4o-mini", "gpt-4o"),
        (r"gpt-(oss|audio|rosalind)", r"gpt-\1"),
        (r"gpt-(4o|4\.1|4\.5|3\.5)", r"gpt-\1"),
        (r"gpt-(\d+)", r"gpt-\1"),
        (r"(o[1-9])\b", r"\1"),
        (r"codex", "codex"),
        (r"gemini-.*?(flash-lite|flash|pro|ultra)", r"gemini-\1"),
        (r"(gemini|gemma|learnlm)", r"\1"),
        (r"(deepseek|grok|qwen|qwq|kimi|moonshot|glm|minimax|sonar|llama|muse)", r"\1"),
        (
            r"(?:open-)?(mistral-(?:large|medium|small|nemo|tiny)|mistral|mixtral)",
            r"\1",
        ),
        (r"(ministral|magistral|devstral|codestral|pixtral|voxtral)", r"\1"),
    )
)
_SAME = {"qwq": "qwen", "moonshot": "kimi"}


def family_of(name: str) -> str:
    """Return the family of the model called `name`; a name no rule knows is its own family."""
    lowered = name.lower()
    bare = lowered if lowered.startswith("sandbox/") else lowered.rpartition("/")[2]
    for pattern, family in _RULES:
        if match := pattern.match(bare):
            found = match.expand(family)
            return _SAME.get(found, found)
    return bare
