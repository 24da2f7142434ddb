"""Rewrites the generated parts of the documentation from the code they describe.

A page marks each generated part by `<!-- generated: NAME -->` and `<!-- end -->`; what stands
between is replaced. `python -m scripts.build_docs` writes, `--check` fails where a page is old.
"""

import ast
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages

import click
from prometheus_client.metrics import MetricWrapperBase
from pydantic import BaseModel
from pydantic.fields import FieldInfo

import meterway
from meterway import cli
from meterway.cli.frame import exit_code_of
from meterway.edge.platform.openapi import document
from meterway.kit import metrics
from meterway.kit.errors import MeterwayError
from meterway.protocols.chat.neutral import Failed
from meterway.settings import PREFIX, TIERS, ChannelTable, Settings, TierTable
from meterway.settings.sources import is_secret
from meterway.upstreams import failures
from meterway.upstreams.errors import UpstreamError
from meterway.upstreams.providers import PROVIDERS
from meterway.upstreams.types import AuthForm, Provider
from tests.conformance.matrix_page import PAGE as MATRIX
from tests.conformance.matrix_page import matrix_page

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
_BLOCK = re.compile(r"(<!-- generated: (?P<name>[a-z-]+) -->\n).*?(<!-- end -->)", re.DOTALL)
_COMMON = {"data", "config", "as_json", "help"}
_UNITS = ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"))
# Raised by commands and by the start; a caller over HTTP never meets them.
_OFFLINE = (
    "meterway.accounts",
    "meterway.bench",
    "meterway.cli",
    "meterway.kit.crypto",
    "meterway.kit.secret_file",
    "meterway.processes",
    "meterway.routing.errors",
    "meterway.settings",
    "meterway.db.errors",
)
_MACHINE_OWN = {"data": "the platform's folder", "workers": "one per core"}


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table; a bar inside a cell is escaped."""
    lines = [headings, ["---"] * len(headings), *rows]
    return "".join(
        "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in line) + " |\n"
        for line in lines
    )


# -- settings ----------------------------------------------------------------------------------


def variables_of(name: str, field: FieldInfo) -> list[str]:
    """Return the environment variables of a setting, the strongest first, secrets' files last."""
    extra = field.json_schema_extra
    common = extra.get("environment") if isinstance(extra, dict) else None
    names = [str(one) for one in common] if isinstance(common, list) else []
    plain = [PREFIX + name.upper(), *names]
    return plain + ([f"{one}_FILE" for one in plain] if is_secret(field) else [])


def settings_table() -> str:
    """Return every setting: its key in a file, its variables, its default and its meaning."""
    rows = [
        (
            f"`{name}`",
            "<br>".join(f"`{variable}`" for variable in variables_of(name, field)),
            _default(name, field),
            field.description or "",
        )
        for name, field in Settings.model_fields.items()
    ]
    return table(("key", "environment", "default", "meaning"), rows)


def channel_keys_table() -> str:
    """Return every key of one channel in the settings file."""
    return table(("key", "default", "meaning"), _keys_of(ChannelTable))


def tier_keys_table() -> str:
    """Return every key of one tier's limits in the settings file, with each tier's default."""
    rows = [
        (
            f"`{name}`",
            *(f"`{getattr(tier, name)}`" for tier in TIERS.values()),
            field.description or "",
        )
        for name, field in TierTable.model_fields.items()
    ]
    return table(("key", *(f"`{name}`" for name in TIERS), "meaning"), rows)


def _keys_of(model: type[BaseModel]) -> Iterator[Sequence[str]]:
    for name, field in model.model_fields.items():
        default = "required" if field.is_required() else _default(name, field)
        yield f"`{name}`", default, field.description or ""


def _default(name: str, field: FieldInfo) -> str:
    if field.default_factory is not None:
        return _MACHINE_OWN[name]
    value = field.default
    match value:
        case None | [] | {}:
            return "none"
        case bool():
            return "`true`" if value else "`false`"
        case int():
            return next(
                (
                    f"`{value}` ({_in(value, *unit)})"
                    for unit in _UNITS
                    if value >= unit[0] and not value % unit[0]
                ),
                f"`{value}`",
            )
        case float():
            return f"`{value:g}`"
        case _:
            return f"`{value}`"


