"""Claims in both databases: one runs, others wait or get the reply, and nothing runs twice."""

import asyncio

import pytest
from sqlalchemy import text

from meterway.db.engine import transaction
from meterway.idempotency import service
from meterway.idempotency.errors import (
    IdempotencyKeyError,
    IdempotencyKeyInUseError,
    IdempotencyKeyReusedError,
    ReplyNotKeptError,
    ReplyUnreadableError,
)
from meterway.idempotency.types import Fate, Holder, Kept, Loss, Lost, Sealed
from meterway.kit.crypto import Box

NOW, HOUR = 1_800_000_000.0, 3600.0
BOX = Box([b"s" * 32])
REPLY = Kept("req_1", 200, ((b"content-type", b"text/plain"),), b"\x00secret answer\xff")


def ask(user_id=1, name=b"n-1", path="/v1/x", body=b"{}"):
    return service.asked(user_id, name, "POST", path, body)


class Ledger:
    """Says one thing of every call, and remembers whom it was asked about."""

    def __init__(self, fate=Fate.CHARGED) -> None:
        self.fate = fate
        self.asked: list[Holder] = []

    async def __call__(self, tx, holder):
        self.asked.append(holder)
        return self.fate


async def claim(engine, asked=None, call_id=1, *, now=NOW, ledger=None):
    """Claim in a transaction of its own; return the claim and what was found."""
    asked = asked or ask()
    wanted = service.claim_of(asked, Holder("process", call_id), now)
    async with transaction(engine) as tx:
        return wanted, await service.claim(tx, asked, wanted, ledger or Ledger(), now)


async def run(engine, asked=None, reply=REPLY, **facts):
    """Claim, which must succeed, and end with `reply`."""
    held, found = await claim(engine, asked, **facts)
    assert found is None
    async with transaction(engine) as tx:
        assert await service.finish(tx, held, service.seal(BOX, held, reply))
    return held


async def rows(engine):
    async with transaction(engine) as tx:
        query = text("SELECT holder, reply FROM repeatable_replies")
        return [tuple(row) for row in await tx.execute(query)]


@pytest.mark.parametrize("name", [b"", b"n" * 256, b"tab\there", "ümlaut".encode(), b"\x7f"])
def test_a_name_is_short_printable_ascii(name):
    with pytest.raises(IdempotencyKeyError):
        ask(name=name)


@pytest.mark.parametrize("name", [b"n", b"n" * 255, b"~ with space"])
def test_any_printable_name_is_taken(name):
    assert len(ask(name=name).name_hash) == 32


def test_route_and_body_are_told_apart():
    same = service.asked(1, b"n", "POST", "/v1/x", b"{}")

    others = [
        service.asked(1, b"n", "PUT", "/v1/x", b"{}"),
        service.asked(1, b"n", "POST", "/v1/y", b"{}"),
        service.asked(1, b"n", "POST", "/v1/x", b"{ }"),
        service.asked(1, b"n", "POST", "/v1/x{", b"}"),
    ]

    assert same == service.asked(1, b"n", "POST", "/v1/x", b"{}")
    assert len({same.fingerprint, *(other.fingerprint for other in others)}) == 5


async def test_a_repeat_finds_the_reply(engine):
    await run(engine)

    _, found = await claim(engine, call_id=2)

    assert service.unseal(BOX, ask(), found) == REPLY


async def test_a_reply_that_was_lost_is_told_as_such(engine):
    await run(engine, reply=Lost("req_1", Loss.TOO_LARGE))

    _, found = await claim(engine, call_id=2)

    assert service.unseal(BOX, ask(), found) == Lost("req_1", Loss.TOO_LARGE)


async def test_another_body_is_refused_while_it_runs_and_after(engine):
    held, _ = await claim(engine)
    with pytest.raises(IdempotencyKeyReusedError):
        await claim(engine, ask(body=b"other"), 2)
    async with transaction(engine) as tx:
        await service.finish(tx, held, service.seal(BOX, held, REPLY))

    with pytest.raises(IdempotencyKeyReusedError):
        await claim(engine, ask(path="/v1/other"), 3)


