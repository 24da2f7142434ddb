"""A gateway as its operator runs it: a data folder, the command line, real processes, a port."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, TypeVar

from click.testing import CliRunner, Result

from meterway.bench import processes
from meterway.cli import main

_METERWAY = (sys.executable, "-m", "meterway")
_LISTENS = re.compile(r"base URL (http://127\.0\.0\.1:[1-9]\d*)/v1\n")
_DEADLINE = 30.0
_OK = 200
T = TypeVar("T")


def wait_for(look: Callable[[], T | None], what: str, seconds: float = _DEADLINE) -> T:
    """Look again and again until `look` returns something true; fail after `seconds`."""
    deadline, pause = time.monotonic() + seconds, threading.Event()
    while not (found := look()):
        assert time.monotonic() < deadline, f"waited {seconds:g} s in vain for {what}"
        pause.wait(0.01)
    return found


@dataclass(frozen=True)
class Answer:
    """What a gateway answered; `body` is decoded JSON."""

    status: int
    body: Any
    headers: dict[str, str]

    @property
    def said(self) -> str:
        """The text of a chat completion."""
        assert self.status == _OK, self.body
        text: str = self.body["choices"][0]["message"]["content"]
        return text


@dataclass(frozen=True)
class Key:
    """A key and the number it has in the log."""

    id: int
    token: str


class Gateway:
    """One installation in `folder`, and its processes once it was started.

    `environ` is all its processes see besides what finds programs and the home folder. Its
    commands run in this process; what serves are processes of their own.
    """

    def __init__(self, folder: Path, **environ: str) -> None:
        self.data = folder / "data"
        self.log = folder / "gateway.log"
        self.key = ""
        self.base = ""
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
        ours = {"METERWAY_DATA": str(self.data), "METERWAY_WORKERS": "1"}
        self._environ = kept | ours | {"METERWAY_DETECT_ENGINES": "false"} | environ
        self._process: subprocess.Popen[str] | None = None

    def init(self, template: "Gateway | None" = None) -> "Gateway":
        """Set the installation up, or copy one that was; know its first key."""
        if template is None:
            self.key = self.run("init")["key"]
        else:
            shutil.copytree(template.data, self.data)
            self.key = template.key
        return self

    def run(self, *arguments: str) -> Any:
        """Run a command that must succeed; return its answer."""
        with ThreadPoolExecutor(1) as pool:  # the caller's thread may run an event loop
            return pool.submit(self._run, *arguments).result()

    def refused(self, *arguments: str) -> int:
        """Run a command that must fail of something expected; return its exit code."""
        with ThreadPoolExecutor(1) as pool:
            done = pool.submit(self._invoke, *arguments).result()
        assert done.exit_code, done.output
        assert isinstance(done.exception, SystemExit), done.exception
        return done.exit_code

    def _run(self, *arguments: str) -> Any:
        done = self._invoke(*arguments)
        assert done.exit_code == 0, (done.output, done.exception)
        return json.loads(done.stdout)

    def _invoke(self, *arguments: str) -> Result:
        emptied = dict.fromkeys(os.environ.keys() - self._environ.keys())
        return CliRunner().invoke(main, [*arguments, "--json"], env={**emptied, **self._environ})

    def start(self) -> "Gateway":
        """Serve on a free port; return once calls are answered."""
        with self.log.open("a") as log:
            self._process = subprocess.Popen(
                [*_METERWAY, "serve", "--port", "0"],
                env=self._environ,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
            )
        assert self._process.stdout is not None
        for line in self._process.stdout:  # ends when the process does
            if found := _LISTENS.search(line):
                self.base = found[1]
                wait_for(self._ready, "the gateway to be ready")
                return self
        raise AssertionError(f"the gateway ended before it listened: {self.log.read_text()}")

    def _ready(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"the gateway ended: {self.log.read_text()}"
        answer = self.get("/ready")
        return answer is not None and answer.status == _OK

    def get(self, path: str) -> Answer | None:
        """Ask for a path that needs no key; None while nobody answers."""
        try:
            return self.send("GET", path, {})
        except OSError:
            return None

    def chat(self, model: str, text: str = "hi", key: str | None = None) -> Answer:
        """Make a call in OpenAI's dialect, with the first key unless told otherwise."""
        body = {"model": model, "messages": [{"role": "user", "content": text}]}
        headers = {"authorization": f"Bearer {key or self.key}"}
        return self.send("POST", "/v1/chat/completions", headers, json.dumps(body))

    def send(
        self, method: str, path: str, headers: dict[str, str], body: str | None = None
    ) -> Answer:
        """Make one request on a connection of its own."""
        address = self.base.removeprefix("http://")
        with closing(HTTPConnection(address, timeout=_DEADLINE)) as connection:
            connection.request(method, path, body, headers)
            reply = connection.getresponse()
            return Answer(reply.status, json.loads(reply.read()), dict(reply.getheaders()))

    @property
    def journals(self) -> Path:
        """Where its workers journal."""
        return self.data / "journals"

    @property
    def pid(self) -> int | None:
        """The parent of its processes, None while it does not run."""
        return None if self._process is None else self._process.pid

    def crash(self) -> None:
        """Kill the parent alone, as the kernel would; its children see to themselves."""
        process, self._process = self._process, None
        assert process is not None
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()

    def stop(self) -> int | None:
        """End it as its operator would; return its exit status, None where it never ran."""
        process, self._process = self._process, None
        if process is None:
            return None
        process.send_signal(signal.SIGTERM)
        try:
            return process.wait(timeout=_DEADLINE)
        finally:
            process.kill()
            assert process.stdout is not None
            process.stdout.close()

    def worker(self) -> int | None:
        """Return the process that serves calls, None while there is none."""
        assert self._process is not None
        for pid in processes.descendants(self._process.pid):
            if processes.command_line(pid).startswith("meterway worker"):
                return pid
        return None

    def events(self, name: str) -> list[dict[str, Any]]:
        """Return the facts of every event called `name` that was logged so far."""
        lines = self.log.read_text(encoding="utf-8").splitlines()
        known = [json.loads(line) for line in lines if line.startswith("{")]
        return [event for event in known if event["event"] == name]

    def new_key(self, *options: str) -> Key:
        """Make a key of the first admin's."""
        made = self.run("key", "create", "--user", "admin@localhost", *options)
        return Key(int(made["id"]), made["key"])

    def calls(self, number: int, key: Key) -> list[dict[str, Any]]:
        """Wait until `number` calls of a key have ended; return them, `at` being when."""

        def found() -> list[dict[str, Any]] | None:
            ended = [e for e in self.events("call.ended") if e["key_id"] == key.id]
            return ended if len(ended) >= number else None

        ended = wait_for(found, f"{number} calls in the log")
        return [{**e, "at": datetime.fromisoformat(e["timestamp"])} for e in ended]
