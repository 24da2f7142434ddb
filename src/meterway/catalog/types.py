"""What is known of one model."""

import msgspec


class Model(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Facts of one chat model; what nobody published is None or False.

    `id` is the name clients ask for, `aliases` other names for the same model (dated snapshots,
    `-latest`, a vendor prefix). `family` groups models that permissions and tokenizers treat
    alike, such as "claude-opus" or "gpt-4o". `created` is in seconds since the epoch, 0 when
    unknown; `context` and `max_output` are in tokens. `structured` says that output can be held
    to a JSON schema. `deprecated` models still answer but are no longer offered for new work.
    """

    id: str
    family: str
    vendor: str
    title: str
    created: int = 0
    context: int | None = None
    max_output: int | None = None
    aliases: tuple[str, ...] = ()
    vision: bool = False
    tools: bool = False
    pdf: bool = False
    audio: bool = False
    reasoning: bool = False
    structured: bool = False
    deprecated: bool = False
