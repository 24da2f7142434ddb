"""`meterway key …`."""

from typing import Any

import click
import msgspec

from meterway.accounts import service as accounts
from meterway.auth.service import grantable
from meterway.catalog.service import Catalog
from meterway.cli.frame import Frame, common, run, secret_from
from meterway.cli.installation import opened
from meterway.cli.moments import read, shown
from meterway.cli.retention import RETENTION, ZERO
from meterway.db.engine import reading, transaction
from meterway.keys import service as keys
from meterway.keys.types import Changes, Key, NewKey
from meterway.kit import money
from meterway.kit.clock import SystemClock
from meterway.settings import Settings


@click.group()
def key() -> None:
    """Make, list, change and revoke API keys."""


@key.command()
@click.option("--user", "email", required=True, help="E-mail of the user the key belongs to.")
@click.option("--remark", default="", help="What the key is for.")
@click.option(
    "--permissions", default="", help="Models and families it may use, a,b,c; default: all."
)
@click.option("--expires", help="When it ends: a span such as 30d, or an ISO 8601 moment.")
@click.option("--default-model", help="Model of calls that name none.")
@click.option("--max-fee", default="0", help="Dollars it may spend in all; default: any amount.")
@click.option("--admin", is_flag=True, help="May call the administration API.")
@click.option("--zero-retention", is_flag=True, help="Keep nothing that is said with it.")
@common
def create(  # noqa: PLR0913 - one parameter per option
    frame: Frame,
    /,
    *,
    email: str,
    remark: str,
    permissions: str,
    expires: str | None,
    default_model: str | None,
    max_fee: str,
    admin: bool,
    zero_retention: bool,
) -> None:
    """Make a key and print it once."""
    new = NewKey(
        user_id=0,
        remark=remark,
        permissions=_names(permissions),
        is_admin=admin,
        expires_at=None if expires is None else read(expires, SystemClock().now()),
        default_model=default_model,
        max_fee=money.dollars(max_fee),
        zero_retention=zero_retention,
    )
    key_id, token = run(_create(frame.settings(), email, new))
    frame.say({"id": str(key_id), "key": token}, token)


async def _create(settings: Settings, email: str, new: NewKey) -> tuple[int, str]:
    async with opened(settings) as place, transaction(place.engine) as tx:
        owner = await accounts.by_email(tx, email)
        owned = msgspec.structs.replace(new, user_id=owner.id)
        known, now = await grantable(tx, Catalog().models()), place.clock.now()
        return await keys.create(tx, place.secrets.pepper, owned, known=known, now=now)


def _names(text: str) -> frozenset[str]:
    return frozenset(name.strip() for name in text.split(",") if name.strip())


@key.command()
@click.argument("name", metavar="KEY")
@click.option("--remark", help="What the key is for.")
@click.option("--permissions", help="Models and families it may use, a,b,c; `all` lifts the limit.")
@click.option(
    "--expires", "expires_at", help="When it ends: a span from now, an ISO 8601 moment, or `never`."
)
@click.option("--default-model", help="Model of calls that name none; `none` takes it away.")
@click.option("--max-fee", help="Dollars it may spend in all; 0 lifts the bound.")
@click.option(
    "--retention",
    "zero_retention",
    type=click.Choice(RETENTION),
    help="zero: nothing said with it is kept; usual: what it asks for.",
)
@common
def update(frame: Frame, /, name: str, **options: str | None) -> None:
    """Change a key; what is not named stays. KEY is its number, its text, or `-`."""
    given = {option: text for option, text in options.items() if text is not None}
    if not given:
        raise click.UsageError("Say what to change; --help names it.")
    changes = Changes(**{option: _value(option, text) for option, text in given.items()})
    found = run(_update(frame.settings(), secret_from(name), changes))
    frame.say({"id": str(found.id), "key": found.shown}, f"Key {found.shown} was changed.")


def _value(option: str, text: str) -> Any:
    match option, text:
        case ("expires_at", "never") | ("default_model", "none"):
            return None
        case "expires_at", _:
            return read(text, SystemClock().now())
        case "permissions", _:
            return frozenset() if text == "all" else _names(text)
        case "max_fee", _:
            return money.dollars(text)
        case "zero_retention", _:
            return text == ZERO
        case _:
            return text


async def _update(settings: Settings, name: str, changes: Changes) -> Key:
    async with opened(settings) as place, transaction(place.engine) as tx:
        found = await keys.named(tx, place.secrets.pepper, name)
        known = await grantable(tx, Catalog().models())
        await keys.update(tx, found.id, changes, known=known)
        return found


@key.command("list")
@click.option("--user", "email", help="Only this user's keys.")
@common
def list_(frame: Frame, email: str | None) -> None:
    """List keys, masked, with what they spent in dollars; deleted ones too."""
    rows = [_facts(one) for one in run(_listed(frame.settings(), email))]
    columns = ("id", "key", "user_id", "remark", "disabled", "expires_at", "used_fee", "max_fee")
    frame.say_table(rows, columns)


async def _listed(settings: Settings, email: str | None) -> list[Key]:
    async with opened(settings) as place, reading(place.engine) as connection:
        owner = None if email is None else (await accounts.by_email(connection, email)).id
        return await keys.of_user(connection, owner, deleted=True)


def _facts(one: Key) -> dict[str, Any]:
    return {
        "id": str(one.id),
        "key": one.shown,
        "user_id": str(one.user_id),
        "remark": one.remark,
        "permissions": [] if one.permissions is None else sorted(one.permissions),
        "is_admin": one.is_admin,
        "disabled": one.disabled,
        "created_at": shown(one.created_at),
        "expires_at": shown(one.expires_at),
        "default_model": one.default_model,
        "max_fee": money.shown(one.max_fee),
        "used_fee": money.shown(one.used_fee),
        "used_times": one.used_times,
        "used_at": shown(one.used_at),
        "deleted_at": shown(one.deleted_at),
        "zero_retention": one.zero_retention,
    }


@key.command()
@click.argument("name", metavar="KEY")
@common
def revoke(frame: Frame, name: str) -> None:
    """Make a key useless for ever. KEY is its number, its text, or `-` for standard input."""
    found = run(_revoke(frame.settings(), secret_from(name)))
    frame.say({"id": str(found.id), "key": found.shown}, f"Key {found.shown} is revoked.")


async def _revoke(settings: Settings, name: str) -> Key:
    async with opened(settings) as place, transaction(place.engine) as tx:
        found = await keys.named(tx, place.secrets.pepper, name)
        await keys.delete(tx, found.id, now=place.clock.now())
        return found