def _in(value: int, size: int, unit: str) -> str:
    return f"{value // size} {unit}"


# -- providers ---------------------------------------------------------------------------------


def providers_table() -> str:
    """Return every provider row."""
    return table(
        ("provider", "dialects", "credential", "environment", "base URL", "follows"),
        [_provider_row(provider) for provider in PROVIDERS.values()],
    )


def _provider_row(provider: Provider) -> Sequence[str]:
    forms = {provider.auths.get(dialect, provider.auth): None for dialect in provider.speaks}
    auth = "<br>".join("none" if form is AuthForm.NONE else f"`{form}`" for form in forms)
    names = [f"`{name}`" for name in (provider.key_env, provider.url_env) if name]
    link = f"[page]({provider.source})" if provider.source.startswith("http") else "built in"
    return (
        f"`{provider.name}` {provider.title}",
        "<br>".join(f"`{dialect}`" for dialect in provider.speaks),
        auth,
        "<br>".join(names) or "none",
        f"`{provider.base_url}`" if provider.base_url else "yours",
        link,
    )


# -- routes and errors -------------------------------------------------------------------------


def routes_table() -> str:
    """Return every described route."""
    rows = [
        (
            f"`{method.upper()} {path}`",
            "no" if operation.get("security") == [] else "yes",
            str(operation["summary"]),
        )
        for path, methods in document()["paths"].items()
        for method, operation in methods.items()
    ]
    return table(("route", "key", "what it is"), rows)


def every_error() -> list[type[MeterwayError]]:
    """Return every error class of the product, in the order of their code."""
    for module in walk_packages(meterway.__path__, "meterway."):
        if not module.name.startswith("meterway.migrations") and "__main__" not in module.name:
            import_module(module.name)
    found: set[type[MeterwayError]] = set()
    waiting: list[type[MeterwayError]] = [MeterwayError]
    while waiting:
        kind = waiting.pop()
        found.add(kind)
        waiting.extend(kind.__subclasses__())
    ours = [kind for kind in found if kind.__module__.startswith("meterway.")]
    return sorted(ours, key=lambda kind: (kind.code, kind.__name__))


def errors_table() -> str:
    """Return the errors a caller over HTTP can meet."""
    kinds = [kind for kind in every_error() if not kind.__module__.startswith(_OFFLINE)]
    told = {code: (statuses, meaning) for code, statuses, meaning in _error_rows(kinds)}
    for status, code, message in refusals():
        _, before = told.get(code, ("", ""))
        told[code] = (str(status), f"{before} {message}".strip())
    rows = [(f"`{code}`", *told[code]) for code in sorted(told)]
    return table(("code", "status", "meaning"), rows)


def offline_errors_table() -> str:
    """Return the errors that commands and the start tell."""
    kinds = [kind for kind in every_error() if kind.__module__.startswith(_OFFLINE)]
    exits = {code: exit_code_of(same[0]("")) for code, same in _by_code(kinds).items()}
    rows = [(f"`{code}`", str(exits[code]), meaning) for code, _, meaning in _error_rows(kinds)]
    return table(("code", "exit code", "meaning"), rows)


def _by_code(kinds: Iterable[type[MeterwayError]]) -> Mapping[str, list[type[MeterwayError]]]:
    groups: dict[str, list[type[MeterwayError]]] = {}
    for kind in kinds:
        groups.setdefault(kind.code, []).append(kind)
    return groups


def _error_rows(kinds: Iterable[type[MeterwayError]]) -> Iterator[tuple[str, str, str]]:
    vendors = _vendor_statuses()
    for code, same in _by_code(kinds).items():
        statuses: set[int] = set()
        for kind in same:
            statuses |= vendors.get(kind, {kind.status})
        meanings = dict.fromkeys((kind.__doc__ or "").partition("\n")[0] for kind in same)
        shown = ", ".join(map(str, sorted(statuses))) or "the vendor's"
        yield code, shown, " ".join(meanings)


def _vendor_statuses() -> Mapping[type[MeterwayError], set[int]]:
    """Ask what each answer of a vendor becomes; return the statuses callers see, by class."""
    seen: dict[type[MeterwayError], set[int]] = {UpstreamError: set()}
    for status in range(400, 600):
        failed = Failed(message="", kind="", status=status)
        error = failures.upstream_error(status, {}, failed, 0.0)
        seen.setdefault(type(error), set()).add(error.status)
    return seen


