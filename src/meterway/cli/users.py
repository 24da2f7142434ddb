"""`meterway user …`."""

from typing import Any

import click

from meterway.accounts import service as accounts
from meterway.accounts.types import NewUser, Tier, User
from meterway.cli import money
from meterway.cli.frame import Frame, common, run, secret_from
from meterway.cli.installation import Installation, opened
from meterway.cli.moments import read, shown
from meterway.cli.retention import RETENTION, ZERO
from meterway.db.engine import reading, transaction
from meterway.idempotency import service as idempotency
from meterway.keys import service as keys
from meterway.kit.clock import SystemClock
from meterway.kit.ids import random_text
from meterway.ledger.charges import service as charges
from meterway.settings import Settings
from meterway.threads import service as threads

_PASSWORD_LENGTH = 20
_TIERS = click.Choice([tier.value for tier in Tier], case_sensitive=False)


@click.group()
def user() -> None:
    """Make, list, shut out and erase users, let them in, set their tier, and move their money."""


user.add_command(money.grant)
user.add_command(money.adjust)
user.add_command(money.refund)


@user.command()
@click.option("--email", required=True, help="Address the user signs in with.")
@click.option("--password", help="`-` reads it from standard input; default: made and shown once.")
@click.option("--admin", is_flag=True, help="May administer the installation.")
@click.option("--postpaid", is_flag=True, help="Calls are not refused for want of balance.")
@click.option("--tier", type=_TIERS, default=Tier.NORMAL.value, help="What it is a member of.")
@click.option("--until", help="When the tier ends: a span such as 30d, or an ISO 8601 moment.")
@click.option("--zero-retention", is_flag=True, help="Keep nothing it says.")
@common
def create(  # noqa: PLR0913 - one parameter per option
    frame: Frame,
    /,
    *,
    email: str,
    password: str | None,
    admin: bool,
    postpaid: bool,
    tier: str,
    until: str | None,
    zero_retention: bool,
) -> None:
    """Make a user."""
    chosen = secret_from(password) if password else None
    new = NewUser(
        email=email,
        password=chosen or random_text(_PASSWORD_LENGTH),
        is_admin=admin,
        postpaid=postpaid,
        tier=Tier(tier),
        tier_expires_at=_moment(until),
        zero_retention=zero_retention,
    )
    user_id = run(_create(frame.settings(), new))
    facts = {"id": str(user_id), "email": new.email.strip().casefold()}
    text = f"User {facts['email']} was made."
    if chosen is None:
        facts["password"] = new.password
        text += f" The password is shown once: {new.password}"
    frame.say(facts, text)


async def _create(settings: Settings, new: NewUser) -> int:
    async with opened(settings) as place, transaction(place.engine) as tx:
        return await accounts.create(tx, new, now=place.clock.now())


@user.command("list")
@common
def list_(frame: Frame) -> None:
    """List the users."""
    rows = [_facts(one) for one in run(_every(frame.settings()))]
    columns = ("id", "email", "is_admin", "postpaid", "disabled", "tier", "tier_expires_at")
    frame.say_table(rows, columns)


def _facts(one: User) -> dict[str, Any]:
    return {
        "id": str(one.id),
        "email": one.email,
        "is_admin": one.is_admin,
        "postpaid": one.postpaid,
        "disabled": one.disabled,
        "tier": one.tier.value,
        "tier_expires_at": shown(one.tier_expires_at),
        "created_at": shown(one.created_at),
        "zero_retention": one.zero_retention,
    }


async def _every(settings: Settings) -> list[User]:
    async with opened(settings) as place, reading(place.engine) as connection:
        return await accounts.every(connection)


@user.command()
@click.argument("email")
@common
def disable(frame: Frame, email: str) -> None:
    """Shut a user out; all of its keys stop working at once."""
    run(_set_disabled(frame.settings(), email, disabled=True))
    frame.say({"email": email, "disabled": True}, f"User {email} is shut out.")


