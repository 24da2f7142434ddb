"""`meterway user grant|adjust|refund` and `meterway code …`: money by an operator's hand."""

import re
from typing import Any, NamedTuple

import click
import msgspec

from meterway.accounts import service as accounts
from meterway.cli.frame import Frame, common, run
from meterway.cli.installation import opened
from meterway.cli.moments import read
from meterway.cli.moments import shown as shown_moment
from meterway.db.engine import reading, transaction
from meterway.edge import forwarding
from meterway.kit.clock import SystemClock
from meterway.kit.money import Nanos, dollars, shown
from meterway.ledger.books import service as books
from meterway.ledger.books.types import Account, Kind, Pots
from meterway.ledger.budgets import service as budgets
from meterway.ledger.charges import service as charges
from meterway.ledger.codes import service as codes
from meterway.ledger.codes.types import Code, NewCodes
from meterway.ledger.gifts import service as gifts
from meterway.settings import Settings

_CALL = re.compile(r"req_(?P<hex>[0-9a-f]{16})|(?P<number>[0-9]{1,19})")
_MOST_CALL = 2**63
_LONGEST_REFERENCE = 80
_CHANNELS = click.Choice([forwarding.CLAUDE_CODE, forwarding.CODEX])


class _Change(NamedTuple):
    """A movement of money as its operator asked for it."""

    amount: Nanos
    pot: Kind
    reference: str | None
    reason: str


def _own(reference: str | None) -> str | None:
    """Keep operators' references apart from those of the product's own."""
    if reference is None:
        return None
    if not 0 < len(reference) <= _LONGEST_REFERENCE or not reference.isprintable():
        raise click.BadParameter(
            f"A reference has 1 to {_LONGEST_REFERENCE} characters, all printable."
        )
    return f"operator:{reference}"


_reference = click.option(
    "--reference", help="Under one reference it happens once, however often it is repeated."
)
_reason = click.option("--reason", default="", help="What the statement says of it.")


@click.command()
@click.argument("email")
@click.argument("amount")
@click.option("--free", is_flag=True, help="Into the free money, which is spent first.")
@click.option("--billing", type=_CHANNELS, help="A credit for one forwarding service alone.")
@click.option("--expires", help="When a credit ends: a span such as 60d, or an ISO 8601 moment.")
@_reference
@_reason
@common
def grant(  # noqa: PLR0913 - one parameter per option
    frame: Frame,
    /,
    email: str,
    amount: str,
    *,
    free: bool,
    billing: str | None,
    expires: str | None,
    reference: str | None,
    reason: str,
) -> None:
    """Give a user money: AMOUNT in dollars, such as 12.34."""
    if billing is None and expires is not None:
        raise click.UsageError("Only a credit ends; name its service with --billing.")
    if billing is not None and free:
        raise click.UsageError("A credit is neither free nor paid money; leave out --free.")
    size = dollars(amount)
    if billing is None:
        change = _Change(size, Kind.FREE if free else Kind.PAID, _own(reference), reason)
        _say(frame, email, run(_move(frame.settings(), email, change)))
        return
    end = None if expires is None else read(expires, SystemClock().now())
    change = _Change(size, Kind.CREDIT, _own(reference), reason)
    left, is_new = run(_give_credit(frame.settings(), email, billing, change, end))
    facts = {"email": email, "billing": billing, "credit": shown(left), "done": is_new}
    facts["expires_at"] = shown_moment(end)
    until = f" The new part ends at {facts['expires_at']}." if end and is_new else ""
    frame.say(facts, f"{email} has {shown(left)} USD for {billing}.{until}{_again(is_new)}")


async def _give_credit(
    settings: Settings, email: str, billing: str, change: _Change, expires_at: float | None
) -> tuple[Nanos, bool]:
    async with opened(settings) as place, transaction(place.engine) as tx:
        user_id = (await accounts.by_email(tx, email)).id
        given = await gifts.give_credit(
            tx,
            user_id,
            billing,
            change.amount,
            at=place.clock.now(),
            reference=change.reference,
            reason=change.reason,
            expires_at=expires_at,
        )
        account = Account(Kind.CREDIT, user_id, billing)
        return (await books.balances(tx, [account]))[account], given is not None


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("email")
@click.argument("amount")
@click.option("--free", is_flag=True, help="Of the free money.")
@_reference
@_reason
@common
def adjust(  # noqa: PLR0913 - one parameter per option
    frame: Frame,
    /,
    email: str,
    amount: str,
    *,
    free: bool,
    reference: str | None,
    reason: str,
) -> None:
    """Correct what a user has by AMOUNT, such as 12.34 or -12.34; only what no call holds."""
    size = dollars(amount.removeprefix("-"))
    delta = -size if amount.startswith("-") else size
    change = _Change(delta, Kind.FREE if free else Kind.PAID, _own(reference), reason)
    _say(frame, email, run(_move(frame.settings(), email, change, corrects=True)))


def _again(is_new: bool) -> str:  # noqa: FBT001 - what it is about
    return "" if is_new else " That reference was used before, so nothing was changed."


