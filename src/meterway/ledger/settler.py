"""The settler: posts what journals hold, gives back what the dead had leased.

One runs on a machine. Every commit of it is on the disk before anything in a journal is deleted,
and moves the journals' positions with the money: whatever is interrupted is read again, and calls
are charged once by their ids.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Final, TypeAlias

import msgspec
import structlog
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from meterway.db.engine import durable_transaction, reading
from meterway.kit.clock import Clock
from meterway.kit.errors import UnavailableError
from meterway.ledger.books import service as books
from meterway.ledger.budgets import service as budgets
from meterway.ledger.charges import service as charges
from meterway.ledger.charges.records import decode_records
from meterway.ledger.charges.types import Funding, KeyUse, Record
from meterway.ledger.journal import service as journals
from meterway.ledger.journal.errors import JournalMovedError
from meterway.ledger.journal.reader import JournalReader
from meterway.ledger.journal.types import Cursor, Registered
from meterway.ledger.seals import service as seals

MOST: Final = 2000
"""Calls in one transaction, but for those that were written down together with the last."""

_SEAL_PAUSE: Final = 2.0
_log = structlog.get_logger()

CountKeys: TypeAlias = Callable[[AsyncConnection, Mapping[int, KeyUse]], Awaitable[None]]
"""Adds to the counters of keys, by number, within the transaction it is given."""


class _Tail:
    """A registered journal: where it is posted up to, and what was read beyond."""

    def __init__(self, reader: JournalReader, journal_id: int, posted: Cursor) -> None:
        self.reader = reader
        self.id = journal_id
        self.posted = posted
        self.records: list[Record] = []
        self.drained = False
        self.failing = False

    def read(self, limit: int) -> None:
        """Read about `limit` calls; a record that cannot be understood is not passed."""
        self.reader.back_to(self.posted)
        self.records = []
        found = self.reader.read(limit)
        self.drained = limit > 0 and not found
        try:
            self.records = list(chain.from_iterable(map(decode_records, found)))
        except msgspec.MsgspecError:
            self._read_until_broken()

    def _read_until_broken(self) -> None:
        self.reader.back_to(self.posted)
        before = self.posted
        while found := self.reader.read(1):
            try:
                self.records += decode_records(found[0])
            except msgspec.MsgspecError as error:
                self.fail(error)
                self.reader.back_to(before)
                return
            before = self.reader.cursor

    def fail(self, error: Exception) -> None:
        """Tell once that this journal cannot be posted; it stays as it is."""
        if not self.failing:
            _log.error("journal.unpostable", journal=self.reader.folder.name, exc_info=error)
        self.failing = True

    def moved(self) -> None:
        """Take note that everything read is posted."""
        self.posted, self.failing = self.reader.cursor, False
        self.reader.drop_posted(self.posted)


class Settler:
    """Settles the journals in one folder, `turn` by turn.

    `place` is the folder's own name (`journals.place_of`); journals that another place
    registered are left alone. `most` bounds the calls of one turn, but for those that were
    written down together with the last.
    """

    def __init__(  # noqa: PLR0913 - what it works on and with
        self,
        engine: AsyncEngine,
        folder: Path,
        place: str,
        *,
        clock: Clock,
        count_keys: CountKeys,
        most: int = MOST,
    ) -> None:
        self._engine = engine
        self._folder = folder
        self._place = place
        self._clock = clock
        self._count_keys = count_keys
        self._most = most
        self._names = charges.Names()
        self._tails: dict[str, _Tail] = {}
        self._refused: set[str] = set()
        self._first = 0
        self._behind = False
        self._seal_at = clock.monotonic()

    async def turn(self) -> int:
        """Post what there is, about `most` calls; return how many.

        Raises `UnavailableError` while the database cannot be used or the disk is full: nothing
        is lost then, and the next turn tries again.
        """
        try:
            await self._discover()
            tails = self._read()
            posted = await self._post_all(tails) if tails else 0
            if not posted:
                await self._seal_entries()
            await self._bury([tail for tail in self._tails.values() if tail.drained])
        except JournalMovedError:
            self.close()  # the positions that are known are old: the next turn looks them up
            raise
        return posted

    @property
    def is_behind(self) -> bool:
        """Whether the last turn read all it may of some journal: there should be more."""
        return self._behind

    @property
    def is_idle(self) -> bool:
        """Whether the last turn knew of no journal that is not closed."""
        return not self._tails

    def close(self) -> None:
        """Let go of all journals; nothing is lost."""
        for tail in self._tails.values():
            tail.reader.close()
        self._tails.clear()

    # -- which journals there are -----------------------------------------------------------------

    async def _discover(self) -> None:
        present = journals.present(self._folder)
        for name in self._tails.keys() - present:
            self._tails.pop(name).reader.close()
        new = present - self._tails.keys() - self._refused
        if not new:
            return
        async with reading(self._engine) as connection:
            registered = await journals.named(connection, new)
        for name in sorted(new):
            self._admit(name, registered.get(name))

    def _admit(self, name: str, registered: Registered | None) -> None:
        reader = JournalReader(self._folder / name)
        if registered is not None and registered.place != self._place:
            self._refuse(name, "another place's")
        elif registered is not None and not registered.is_closed:
            self._tails[name] = _Tail(reader, registered.id, registered.cursor)
            return
        elif reader.take_over():
            if registered is None and reader.read(1):
                self._refuse(name, "not registered")
            else:
                reader.remove()  # closed, or its worker died before it could lease anything
        reader.close()

    def _refuse(self, name: str, reason: str) -> None:
        self._refused.add(name)
        _log.error("journal.quarantined", journal=name, reason=reason)

    # -- posting ----------------------------------------------------------------------------------

    def _read(self) -> list[_Tail]:
        """Read on in every journal, a fair share of each; return those with something to post."""
        tails = sorted(self._tails.values(), key=lambda tail: tail.id)
        self._first += 1
        start = self._first % len(tails) if tails else 0
        left, self._behind = self._most, False
        for i, tail in enumerate(tails[start:] + tails[:start]):
            share = left // (len(tails) - i)
            tail.read(share)
            left = max(left - len(tail.records), 0)
            self._behind |= len(tail.records) >= share and not tail.failing
        return [tail for tail in tails if tail.records]

    async def _post_all(self, tails: Sequence[_Tail]) -> int:
        """Post all at once; where that fails of itself each alone, so that one stops no other."""
        try:
            return await self._post(tails)
        except UnavailableError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever is wrong with a journal is its own
            if len(tails) == 1:
                tails[0].fail(error)
                return 0
        return sum([await self._post_all([tail]) for tail in tails])

    async def _post(self, tails: Sequence[_Tail]) -> int:
        """Post in one transaction; calls that were charged before are looked for once one met us.

        A position moves with its charges, so that hardly happens: the charges' own key tells.
        """
        try:
            count = await self._commit(tails, look=False)
        except IntegrityError:
            count = await self._commit(tails, look=True)
        for tail in tails:
            tail.moved()
        return count

    async def _commit(self, tails: Sequence[_Tail], *, look: bool) -> int:
        try:
            async with durable_transaction(self._engine) as tx:
                return await self._post_in(tx, tails, look=look)
        except BaseException:
            self._names.clear()
            raise

    async def _post_in(self, tx: AsyncConnection, tails: Sequence[_Tail], *, look: bool) -> int:
        """Do all that posting is: charges, balances, leases, keys, positions, the seal."""
        await books.lock(tx)
        read = [record for tail in tails for record in tail.records]
        records = await charges.unposted(tx, read) if look else charges.distinct(read)
        before = await seals.last(tx)
        users = {one.user_id for one in records if one.funding is Funding.WALLET}
        pots = await books.pots(tx, users, lock=True)
        posted = await charges.post(tx, self._names, before.batch + 1, records, pots)
        await books.move(tx, posted.deltas)
        new = {record.call_id for record in records}
        for tail in sorted(tails, key=lambda tail: tail.id):
            if takes := _takes(tail.records, new):
                await budgets.spent(tx, tail.id, takes)
            await journals.advance(tx, tail.id, tail.posted, tail.reader.cursor)
        if posted.count:
            await self._count_keys(tx, posted.keys)
            now = self._clock.now()
            await seals.add(tx, before, charges=posted.count, content=posted.digest, at=now)
        return posted.count

    async def _seal_entries(self) -> None:
        """Seal what is no call, when there is something and the last time is a while ago."""
        now = self._clock.monotonic()
        if now < self._seal_at:
            return
        self._seal_at = now + _SEAL_PAUSE
        async with reading(self._engine) as connection:
            before = await seals.last(connection)
            if await seals.last_entry(connection) <= before.last_entry:
                return
        async with durable_transaction(self._engine) as tx:
            await books.lock(tx)
            before = await seals.last(tx)
            await seals.add(tx, before, charges=0, content=seals.digest(()), at=self._clock.now())

    # -- death ------------------------------------------------------------------------------------

    async def _bury(self, drained: Iterable[_Tail]) -> None:
        """Give back what the dead leased, once a reading after their death found nothing more."""
        for tail in drained:
            if not tail.reader.is_mine:
                tail.reader.take_over()
                continue
            async with durable_transaction(self._engine) as tx:
                returned = await budgets.reclaim(tx, tail.id)
                await journals.close(tx, tail.id, self._clock.now())
            name = tail.reader.folder.name
            _log.info("journal.closed", journal=name, returned=returned)
            del self._tails[name]
            tail.reader.remove()


def _takes(records: Iterable[Record], new: set[int]) -> dict[int, int]:
    """Add up what new calls took of a journal's leases; a call counts where it is met first."""
    takes: dict[int, int] = {}
    for record in records:
        if record.call_id in new:
            new.discard(record.call_id)
            for budget_id, amount in record.takes:
                takes[budget_id] = takes.get(budget_id, 0) + amount
    return takes
