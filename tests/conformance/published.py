"""The API suites that vendors ship inside their SDKs' source packages, pointed at a gateway."""

import os
import re
import subprocess
import sys
import tarfile
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

_STORE = Path(__file__).resolve().parents[2] / ".cache" / "sdists"
_KEY = re.compile(r"^api_key = .*$", re.MULTILINE)
_PARENT = "tests.api_resources."
_SECONDS = 300
_WHOLE = ".whole"  # written once everything is there


@dataclass(frozen=True)
class Outcome:
    """What became of one test of a suite.

    `name` is its module below `api_resources`, class and function; `failure` is its message,
    empty when it passed.
    """

    name: str
    failure: str
    skipped: bool


def unpacked(package: str, release: str | None = None) -> Path:
    """Return the folder of a package's source, of the version installed here or another.

    It is downloaded once; a machine that cannot is an error, never a skip.
    """
    release = release or version(package)
    name = f"{package}-{release}"
    folder, archive = _STORE / name, _STORE / f"{name}.tar.gz"
    if not archive.exists():
        what = ("--no-deps", "--no-binary", package, f"{package}=={release}")
        said = _pip("download", *what, "--dest", str(_STORE))
        assert archive.exists(), f"the suite of {name} cannot be fetched:\n{said}"
    if not (folder / "tests" / "conftest.py").exists():
        with tarfile.open(archive) as packed:
            packed.extractall(_STORE, filter="data")
    return folder


def beside(*packages: str) -> Path:
    """Return a folder with packages that cannot be installed here; `NAME==VERSION` each.

    What they need besides is what is installed here. They are fetched once, as sources are.
    """
    folder = _STORE / "+".join(packages)
    if not (folder / _WHOLE).exists():
        said = _pip("install", "--no-deps", *packages, "--upgrade", "--target", str(folder))
        assert any(folder.glob("*.dist-info")), f"{packages} cannot be fetched:\n{said}"
        (folder / _WHOLE).touch()
    return folder


def _pip(command: str, *arguments: str) -> str:
    """Run pip and return what it complained of."""
    _STORE.mkdir(parents=True, exist_ok=True)
    pip = [sys.executable, "-m", "pip", command, "--quiet", "--disable-pip-version-check"]
    done = subprocess.run(
        [*pip, *arguments], capture_output=True, text=True, check=False, timeout=_SECONDS
    )
    return done.stderr


def outcomes(
    source: Path,
    paths: list[str],
    base_url: str,
    key: str,
    report: Path,
    *,
    packages: Path | None = None,
) -> list[Outcome]:
    """Run the suite's files at `paths` against `base_url` and return what became of each test."""
    conftest = source / "tests" / "conftest.py"
    told, times = _KEY.subn(f'api_key = "{key}"', conftest.read_text(encoding="utf-8"))
    assert times == 1, f"{conftest} names its key in another way now"
    conftest.write_text(told, encoding="utf-8")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-o", "addopts=", "-p", "no:cacheprovider"),
            *("--tb=line", "--show-capture=no", f"--junit-xml={report}"),
            *paths,
        ],
        cwd=source,
        env={
            **{name: os.environ[name] for name in ("PATH", "HOME")},
            **({} if packages is None else {"PYTHONPATH": str(packages)}),
            "TEST_API_BASE_URL": base_url,
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=_SECONDS,
    )
    assert report.exists(), done.stdout[-2000:] + done.stderr[-2000:]
    return [_outcome(case) for case in ET.parse(report).iter("testcase")]


def _outcome(case: ET.Element) -> Outcome:
    failed = case.find("failure")
    if failed is None:
        failed = case.find("error")
    return Outcome(
        name=f"{case.get('classname', '').removeprefix(_PARENT)}.{case.get('name')}",
        failure="" if failed is None else failed.get("message") or "failed",
        skipped=case.find("skipped") is not None,
    )