def refusals() -> Iterator[tuple[int, str, str]]:
    """Yield what a connection is refused for before there is a request: status, code, message."""
    edge = Path(meterway.__path__[0]) / "edge"
    text = "\n".join((edge / name).read_text("utf-8") for name in ("bounds.py", "refusal.py"))
    for node in ast.walk(ast.parse(text)):
        parts = node.args if isinstance(node, ast.Call) else getattr(node, "elts", [])
        values = [part.value for part in parts if isinstance(part, ast.Constant)]
        match values:
            case [int(status), str(code), str(message)]:
                yield status, code, message


# -- operation ---------------------------------------------------------------------------------


def commands_text() -> str:
    """Return every command with its own options; the common ones are told once, by hand."""
    return "\n".join(_command_text(path, command) for path, command in every_command())


def every_command() -> Iterator[tuple[str, click.Command]]:
    """Yield each command that can be run, by the words that run it."""
    yield from _commands_in("meterway", cli.main)


def _commands_in(path: str, group: click.Group) -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None, "a listed command exists"
        if isinstance(command, click.Group):
            yield from _commands_in(f"{path} {name}", command)
        else:
            yield f"{path} {name}", command


def _command_text(path: str, command: click.Command) -> str:
    arguments = [p for p in command.params if isinstance(p, click.Argument)]
    words = " ".join([path, *(p.metavar or (p.name or "").upper() for p in arguments)])
    help_text = re.sub(r"\s*\n\s*", " ", (command.help or "").strip())
    options = [p for p in command.params if isinstance(p, click.Option) and p.name not in _COMMON]
    listed = "".join(f"- `{option.opts[-1]}`: {option.help}\n" for option in options)
    return f"**`{words}`** {help_text}\n" + (f"\n{listed}" if listed else "")


def metrics_table() -> str:
    """Return every figure of /metrics, by the name it has there."""
    rows = []
    for metric in every_metric():
        (told,) = metric.describe()
        name = f"{told.name}_total" if told.type == "counter" else told.name
        labels = metric._labelnames  # noqa: SLF001 - prometheus-client tells them no other way
        shown = ", ".join(f"`{label}`" for label in labels) or "none"
        rows.append((f"`{name}`", told.type, shown, told.documentation))
    return table(("metric", "kind", "labels", "meaning"), rows)


def every_metric() -> list[MetricWrapperBase]:
    """Return every figure the product keeps."""
    return [value for value in vars(metrics).values() if isinstance(value, MetricWrapperBase)]


# -- pages -------------------------------------------------------------------------------------

BLOCKS: Mapping[str, Callable[[], str]] = {
    "settings": settings_table,
    "channel-keys": channel_keys_table,
    "tier-keys": tier_keys_table,
    "providers": providers_table,
    "routes": routes_table,
    "errors": errors_table,
    "offline-errors": offline_errors_table,
    "commands": commands_text,
    "metrics": metrics_table,
}


def rendered(page: str) -> str:
    """Return a page with its generated parts made anew. Raises `KeyError` for an unknown name."""
    return _BLOCK.sub(lambda found: f"{found[1]}{BLOCKS[found['name']]()}{found[3]}", page)


def pages() -> Mapping[Path, str]:
    """Return what each page that is generated, or has generated parts, should hold."""
    found = {MATRIX: matrix_page()}
    for path in sorted(DOCS.glob("*.md")):
        text = path.read_text(encoding="utf-8")
        if _BLOCK.search(text):
            found[path] = rendered(text)
    return found


def main() -> int:
    """Write the pages, or with `--check` name those that are old; return the exit code."""
    old = [
        (path, text) for path, text in pages().items() if path.read_text(encoding="utf-8") != text
    ]
    for path, text in old:
        if "--check" in sys.argv:
            print(f"{path.relative_to(ROOT)} is old: run `make docs`")
        else:
            path.write_text(text, encoding="utf-8")
            print(f"wrote {path.relative_to(ROOT)}")
    return 1 if old and "--check" in sys.argv else 0


if __name__ == "__main__":
    sys.exit(main())
