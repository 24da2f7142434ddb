"""The words of the benchmark: options, scenarios, samples and rows of the report."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TypeAlias

Say: TypeAlias = Callable[[str], None]
"""Is told what is being done at the moment."""


class Dialect(StrEnum):
    """A wire protocol, by the name of the client that speaks it."""

    OPENAI = "openai"
    ANTHROPIC = "anthropic"


class Subject(StrEnum):
    """Who answers the load: the bare upstream, nginx before it, or the gateway before it."""

    DIRECT = "direct"
    NGINX = "nginx"
    OURS = "ours"


class Size(StrEnum):
    """The size of a body: about 0.5 KB (a question) or about 100 KB (an agent's history)."""

    SMALL = "0.5 KB"
    LARGE = "100 KB"


class Verdict(StrEnum):
    """How a figure compares with its target."""

    MET = "met"
    MISSED = "missed"
    INVALID = "invalid"
    UNKNOWN = "n/a"


@dataclass(frozen=True, slots=True)
class Scenario:
    """One kind of call, measured at 64 connections against every subject.

    Args:
        name: What `--only` selects.
        client: The dialect the load generator speaks.
        upstream: The dialect of the upstream; another one than `client` means translation.
        request: Size of the request body.
        reply: Size of the whole reply; streams ignore it.
        tls: Whether the upstream speaks TLS.
        stream: Whether the reply is a paced event stream.
        quick: Whether `--quick` keeps it.
    """

    name: str
    client: Dialect
    upstream: Dialect
    request: Size = Size.SMALL
    reply: Size = Size.SMALL
    tls: bool = False
    stream: bool = False
    quick: bool = False

    @property
    def translated(self) -> bool:
        """Whether client and upstream speak different dialects."""
        return self.client is not self.upstream


@dataclass(frozen=True, slots=True)
class BenchOptions:
    """What the caller of a benchmark may choose.

    Args:
        quick: Fewer scenarios, shorter rounds: at most a minute.
        only: Names of scenarios or sections to run; all when empty.
        seconds: Length of one round; chosen by `quick` when absent. For `soak`, its whole length.
        json_file: Where the report goes as JSON, besides the table.
        command: What runs the gateway; the installed `meterway` when empty.
    """

    quick: bool = False
    only: tuple[str, ...] = ()
    seconds: float | None = None
    json_file: Path | None = None
    command: tuple[str, ...] = ()

    @property
    def rounds(self) -> int:
        """How often each subject takes its turn."""
        return 2 if self.quick else 3

    @property
    def round_seconds(self) -> float:
        """Seconds of load in one turn."""
        if self.seconds is not None:
            return self.seconds
        return 0.6 if self.quick else 1.2


@dataclass(frozen=True, slots=True)
class Load:
    """What a load generator saw.

    Args:
        requests: Replies that were whole, right and had status 200.
        errors: Everything else that was asked and not so answered.
        seconds: Wall time of the load.
        p50: Median seconds from the request to the end of the reply.
        p99: 99th percentile of the same.
        first_p50: Median seconds to the first token of a stream.
        tokens: Stream chunks with text that reached the client.
        arrivals: Reads of the client's socket that carried at least one of them.
        complaint: The first error, in words.
    """

    requests: int
    errors: int
    seconds: float
    p50: float = 0.0
    p99: float = 0.0
    first_p50: float = 0.0
    tokens: int = 0
    arrivals: int = 0
    complaint: str = ""


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of one subject: the load it got and the processor time it took, in seconds."""

    load: Load
    cpu: float
    aside: Mapping[str, float] = field(default_factory=dict)
    """Processor seconds, by name, of processes off the path: counter and parent."""


@dataclass(frozen=True, slots=True)
class Result:
    """All turns of all subjects in one scenario, and why there may be none."""

    scenario: Scenario
    turns: Mapping[Subject, tuple[Turn, ...]]


@dataclass(frozen=True, slots=True)
class Row:
    """One figure of the report.

    Args:
        section: The part of the report, such as `whole` or `cold-start`.
        name: What was measured.
        value: The figure; absent when it could not be measured.
        unit: Its unit.
        target: The bound it is held against, in words; empty when there is none.
        verdict: The comparison with the target.
        note: What the reader has to know besides.
    """

    section: str
    name: str
    value: float | None
    unit: str
    target: str = ""
    verdict: Verdict = Verdict.UNKNOWN
    note: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """The outcome of one run: facts of the machine, scenarios, figures beside their targets."""

    facts: Mapping[str, str | int | float]
    results: tuple[Result, ...]
    rows: tuple[Row, ...]

    @property
    def valid(self) -> bool:
        """Whether no figure was spoilt by errors."""
        return all(row.verdict is not Verdict.INVALID for row in self.rows)