async def test_a_repeat_that_comes_too_early_is_told_to_come_back(engine):
    await claim(engine)

    with pytest.raises(IdempotencyKeyInUseError) as refused:
        await claim(engine, call_id=2)

    assert refused.value.retry_after == 1
    assert refused.value.retryable


async def test_of_many_at_once_one_runs(engine):
    async def attempt(call_id):
        try:
            return (await claim(engine, call_id=call_id))[1]
        except IdempotencyKeyInUseError:
            return "waits"

    found = await asyncio.gather(*(attempt(number) for number in range(20)))

    assert sorted(found, key=str) == [None] + ["waits"] * 19


async def test_names_of_other_users_are_other_names(engine):
    await run(engine)

    _, found = await claim(engine, ask(user_id=2), 2)

    assert found is None


async def test_a_request_that_was_released_may_run_again(engine):
    held, _ = await claim(engine)
    async with transaction(engine) as tx:
        released = await service.release(tx, held)

    _, found = await claim(engine, ask(body=b"mended"), 2)

    assert (released, found) == (True, None)


async def test_nobody_ends_what_another_holds(engine):
    held, _ = await claim(engine)
    stranger = service.claim_of(ask(), Holder("process", 2), NOW)

    async with transaction(engine) as tx:
        finished = await service.finish(tx, stranger, service.seal(BOX, stranger, REPLY))
        released = await service.release(tx, stranger)
        ours = await service.finish(tx, held, service.seal(BOX, held, REPLY))

    assert (finished, released, ours) == (False, False, True)


async def test_an_ended_request_is_neither_released_nor_ended_again(engine):
    held = await run(engine)

    async with transaction(engine) as tx:
        again = await service.finish(tx, held, Sealed(b"other"))
        released = await service.release(tx, held)

    assert (again, released) == (False, False)


# -- a holder that is gone ---------------------------------------------------------------------


async def test_who_renews_is_not_asked_after(engine):
    held, _ = await claim(engine)
    async with transaction(engine) as tx:
        await service.renew(tx, [held], NOW + 25)
    ledger = Ledger(Fate.FREE)

    with pytest.raises(IdempotencyKeyInUseError):
        await claim(engine, call_id=2, now=NOW + 54, ledger=ledger)

    assert ledger.asked == []


async def test_a_call_that_is_certainly_free_runs_again_once(engine):
    first, _ = await claim(engine)
    ledger = Ledger(Fate.FREE)

    second, found = await claim(engine, call_id=2, now=NOW + 30, ledger=ledger)

    assert found is None
    assert ledger.asked == [Holder("process", 1)]
    with pytest.raises(IdempotencyKeyInUseError):
        await claim(engine, call_id=3, now=NOW + 31, ledger=ledger)
    async with transaction(engine) as tx:
        assert not await service.finish(tx, first, service.seal(BOX, first, REPLY))
        assert await service.finish(tx, second, service.seal(BOX, second, REPLY))


async def test_of_many_who_would_take_over_one_does(engine):
    await claim(engine)

    async def attempt(call_id):
        try:
            return (await claim(engine, None, call_id, now=NOW + 60, ledger=Ledger(Fate.FREE)))[1]
        except IdempotencyKeyInUseError:
            return "waits"

    found = await asyncio.gather(*(attempt(number) for number in range(2, 12)))

    assert sorted(found, key=str) == [None] + ["waits"] * 9


@pytest.mark.parametrize(
    ("fate", "refusal"),
    [(Fate.CHARGED, ReplyNotKeptError), (Fate.UNKNOWN, IdempotencyKeyInUseError)],
)
async def test_a_call_that_may_have_been_charged_never_runs_again(engine, fate, refusal):
    await claim(engine)

    for later in (30, HOUR, 24 * HOUR - 1):
        with pytest.raises(refusal):
            await claim(engine, call_id=2, now=NOW + later, ledger=Ledger(fate))


async def test_where_nothing_tells_no_call_is_free():
    assert await service.never_free(None, Holder("p", 1)) is Fate.CHARGED  # type: ignore[arg-type]  # it looks nothing up


