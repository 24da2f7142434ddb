"""A vendor that fails as it is told to, and else says one sentence.

It keeps what it reported of every request, and how much it had written where it broke off, so that
what a gateway charged can be held against it.
"""

import json
from typing import Any, NamedTuple, TypeAlias

import msgspec

from meterway.protocols.usage import Usage
from tests.fakes.scripted_vendor import DONE, Answer, ScriptedVendor, wire_of
from tests.fakes.vendor_wires import JSON, Call, events

_STOP = "\n\n"
_WORDS = DONE[:7]  # the first piece of what it says
# More than anyone reads at once: what follows does not come together with what was before.
_PAUSE = (": " + "." * 8192 + _STOP) * 128


class Refuse(NamedTuple):
    """A whole answer that says no."""

    status: int
    body: JSON
    headers: tuple[tuple[str, str], ...] = ()


class Break(NamedTuple):
    """A stream that stops: before the first word, or after the first piece of what is said.

    With `last`, this event is told and the answer ends in order; else the connection is cut.
    """

    after_words: bool = True
    last: JSON | None = None


class Change(NamedTuple):
    """A whole answer in which some texts are replaced by others."""

    texts: dict[str, str]


class Report(NamedTuple):
    """A whole answer that wrote so many tokens, as far as is reported."""

    output: int


Fault: TypeAlias = Refuse | Break | Change | Report


class Heard(NamedTuple):
    """One request, and how it was answered.

    `size` is its length in bytes, `usage` what was reported, None where nothing was; `written`
    is how many bytes of text had come when the answer broke off, None where it is whole.
    """

    body: dict[str, Any]
    size: int
    fault: Fault | None
    usage: Usage | None
    written: int | None = None


class FailingVendor(ScriptedVendor):
    """Fails the next requests, one fault each, and answers those that follow.

    `heard` is every request since it was told to fail, in order.
    """

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[Heard] = []
        self._faults: list[Fault | None] = []

    def fail(self, *faults: Fault | None, call: Call | None = None) -> None:
        """Forget what was heard; fail the requests to come, None being one that is answered."""
        self.script(call or Call("", {}), DONE)
        self.heard.clear()
        self._faults = list(faults)

    def answer(self, path: str, content: bytes) -> Answer:
        """Return what is to be sent."""
        fault = self._faults.pop(0) if self._faults else None
        body, size = json.loads(content), len(content)
        if isinstance(fault, Refuse):
            self.heard.append(Heard(body, size, fault, None))
            text = json.dumps(fault.body)
            return Answer("application/json", text, fault.status, fault.headers)
        whole = super().answer(path, content)
        usage = self.told[-1].usage
        match fault:
            case None:
                self.heard.append(Heard(body, size, fault, usage))
                return whole
            case Change(texts):
                self.heard.append(Heard(body, size, fault, usage))
                return whole._replace(text=_changed(whole.text, texts))
            case Report(output):
                changes = {f'output_tokens": {usage.total_output},': f'output_tokens": {output},'}
                usage = msgspec.structs.replace(usage, output=output - usage.reasoning)
                self.heard.append(Heard(body, size, fault, usage))
                return whole._replace(text=_changed(whole.text, changes))
            case Break():
                written = len(_WORDS) if fault.after_words else 0
                opened = wire_of(path).opening(usage)
                self.heard.append(Heard(body, size, fault, opened, written))
                return _broken(whole, fault)


def _changed(text: str, changes: dict[str, str]) -> str:
    for old, new in changes.items():
        assert old in text, (old, text)
        text = text.replace(old, new)
    return text


def _broken(whole: Answer, fault: Break) -> Answer:
    """Return the beginning of a streamed answer."""
    told = [event + _STOP for event in whole.text.split(_STOP)[:-1]]
    (spoken, *_) = [place for place, event in enumerate(told) if _says(event)]
    begun = "".join(told[: spoken + fault.after_words])
    if fault.last is None:
        return whole._replace(text=begun, length=len(whole.text.encode()))
    return whole._replace(text=begun + _PAUSE + events(fault.last, named="type" in fault.last))


def _says(event: str) -> bool:
    return json.dumps(_WORDS)[:-1] in event
