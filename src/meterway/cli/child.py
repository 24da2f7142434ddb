"""Work done in a forked child, so that what it imports and opens does not stay in the parent."""

import os
import sys
from collections.abc import Callable

import msgspec

from meterway.cli.frame import Failure, exit_code_of
from meterway.kit.errors import MeterwayError


class _Failed(msgspec.Struct, tag="failed", frozen=True):
    message: str
    exit_code: int


class _Done(msgspec.Struct, tag="done", frozen=True):
    value: msgspec.Raw


def in_child(work: Callable[[], object]) -> bytes:
    """Return what `work` returns, as JSON over a pipe; only safe while there are no threads.

    Raises `Failure` with the child's sentence and exit code.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        status = _answer(work, writer)
        os._exit(status)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        answer = pipe.read()
    os.waitpid(pid, 0)
    if not answer:
        raise Failure("Setting up failed; the reason stands above.", 1)
    decoded = msgspec.json.decode(answer, type=_Done | _Failed)
    if isinstance(decoded, _Failed):
        raise Failure(decoded.message, decoded.exit_code)
    return bytes(decoded.value)


def _answer(work: Callable[[], object], writer: int) -> int:
    answer: _Done | _Failed
    try:
        answer = _Done(msgspec.Raw(msgspec.json.encode(work())))
    except MeterwayError as error:
        answer = _Failed(error.message, exit_code_of(error))
    except BaseException:  # noqa: BLE001 - nothing may unwind into the parent's code
        sys.excepthook(*sys.exc_info())
        sys.stderr.flush()
        return 1
    with os.fdopen(writer, "wb") as pipe:
        pipe.write(msgspec.json.encode(answer))
    return 0