async def test_a_holder_that_slept_still_ends_its_own_request(engine):
    held, _ = await claim(engine)
    with pytest.raises(ReplyNotKeptError):
        await claim(engine, call_id=2, now=NOW + HOUR)

    async with transaction(engine) as tx:
        finished = await service.finish(tx, held, service.seal(BOX, held, REPLY))

    _, found = await claim(engine, call_id=3, now=NOW + HOUR)
    assert finished
    assert service.unseal(BOX, ask(), found) == REPLY


# -- time --------------------------------------------------------------------------------------


async def test_a_reply_is_kept_for_a_day_from_its_request(engine):
    await run(engine)

    _, before = await claim(engine, call_id=2, now=NOW + 24 * HOUR - 0.001)
    _, after = await claim(engine, ask(body=b"other"), 3, now=NOW + 24 * HOUR)

    assert before is not None
    assert after is None


async def test_a_claim_of_yesterday_holds_nobody_up(engine):
    await claim(engine)

    _, found = await claim(engine, call_id=2, now=NOW + 24 * HOUR, ledger=Ledger(Fate.UNKNOWN))

    assert found is None


async def test_a_purge_deletes_what_is_over_and_no_more(engine):
    await run(engine, ask(name=b"old"), now=NOW - 24 * HOUR)
    await claim(engine, ask(name=b"dead"), now=NOW - 24 * HOUR)
    await claim(engine, ask(name=b"lapsed"), now=NOW - HOUR)
    await run(engine, ask(name=b"young"), now=NOW - HOUR)
    long, _ = await claim(engine, ask(name=b"long"), now=NOW - 25 * HOUR)
    async with transaction(engine) as tx:
        await service.renew(tx, [long], NOW)

    async with transaction(engine) as tx:
        deleted = await service.purge(tx, NOW)

    assert deleted == 2
    assert len(await rows(engine)) == 3


async def test_a_purge_takes_a_bounded_bite(engine):
    for number in range(3):
        await run(engine, ask(name=b"n%d" % number), now=NOW - 25 * HOUR)

    bites = []
    for _ in range(3):
        async with transaction(engine) as tx:
            bites.append(await service.purge(tx, NOW, limit=2))

    assert bites == [2, 1, 0]


# -- secrecy -----------------------------------------------------------------------------------


async def test_nothing_of_a_reply_can_be_read_in_the_database(engine):
    await run(engine)

    [(holder, reply)] = await rows(engine)

    assert holder is None
    assert b"secret" not in reply
    assert b"req_1" not in reply


@pytest.mark.parametrize("damage", [b"", b"\xff\xfe", b"plain text"])
async def test_a_changed_row_is_refused(engine, damage):
    await run(engine)
    async with transaction(engine) as tx:
        await tx.execute(text("UPDATE repeatable_replies SET reply = :reply"), {"reply": damage})
    _, found = await claim(engine, call_id=2)

    with pytest.raises(ReplyUnreadableError):
        service.unseal(BOX, ask(), found)


async def test_a_reply_moved_to_another_row_is_refused(engine):
    await run(engine)
    await run(engine, ask(user_id=2))
    [(_, mine), (_, theirs)] = await rows(engine)

    opened: list[object] = []
    for reply in (mine, theirs):
        try:
            opened.append(service.unseal(BOX, ask(), Sealed(reply)))
        except ReplyUnreadableError:
            opened.append(None)

    assert sorted(opened, key=str) == sorted([REPLY, None], key=str)


async def test_a_rotation_seals_what_can_be_opened_and_leaves_the_rest(engine):
    both, fresh = Box([b"t" * 32, b"s" * 32]), Box([b"t" * 32])
    await run(engine, ask(name=b"odd"))
    async with transaction(engine) as tx:
        await tx.execute(text("UPDATE repeatable_replies SET reply = :reply"), {"reply": b"\xff"})
    await run(engine)
    await claim(engine, ask(name=b"running"))

    async with transaction(engine) as tx:
        count = await service.reseal(tx, both)

    _, found = await claim(engine, call_id=2)
    assert count == 1
    assert service.unseal(fresh, ask(), found) == REPLY
