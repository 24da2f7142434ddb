"""The rules of the house that import contracts and linters cannot say."""

import ast
import re
import shutil
import subprocess
import sys
import tokenize
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import grimp
import pytest

from meterway.settings import Settings

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "meterway"
MOST_LINES = {"src": 400, "tests": 800, "scripts": 400}
MOST_FUNCTION_LINES = 40

LONG_FILES: dict[str, str] = {}
LONG_FUNCTIONS: dict[str, str] = {}
SLEEPERS = {
    "src/meterway/processes/workplace.py": "the parent waits for a port before anything runs",
}
TABLE_READERS = {"meterway.migrations.env": "Alembic compares every table with the database"}

_NOQA = re.compile(r"#\s*noqa(?P<codes>:\s*[A-Z]+\d+(,\s*[A-Z]+\d+)*)?(?P<reason>.*)")
_IGNORE = re.compile(r"#\s*type:\s*ignore(?P<codes>\[[a-z-]+(,\s*[a-z-]+)*\])?(?P<reason>.*)")
_LATER = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
_OTHER = re.compile(r"#\s*pragma:\s*(?P<codes>no cover)(?P<reason>.*)")
_INTERESTING = re.compile(r"noqa|type: *ignore|pragma:|TODO|FIXME|XXX|HACK")


def _files(*folders: str) -> Iterator[Path]:
    for folder in folders:
        yield from sorted((ROOT / folder).rglob("*.py"))


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def _nodes(path: Path) -> dict[type[ast.AST], list[Any]]:
    """Every node of a file by its kind: one walk serves all tests."""
    found: dict[type[ast.AST], list[Any]] = defaultdict(list)
    for node in ast.walk(_tree(path)):
        found[type(node)].append(node)
    return found


def _of(path: Path, *kinds: type[ast.AST]) -> Iterator[Any]:
    for kind in kinds:
        yield from _nodes(path).get(kind, ())


