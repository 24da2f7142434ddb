"""Users as values."""

import msgspec


class User(msgspec.Struct, frozen=True, kw_only=True):
    """A person or team that owns keys; times are in seconds since the epoch.

    `postpaid`: calls are not refused for want of balance.
    """

    id: int
    email: str
    is_admin: bool
    postpaid: bool
    disabled: bool
    created_at: float


class NewUser(msgspec.Struct, frozen=True, kw_only=True):
    """A user to be made; the repr does not show the password."""

    email: str
    password: str
    is_admin: bool = False
    postpaid: bool = False

    def __repr__(self) -> str:
        """Show the e-mail alone."""
        return f"NewUser({self.email!r})"
