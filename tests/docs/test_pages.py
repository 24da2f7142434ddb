"""The documentation against the product: nothing missing, nothing old, no link astray."""

import ast
import json
import re
from pathlib import Path

import pytest

from meterway.cli.declared import from_settings
from meterway.edge.platform.openapi import document
from meterway.routing import checks
from meterway.settings import ChannelTable, Settings, load
from meterway.upstreams.providers import PROVIDERS
from meterway.upstreams.sandbox.behaviour import BEHAVIOURS, PREFIX
from scripts import build_docs

ROOT = build_docs.ROOT
PAGES = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "changes").glob("*.md")]
)
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\((?P<target>[^)\s]+)\)")
_HEADING = re.compile(r"^#{1,6} +(?P<title>.+?) *$", re.MULTILINE)
_CODE = re.compile(r"```.*?```", re.DOTALL)
_EVENT = re.compile(r"[a-z_]+\.[a-z_]+")
_FRAGMENT = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*\.(added|changed|fixed|removed|security)\.md")


def _page(name: str) -> str:
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("path", build_docs.pages(), ids=lambda path: path.name)
def test_generated_parts_are_current(path):
    assert path.read_text(encoding="utf-8") == build_docs.pages()[path], "run `make docs`"


def test_every_block_is_used_once():
    written = "".join(path.read_text(encoding="utf-8") for path in PAGES)

    counts = {name: written.count(f"<!-- generated: {name} -->") for name in build_docs.BLOCKS}

    assert counts == dict.fromkeys(build_docs.BLOCKS, 1)


def test_a_changed_page_is_noticed():
    page = _page("configuration.md")

    changed = page.replace("| `port` |", "| `harbour` |")

    assert changed != page
    assert build_docs.rendered(changed) == page


def test_every_setting_has_a_meaning_and_its_variables():
    page = _page("configuration.md")

    for name, field in Settings.model_fields.items():
        assert field.description, name
        assert f"| `{name}` |" in page
        for variable in build_docs.variables_of(name, field):
            assert f"`{variable}`" in page
    for name, field in ChannelTable.model_fields.items():
        assert field.description, name
        assert f"| `{name}` |" in page


@pytest.mark.parametrize("language", ["toml", "yaml"])
def test_examples_of_settings_files_can_be_used(language, tmp_path):
    found = re.search(rf"```{language}\n(.*?)```", _page("configuration.md"), re.DOTALL)
    assert found is not None
    file = tmp_path / f"settings.{language}"
    file.write_text(found[1], encoding="utf-8")
    asked = dict.fromkeys(re.findall(r"\$\{(\w+)\}", found[1]), "sqlite:///x.db")

    settings = load({}, environ=asked, config=file)

    assert settings.host == "0.0.0.0"
    assert settings.channels[0].name == "main"
    for channel in from_settings(settings.channels):
        checks.check(channel, PROVIDERS[channel.provider])


def test_examples_of_bodies_are_json():
    found = re.findall(r"```json\n(.*?)```", _page("api.md"), re.DOTALL)

    assert len(found) >= 3
    assert all(isinstance(json.loads(text), dict) for text in found)


def test_variables_in_the_docs_are_those_that_are_read():
    read = {
        variable
        for name, field in Settings.model_fields.items()
        for variable in build_docs.variables_of(name, field)
    }
    written = {
        variable
        for path in PAGES
        for variable in re.findall(r"\bMETERWAY_[A-Z_]+[A-Z]\b", path.read_text(encoding="utf-8"))
    }

    assert written - read <= {"METERWAY_CONFIG", "METERWAY_KEY"}


def test_every_command_and_option_is_told():
    page = _page("operations.md")
    commands = dict(build_docs.every_command())

    assert "meterway serve" in commands
    for path, command in commands.items():
        assert command.help, path
        assert f"**`{path}" in page
        for option in command.params:
            assert any(name in page for name in (*option.opts, option.human_readable_name))