def _comments(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the comments of a file; a string that looks like one is none."""
    if not _INTERESTING.search(path.read_text(encoding="utf-8")):
        return
    with path.open("rb") as file:
        for token in tokenize.tokenize(file.readline):
            if token.type == tokenize.COMMENT:
                yield token.start[0], token.string


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    return grimp.build_graph("meterway", cache_dir=None)


# -- who imports whom --------------------------------------------------------------------------


def test_the_floors_of_the_house_hold():
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"]

    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("role", ["store", "tables"])
def test_how_a_slice_stores_is_its_own_business(graph, role):
    strangers = [
        f"{importer} imports {module}"
        for module in sorted(graph.modules)
        if module.endswith(f".{role}")
        for importer in sorted(graph.find_modules_that_directly_import(module))
        if not importer.startswith(module.removesuffix(role)) and importer not in TABLE_READERS
    ]

    assert strangers == []


def test_a_store_is_used_by_its_service_alone(graph):
    users = {
        importer
        for module in graph.modules
        if module.endswith(".store")
        for importer in graph.find_modules_that_directly_import(module)
    }

    assert users
    assert {user.rpartition(".")[2] for user in users} == {"service"}


def test_settings_are_read_by_processes_and_commands_alone(graph):
    readers = {
        importer.split(".")[1]
        for module in ("meterway.settings", "meterway.settings.sources")
        for importer in graph.find_modules_that_directly_import(module)
    }

    assert readers <= {"main", "processes", "cli", "settings"}


def test_the_environment_is_read_by_settings_and_commands_alone():
    allowed = {
        "settings",
        "cli",
        "main.py",
        "bench",
        "kit/metrics.py",  # prometheus-client takes its folder from there and nowhere else
    }
    readers = [
        _name(path)
        for path in _files("src")
        if re.search(r"\bos\.(environ|getenv)\b", path.read_text(encoding="utf-8"))
        and not path.relative_to(SOURCE).as_posix().startswith(tuple(allowed))
    ]

    assert readers == []


def test_every_setting_has_an_effect():
    readers = [
        path
        for path in _files("src")
        if path.relative_to(SOURCE).parts[0] in {"main.py", "processes", "cli", "settings"}
    ]
    read = {
        node.attr
        for path in readers
        for node in _of(path, ast.Attribute)
        if isinstance(node.value, ast.Name) and node.value.id in {"settings", "self"}
    }

    assert sorted(Settings.model_fields.keys() - read) == []


def test_imports_are_absolute():
    relative = [
        f"{_name(path)}:{node.lineno}"
        for path in _files("src", "tests", "scripts")
        for node in _of(path, ast.ImportFrom)
        if node.level
    ]

    assert relative == []


_PROBE = """
import sys
import meterway.main, meterway.processes.gateway, meterway.processes.worker
print("\\n".join(sorted({name.partition(".")[0] for name in sys.modules})))
"""


@pytest.mark.parametrize(
    "package",
    [
        "alembic",
        "anthropic",
        "argon2",
        "asyncpg",
        "fastapi",
        "httpx",
        "openai",
        "pyreqwest",
        "starlette",
        "yaml",
    ],
)
def test_a_worker_does_not_carry(package, loaded_by_a_worker):
    assert "uvicorn" in loaded_by_a_worker
    assert package not in loaded_by_a_worker


@pytest.fixture(scope="module")
def loaded_by_a_worker() -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", _PROBE], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


# -- the page ----------------------------------------------------------------------------------


def test_a_file_is_read_in_one_sitting():
    long = {
        _name(path): lines
        for folder, most in MOST_LINES.items()
        for path in _files(folder)
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > most
    }

    assert long.keys() == LONG_FILES.keys(), long


def test_a_function_fits_a_screen():
    long = {
        f"{_name(path)}:{node.name}": lines
        for path in _files(*MOST_LINES)
        for node in _of(path, ast.FunctionDef, ast.AsyncFunctionDef)
        if node.end_lineno is not None
        and (lines := node.end_lineno - node.lineno + 1) > MOST_FUNCTION_LINES
    }

    assert long.keys() == LONG_FUNCTIONS.keys(), long


def test_a_module_opens_with_one_sentence():
    silent = []
    for path in _files("src", "scripts"):
        first = (ast.get_docstring(_tree(path)) or "").partition("\n")[0]
        if not first and path.stat().st_size:
            silent.append(_name(path))

    assert silent == []


def test_every_exemption_carries_its_reason():
    bare = []
    for path in _files(*MOST_LINES):
        for line, comment in _comments(path):
            for pattern in (_NOQA, _IGNORE, _OTHER):
                found = pattern.search(comment)
                if found and not (found["codes"] and re.search(r"\w{3}", found["reason"])):
                    bare.append(f"{_name(path)}:{line}: {comment}")

    assert bare == []


def test_every_skipped_test_says_why():
    silent = [
        f"{_name(path)}:{node.lineno}"
        for path in _files("tests")
        for node in _of(path, ast.Attribute)
        if node.attr == "skip"
        and isinstance(node.value, ast.Attribute)
        and node.value.attr == "mark"
    ]

    assert silent == []


def _calls(path: Path) -> Iterator[tuple[int, str]]:
    for node in _of(path, ast.Call):
        called, names = node.func, []
        while isinstance(called, ast.Attribute):
            names.append(called.attr)
            called = called.value
        if isinstance(called, ast.Name):
            yield node.lineno, ".".join((called.id, *reversed(names)))


def test_nothing_sleeps_but_what_must():
    sleepers = {
        _name(path)
        for path in _files("src", "tests")
        for _, called in _calls(path)
        if called == "time.sleep"
    }

    assert sleepers == SLEEPERS.keys()


def test_nothing_prints_in_the_product():
    prints = [
        f"{_name(path)}:{line}"
        for path in _files("src")
        for line, called in _calls(path)
        if called in {"print", "builtins.print"}
    ]

    assert prints == []


def test_nothing_is_patched():
    patched = [
        f"{_name(path)}:{node.lineno}"
        for path in _files("src", "tests")
        for node in _of(path, ast.ImportFrom, ast.Import)
        if any(
            "mock" in part
            for alias in node.names
            for part in (alias.name, getattr(node, "module", None) or "")
        )
    ]

    assert patched == []


def test_nothing_is_left_for_later():
    left = [
        f"{_name(path)}:{line}"
        for path in _files("src", "tests", "scripts")
        for line, comment in _comments(path)
        if _LATER.search(comment)
    ]

    assert left == []


# -- what the repository holds -----------------------------------------------------------------


def _tracked() -> list[Path]:
    if shutil.which("git") is None:
        pytest.skip("git is not installed here: nothing tells what is tracked")
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode:
        pytest.skip("this tree is no git checkout: nothing tells what is tracked")
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def _texts() -> Iterator[tuple[str, str]]:
    for path in _tracked():
        try:
            yield _name(path), path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue


def test_no_file_names_a_registry_or_a_machine():
    forbidden = re.compile(
        r"--(extra-)?index-url|--find-links|--trusted-host|registry\.npmjs|pypi\.org/simple"
        r"|files\.pythonhosted\.org|(?<![\w.-])/(work|root|Users)/\w|/home/[a-z]+/"
    )
    allowed = {"tests/test_architecture.py"}
    found = {
        f"{name}: {match[0]}"
        for name, text in _texts()
        if name not in allowed and "/wire/" not in name
        for match in forbidden.finditer(text)
    }

    assert found == set()


def test_every_requirement_is_pinned_with_a_hash():
    loose = []
    for path in sorted((ROOT / "requirements").glob("*.txt")):
        for block in re.split(r"\n(?=\S)", path.read_text(encoding="utf-8")):
            if not block.startswith("#") and block.strip():
                pinned = re.match(r"[A-Za-z0-9._-]+(\[[a-z,-]+\])?==\S+", block)
                if not pinned or "--hash=sha256:" not in block:
                    loose.append(f"{path.name}: {block.splitlines()[0]}")

    assert loose == []
