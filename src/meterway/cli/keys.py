"""`meterway key …`."""

from typing import Any

import click

from meterway.accounts import service as accounts
from meterway.catalog.service import Catalog
from meterway.cli.frame import Frame, common, run, secret_from
from meterway.cli.installation import opened
from meterway.cli.moments import read, shown
from meterway.db.engine import reading, transaction
from meterway.keys import service as keys
from meterway.keys.types import Key, NewKey
from meterway.kit.clock import SystemClock
from meterway.routing import service as routing
from meterway.settings import Settings


@click.group()
def key() -> None:
    """Make, list and revoke API keys."""


@key.command()
@click.option("--user", "email", required=True, help="E-mail of the user the key belongs to.")
@click.option("--remark", default="", help="What the key is for.")
@click.option(
    "--permissions", default="", help="Models and families it may use, a,b,c; default: all."
)
@click.option("--expires", help="When it ends: a span such as 30d, or an ISO 8601 moment.")
@click.option("--default-model", help="Model of calls that name none.")
@click.option("--admin", is_flag=True, help="May call the administration API.")
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
    admin: bool,
) -> None:
    """Make a key and print it once."""
    new = NewKey(
        user_id=0,
        remark=remark,
        permissions=frozenset(name.strip() for name in permissions.split(",") if name.strip()),
        is_admin=admin,
        expires_at=None if expires is None else read(expires, SystemClock().now()),
        default_model=default_model,
    )
    key_id, token = run(_create(frame.settings(), email, new))
    frame.say({"id": str(key_id), "key": token}, token)


async def _create(settings: Settings, email: str, new: NewKey) -> tuple[int, str]:
    async with opened(settings) as place, transaction(place.engine) as tx:
        owner = await accounts.by_email(tx, email)
        known = known_permissions() | {
            model for row in await routing.stored(tx) for model in row.models
        }
        owned = NewKey(
            user_id=owner.id,
            remark=new.remark,
            permissions=new.permissions,
            is_admin=new.is_admin,
            expires_at=new.expires_at,
            default_model=new.default_model,
        )
        now = place.clock.now()
        return await keys.create(tx, place.secrets.pepper, owned, known=known, now=now)


def known_permissions() -> frozenset[str]:
    """Return the names of models and families of the catalogue."""
    models = Catalog().models()
    return frozenset(model.id for model in models) | {model.family for model in models}


@key.command("list")
@click.option("--user", "email", help="Only this user's keys.")
@common
def list_(frame: Frame, email: str | None) -> None:
    """List keys, masked."""
    rows = [_facts(one) for one in run(_listed(frame.settings(), email))]
    frame.say_table(rows, ("id", "key", "user_id", "remark", "disabled", "expires_at"))


async def _listed(settings: Settings, email: str | None) -> list[Key]:
    async with opened(settings) as place, reading(place.engine) as connection:
        owner = None if email is None else (await accounts.by_email(connection, email)).id
        return await keys.of_user(connection, owner)


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
        await keys.revoke(tx, found.id)
        return found