@user.command()
@click.argument("email")
@common
def enable(frame: Frame, email: str) -> None:
    """Let a user in again."""
    run(_set_disabled(frame.settings(), email, disabled=False))
    frame.say({"email": email, "disabled": False}, f"User {email} may use Meterway again.")


async def _set_disabled(settings: Settings, email: str, *, disabled: bool) -> None:
    async with opened(settings) as place, transaction(place.engine) as tx:
        found = await accounts.by_email(tx, email)
        await accounts.set_disabled(tx, found.id, disabled=disabled)


@user.command()
@click.argument("email")
@click.confirmation_option(prompt="Nobody can bring back what is erased. Go on?")
@common
def erase(frame: Frame, email: str) -> None:
    """Shut a user out for good: erase its calls and all that is kept of it, and delete its keys.

    Sums by day and the books stay, and so does the address. Calls that end later are erased by
    doing it again.
    """
    keys_, calls = run(_erase(frame.settings(), email))
    facts = {"email": email, "keys": keys_, "calls": calls}
    frame.say(facts, f"User {email} is shut out; {keys_} keys and {calls} calls were erased.")


async def _erase(settings: Settings, email: str) -> tuple[int, int]:
    async with opened(settings) as place:
        async with transaction(place.engine) as tx:
            found = await accounts.by_email(tx, email)
            await accounts.set_disabled(tx, found.id, disabled=True)
            theirs = await keys.of_user(tx, found.id)
            for key in theirs:
                await keys.delete(tx, key.id, now=place.clock.now())
            await idempotency.forget(tx, found.id)
        await _forget(place, found.id)
        calls = 0
        while True:  # a part at a time, so that calls of others are posted in between
            async with transaction(place.engine) as tx:
                erased = await charges.erase_user(tx, found.id, at=place.clock.now())
            if not erased:
                return len(theirs), calls
            calls += erased


async def _forget(place: Installation, user_id: int) -> None:
    """Delete what is kept of what a user said, a part at a time as well."""
    gone = 1
    while gone:
        async with transaction(place.engine) as tx:
            gone = await threads.forget(tx, user_id)


@user.command("set-retention")
@click.argument("email")
@click.argument("retention", type=click.Choice(RETENTION))
@common
def set_retention(frame: Frame, email: str, retention: str) -> None:
    """Keep nothing a user says from now on (zero), or what it asks to be kept (usual).

    What was kept before stays until its time, or until the user deletes it.
    """
    zero = retention == ZERO
    run(_set_retention(frame.settings(), email, zero=zero))
    said = "nothing" if zero else "what it asks for"
    frame.say({"email": email, "zero_retention": zero}, f"Of user {email} {said} is kept.")


async def _set_retention(settings: Settings, email: str, *, zero: bool) -> None:
    async with opened(settings) as place, transaction(place.engine) as tx:
        found = await accounts.by_email(tx, email)
        await accounts.set_zero_retention(tx, found.id, on=zero)


@user.command("set-tier")
@click.argument("email")
@click.argument("tier", type=_TIERS)
@click.option("--until", help="When it ends: a span such as 30d, or an ISO 8601 moment.")
@common
def set_tier(frame: Frame, email: str, tier: str, until: str | None) -> None:
    """Make a user a member of a tier (normal, VIP, PREMIUM); without an end, for ever."""
    chosen, end = Tier(tier), _moment(until)
    run(_set_tier(frame.settings(), email, chosen, end))
    facts = {"email": email, "tier": chosen.value, "tier_expires_at": shown(end)}
    frame.say(facts, f"User {email} is {chosen.value}{f' until {shown(end)}' if end else ''}.")


async def _set_tier(settings: Settings, email: str, tier: Tier, expires_at: float | None) -> None:
    async with opened(settings) as place, transaction(place.engine) as tx:
        found = await accounts.by_email(tx, email)
        await accounts.set_tier(tx, found.id, tier, expires_at)


def _moment(text: str | None) -> float | None:
    return None if text is None else read(text, SystemClock().now())
