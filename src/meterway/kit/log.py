"""How log lines are written: events named noun.verb with facts, as JSON or as text.

Secrets never belong into a log event. `hide_secrets` is a second line of defence: it masks what
looks like a credential in every string of an event, tracebacks included.
"""

import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, Literal, TextIO

import structlog

_SECRETS = re.compile(
    r"\b(?P<prefix>(?:sk|pk|rk|gsk|xai|mw|omg|AIza)(?:-|_)?)[A-Za-z0-9_-]{12,}"
    r"|(?P<scheme>\b(?:bearer|basic)\s+)[A-Za-z0-9._~+/=-]{8,}"
    r"|(?P<userinfo>://[^/\s:@]*:)[^/\s@]+@",
    re.IGNORECASE,
)
_SECRET_NAMES = frozenset(
    {"authorization", "api_key", "x-api-key", "api-key", "x-goog-api-key", "password", "secret"}
    | {"token", "cookie", "proxy-authorization"}
)
_MASK = "***"

Event = MutableMapping[str, Any]


def hide_secrets(logger: Any, method: str, event: Event) -> Event:
    """Mask what looks like a credential, by the name of the fact or by its text."""
    del logger, method
    for name, value in event.items():
        event[name] = _MASK if name.lower() in _SECRET_NAMES else _hidden(value)
    return event


def _hidden(value: Any) -> Any:
    if isinstance(value, str):
        return _SECRETS.sub(_masked, value)
    if isinstance(value, Mapping):
        return {
            name: _MASK if str(name).lower() in _SECRET_NAMES else _hidden(inner)
            for name, inner in value.items()
        }
    if isinstance(value, list | tuple):
        return [_hidden(inner) for inner in value]
    return value


def _masked(found: re.Match[str]) -> str:
    kept = found["prefix"] or found["scheme"] or found["userinfo"] or ""
    return f"{kept}{_MASK}{'@' if found['userinfo'] else ''}"


def configure(
    level: Literal["debug", "info", "warning", "error"],
    form: Literal["auto", "json", "text"],
    stream: TextIO | None = None,
    facts: Mapping[str, Any] | None = None,
) -> None:
    """Send events of at least `level` to `stream` (standard error) in the given form.

    "auto" is text on a terminal, JSON elsewhere. `facts` stand in every event, such as the
    process's name. What libraries log by the standard module joins, from warnings up.
    """
    out = stream or sys.stderr
    number = logging.getLevelNamesMapping()[level.upper()]
    text = is_text(form, out)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            hide_secrets,
            _text_renderer(out) if text else structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(file=out),
        cache_logger_on_first_use=False,
    )
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(**(facts or {}))
    root = logging.getLogger()
    root.handlers = [_Bridge()]
    root.setLevel(max(number, logging.WARNING))


def is_text(form: Literal["auto", "json", "text"], out: TextIO | None = None) -> bool:
    """Whether events are written as text: always or never, or where `out` is a terminal."""
    return form == "text" or (form == "auto" and (out or sys.stderr).isatty())


def _text_renderer(out: TextIO) -> structlog.types.Processor:
    plain = structlog.dev.plain_traceback  # the rich one prints local variables, bodies among them
    return structlog.dev.ConsoleRenderer(colors=out.isatty(), exception_formatter=plain)


class _Bridge(logging.Handler):
    """Hands records of the standard module to structlog."""

    def emit(self, record: logging.LogRecord) -> None:
        level = record.levelname.lower() if record.levelno < logging.ERROR else "error"
        log = structlog.get_logger()
        log.log(
            logging.getLevelNamesMapping()[level.upper()],
            "library.reported",
            library=record.name,
            message=record.getMessage(),
            exc_info=record.exc_info,
        )