def test_commands_in_the_docs_exist():
    known = {path.removeprefix("meterway ") for path, _ in build_docs.every_command()}
    groups = {path.partition(" ")[0] for path in known if " " in path}
    code = re.compile(r"(?:\$ (?:\.venv/bin/)?|`)meterway ([a-z-]+)(?: ([a-z][a-z-]*))?")

    for path in PAGES:
        for first, second in code.findall(path.read_text(encoding="utf-8")):
            told = f"{first} {second}" if first in groups else first
            assert told.strip() in known, f"{path.name}: meterway {told}"


def test_every_error_code_is_told():
    page = _page("api.md")
    codes = {kind.code for kind in build_docs.every_error()}
    codes |= {code for _, code, _ in build_docs.refusals()}

    assert len(codes) > 40
    assert [code for code in sorted(codes) if f"| `{code}` |" not in page] == []


def test_every_metric_is_told():
    page = _page("operations.md")
    names = {told.name for metric in build_docs.every_metric() for told in metric.describe()}

    assert len(names) >= 10
    assert [name for name in names if name not in page] == []


def test_every_route_is_told():
    page = _page("api.md")

    for path, methods in document()["paths"].items():
        for method in methods:
            assert f"| `{method.upper()} {path}` |" in page


def test_every_provider_and_its_variables_are_told():
    page = _page("providers.md")

    for provider in PROVIDERS.values():
        assert f"| `{provider.name}` " in page
        for variable in (provider.key_env, provider.url_env):
            assert variable is None or f"`{variable}`" in page


def test_every_sandbox_model_is_told():
    told = re.findall(rf"^\| `({PREFIX}[a-z-]+)` \|", _page("getting-started.md"), re.MULTILINE)

    assert sorted(told) == sorted(PREFIX + name for name in BEHAVIOURS)


def _events() -> set[str]:
    """Return the events the product logs: texts given to a logger, or to a field `event`."""
    found: set[str] = set()
    for path in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Call(func=ast.Attribute(value=ast.Name(id="_log" | "log")), args=args):
                    found.update(map(_text, args))
                case ast.AnnAssign(target=ast.Name(id="event"), value=ast.Constant() as value):
                    found.add(_text(value))
    return {text for text in found if _EVENT.fullmatch(text)}


def _text(node: ast.expr) -> str:
    return str(node.value) if isinstance(node, ast.Constant) else ""


def test_every_event_of_the_log_is_told_and_no_other():
    told = re.findall(
        r"^\| `([a-z_]+\.[a-z_]+)` \| (?:debug|info|w|e)", _page("operations.md"), re.MULTILINE
    )

    assert sorted(told) == sorted(_events())


def _anchors(path: Path) -> set[str]:
    text = _CODE.sub("", path.read_text(encoding="utf-8"))
    titles = (found["title"].lower() for found in _HEADING.finditer(text))
    return {re.sub(r"[^\w\- ]", "", title).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(path):
    astray = []
    for found in _LINK.finditer(_CODE.sub("", path.read_text(encoding="utf-8"))):
        target, _, anchor = found["target"].partition("#")
        if "://" in target or target.startswith("mailto:"):
            continue
        there = (path.parent / target).resolve() if target else path
        ours = there.exists() and there.is_relative_to(ROOT)
        if not ours or (anchor and anchor not in _anchors(there)):
            astray.append(found["target"])

    assert astray == []


def test_tests_named_in_the_threat_model_exist():
    page = (ROOT / "THREAT_MODEL.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\|.*\|$", page, re.MULTILINE)

    for row in rows:
        files = [ROOT / target for target in _LINK.findall(row)]
        source = "".join(path.read_text(encoding="utf-8") for path in files if path.is_file())
        for name in re.findall(r"`(test_[a-z_]+)`", row):
            assert f"def {name}(" in source, name


def test_fragments_are_named_and_written_for_people():
    for path in (ROOT / "changes").iterdir():
        text = path.read_text(encoding="utf-8").strip()
        assert _FRAGMENT.fullmatch(path.name), path.name
        assert text.endswith("."), path.name
        assert "\n" not in text, path.name
