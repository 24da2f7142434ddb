"""`meterway user grant|adjust|refund` and `meterway code …`: money by an operator's hand."""

import re
from typing import Any

import click
import msgspec

from meterway.accounts import service as accounts
from meterway.cli.frame import Frame, common, run
from meterway.cli.installation import opened
from meterway.cli.moments import read
from meterway.cli.moments import shown as shown_moment
from meterway.db.engine import reading, transaction
from meterway.kit.clock import SystemClock
from meterway.kit.money import Nanos, dollars, shown
from meterway.ledger.books import service as books
from meterway.ledger.books.types import Kind, Pots
from meterway.ledger.budgets import service as budgets
from meterway.ledger.charges import service as charges
from meterway.ledger.codes import service as codes
from meterway.ledger.codes.types import Code, NewCodes
from meterway.settings import Settings

_CALL = re.compile(r"req_(?P<hex>[0-9a-f]{16})|(?P<number>[0-9]{1,19})")
_MOST_CALL = 2**63


@click.command()
@click.argument("email")
@click.argument("amount")
@click.option("--free", is_flag=True, help="Into the free money, which is spent first.")
@click.option("--reason", default="", help="What the statement says of it.")
@common
def grant(frame: Frame, /, email: str, amount: str, *, free: bool, reason: str) -> None:
    """Give a user money: AMOUNT in dollars, such as 12.34."""
    pots = run(_move(frame.settings(), email, dollars(amount), free=free, reason=reason))
    _say(frame, email, pots)


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("email")
@click.argument("amount")
@click.option("--free", is_flag=True, help="Of the free money.")
@click.option("--reason", default="", help="What the statement says of it.")
@common
def adjust(frame: Frame, /, email: str, amount: str, *, free: bool, reason: str) -> None:
    """Correct what a user has by AMOUNT, such as 12.34 or -12.34; only what no call holds."""
    size = dollars(amount.removeprefix("-"))
    delta = -size if amount.startswith("-") else size
    work = _move(frame.settings(), email, delta, free=free, reason=reason, corrects=True)
    _say(frame, email, run(work))


async def _move(  # noqa: PLR0913 - the facts of one movement
    settings: Settings,
    email: str,
    amount: Nanos,
    *,
    free: bool,
    reason: str,
    corrects: bool = False,
) -> Pots:
    use_case = budgets.adjust if corrects else budgets.grant
    pot = Kind.FREE if free else Kind.PAID
    async with opened(settings) as place, transaction(place.engine) as tx:
        user_id = (await accounts.by_email(tx, email)).id
        at = place.clock.now()
        await use_case(tx, user_id, amount, pot, at=at, reference=None, reason=reason)
        return (await books.pots(tx, [user_id]))[user_id]


def _say(frame: Frame, email: str, pots: Pots) -> None:
    facts = {name: shown(amount) for name, amount in msgspec.structs.asdict(pots).items()}
    text = f"{email} has {facts['paid']} USD, and {facts['free']} USD of free money."
    frame.say({"email": email, **facts}, text)


@click.command()
@click.argument("call_id")
@click.argument("amount", required=False)
@click.option("--reason", default="", help="What the statement says of it.")
@common
def refund(frame: Frame, /, call_id: str, amount: str | None, *, reason: str) -> None:
    """Give back what a call was charged, or AMOUNT of it. CALL_ID as in `x-request-id`."""
    some = None if amount is None else dollars(amount)
    work = _refund(frame.settings(), _call(call_id), some, reason)
    entry_id, user_id, before, after = run(work)
    back = shown(after - before)
    facts = {"entry": str(entry_id), "user_id": str(user_id), "amount": back}
    frame.say(facts, f"{back} USD were given back to user {user_id}.")


async def _refund(
    settings: Settings, call_id: int, amount: Nanos | None, reason: str
) -> tuple[int | None, int, Nanos, Nanos]:
    async with opened(settings) as place, transaction(place.engine) as tx:
        charge = await budgets.refundable(tx, call_id)
        if charge.credit and (told := await charges.receipt(tx, charge.user_id, call_id)):
            charge = msgspec.structs.replace(charge, billing=told.billing)
        before = -(await books.reversed_of(tx, call_id)).get(Kind.REVENUE, 0)
        at = place.clock.now()
        entry_id = await budgets.refund(tx, charge, amount, at=at, reference=None, reason=reason)
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
