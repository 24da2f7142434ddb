"""`meterway user …`."""

import click

from meterway.accounts import service as accounts
from meterway.accounts.types import NewUser, User
from meterway.cli.frame import Frame, common, run, secret_from
from meterway.cli.installation import opened
from meterway.cli.moments import shown
from meterway.db.engine import reading, transaction
from meterway.kit.ids import random_text
from meterway.settings import Settings

_PASSWORD_LENGTH = 20


@click.group()
def user() -> None:
    """Make, list, disable and enable users."""


@user.command()
@click.option("--email", required=True, help="Address the user signs in with.")
@click.option("--password", help="`-` reads it from standard input; default: made and shown once.")
@click.option("--admin", is_flag=True, help="May administer the installation.")
@click.option("--postpaid", is_flag=True, help="Calls are not refused for want of balance.")
@common
def create(frame: Frame, email: str, password: str | None, *, admin: bool, postpaid: bool) -> None:
    """Make a user."""
    chosen = secret_from(password) if password else None
    new = NewUser(
        email=email,
        password=chosen or random_text(_PASSWORD_LENGTH),
        is_admin=admin,
        postpaid=postpaid,
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
    rows = [
        {
            "id": str(one.id),
            "email": one.email,
            "is_admin": one.is_admin,
            "postpaid": one.postpaid,
            "disabled": one.disabled,
            "created_at": shown(one.created_at),
        }
        for one in run(_every(frame.settings()))
    ]
    frame.say_table(rows, ("id", "email", "is_admin", "postpaid", "disabled", "created_at"))


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