async def _move(
    settings: Settings, email: str, change: _Change, *, corrects: bool = False
) -> tuple[Pots, bool]:
    use_case = budgets.adjust if corrects else budgets.grant
    async with opened(settings) as place, transaction(place.engine) as tx:
        user_id = (await accounts.by_email(tx, email)).id
        moved = await use_case(
            tx,
            user_id,
            change.amount,
            change.pot,
            at=place.clock.now(),
            reference=change.reference,
            reason=change.reason,
        )
        return (await books.pots(tx, [user_id]))[user_id], moved is not None


def _say(frame: Frame, email: str, found: tuple[Pots, bool]) -> None:
    pots, is_new = found
    facts = {name: shown(amount) for name, amount in msgspec.structs.asdict(pots).items()}
    text = f"{email} has {facts['paid']} USD, and {facts['free']} USD of free money."
    frame.say({"email": email, **facts, "done": is_new}, text + _again(is_new))


@click.command()
@click.argument("call_id")
@click.argument("amount", required=False)
@_reference
@_reason
@common
def refund(
    frame: Frame,
    /,
    call_id: str,
    amount: str | None,
    *,
    reference: str | None,
    reason: str,
) -> None:
    """Give back what a call was charged, or AMOUNT of it. CALL_ID as in `x-request-id`."""
    some = None if amount is None else dollars(amount)
    work = _refund(frame.settings(), _call(call_id), some, _own(reference), reason)
    entry_id, user_id, before, after = run(work)
    back = shown(after - before)
    is_new = entry_id is not None
    facts = {"entry": str(entry_id) if is_new else None, "user_id": str(user_id), "amount": back}
    text = f"{back} USD were given back to user {user_id}.{_again(is_new)}"
    frame.say({**facts, "done": is_new}, text)


async def _refund(
    settings: Settings, call_id: int, amount: Nanos | None, reference: str | None, reason: str
) -> tuple[int | None, int, Nanos, Nanos]:
    async with opened(settings) as place, transaction(place.engine) as tx:
        charge = await budgets.refundable(tx, call_id)
        if charge.credit and (told := await charges.receipt(tx, charge.user_id, call_id)):
            charge = msgspec.structs.replace(charge, billing=told.billing)
        before = -(await books.reversed_of(tx, call_id)).get(Kind.REVENUE, 0)
        at = place.clock.now()
        entry_id = await budgets.refund(
            tx, charge, amount, at=at, reference=reference, reason=reason
        )
        after = -(await books.reversed_of(tx, call_id)).get(Kind.REVENUE, 0)
        return entry_id, charge.user_id, before, after


def _call(text: str) -> int:
    found = _CALL.fullmatch(text)
    if found is None:
        raise click.BadParameter("A call is named as `req_` and sixteen hex digits, or a number.")
    number = int(found["hex"], 16) if found["hex"] else int(found["number"])
    if number >= _MOST_CALL:
        raise click.BadParameter("No call has such a number.")
    return number


@click.group()
def code() -> None:
    """Make and list redemption codes."""


@code.command()
@click.argument("amount")
@click.option("--count", default=1, show_default=True, help="How many, all alike.")
@click.option("--paid", is_flag=True, help="Into the paid money; default: the free money.")
@click.option("--expires", help="When they end: a span such as 30d, or an ISO 8601 moment.")
@click.option("--remark", default="", help="What the codes are for.")
@common
def create(  # noqa: PLR0913 - one parameter per option
    frame: Frame, /, amount: str, *, count: int, paid: bool, expires: str | None, remark: str
) -> None:
    """Make codes worth AMOUNT dollars each, and print them once."""
    new = NewCodes(
        amount=dollars(amount),
        count=count,
        pot=Kind.PAID if paid else Kind.FREE,
        remark=remark,
        expires_at=None if expires is None else read(expires, SystemClock().now()),
    )
    texts = run(_create(frame.settings(), new))
    frame.say({"codes": texts, "amount": shown(new.amount)}, "\n".join(texts))


async def _create(settings: Settings, new: NewCodes) -> list[str]:
    async with opened(settings) as place, transaction(place.engine) as tx:
        return await codes.create(tx, place.secrets.pepper, new, now=place.clock.now())


@code.command("list")
@common
def list_(frame: Frame) -> None:
    """List redemption codes, without their texts."""
    rows = [_facts(one) for one in run(_every(frame.settings()))]
    columns = ("id", "amount", "pot", "remark", "created_at", "expires_at", "used_by", "used_at")
    frame.say_table(rows, columns)


async def _every(settings: Settings) -> list[Code]:
    async with opened(settings) as place, reading(place.engine) as connection:
        return await codes.every(connection)


def _facts(one: Code) -> dict[str, Any]:
    return {
        "id": str(one.id),
        "amount": shown(one.amount),
        "pot": one.pot.value,
        "remark": one.remark,
        "created_at": shown_moment(one.created_at),
        "expires_at": shown_moment(one.expires_at),
        "used_by": None if one.used_by is None else str(one.used_by),
        "used_at": shown_moment(one.used_at),
    }
