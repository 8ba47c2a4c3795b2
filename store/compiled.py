"""What compiling gave, shared by every process and every user."""

from __future__ import annotations

import hashlib
import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Generic, TypeVar, cast

from sqlalchemy import delete, func, select, update

from qcpaas.errors import NotReady, PlatformUnavailable, StoreFull
from store.database import Store
from store.exclusive import holding
from store.tables import Compiled, table

COMPILED = table(Compiled)
T = TypeVar("T")

KEPT_BYTES = 256 * 2**20  # routed circuits take some kB, embeddings up to some MB
MEMORY_BYTES = 64 * 2**20
PATIENCE_S = 120.0  # a compilation takes seconds; who waits longer does it without the other
LEASES = 64  # a name for each key would leave a row in the store for each circuit ever compiled
_DIGEST_BYTES = 16
_AWAY = (PlatformUnavailable, StoreFull)

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Codec(Generic[T]):
    """How a compiled value is written and read.

    Attributes:
        damaged: What ``from_bytes`` raises where the bytes make no sense.
    """

    to_bytes: Callable[[T], bytes]
    from_bytes: Callable[[bytes], T]
    damaged: tuple[type[Exception], ...] = (ValueError, LookupError)


class CompiledCache:
    """A cache by content key, bounded by bytes, the least recently used going first.

    What was read or compiled also stays in this process's memory, as it is and not as bytes:
    reading a portfolio of 20-qubit circuits from bytes takes tens of milliseconds.

    Args:
        use_resolution_s: A use is noted again only after so long: reading in a loop writes nothing.
        max_bytes: In the store, by all its processes together.
        memory_bytes: In this process, by the length of the bytes that stand for a value.
    """

    def __init__(
        self,
        store: Store,
        use_resolution_s: float = 60.0,
        max_bytes: int = KEPT_BYTES,
        memory_bytes: int = MEMORY_BYTES,
    ) -> None:
        self._store = store
        self._resolution = timedelta(seconds=use_resolution_s)
        self._max_bytes = max_bytes
        self._memory = _Memory(memory_bytes)
        self._add = store.insert(COMPILED).on_conflict_do_nothing()

    def obtain(self, key: str, compile_it: Callable[[], T], codec: Codec[T]) -> T:
        """What stands under a key, compiled now where nobody has done it before.

        Of several processes that need the same thing at once, one compiles it, and the others
        wait. A store that does not answer costs what it would have saved, and nothing else.
        """
        found = self.recall(key, codec)
        if found is not None:
            return found
        with self._alone(key):
            found = self.recall(key, codec)
            if found is not None:
                return found
            value = compile_it()
            payload = codec.to_bytes(value)
            self._memory.keep(key, value, len(payload))
            try:
                self.put(key, payload)
                self.trim(self._max_bytes)
            except _AWAY as error:
                log.info("what was compiled stays in this process alone: %s", error)
        return value

    def remember(self, key: str, make_it: Callable[[], T], size_bytes: int) -> T:
        """What is quickly made again, kept in this process's memory alone.

        Args:
            size_bytes: What it counts for.
        """
        known = self._memory.get(key)
        if known is None:
            known = make_it()
            self._memory.keep(key, known, size_bytes)
        return cast("T", known)

    def recall(self, key: str, codec: Codec[T]) -> T | None:
        """What stands under a key, in memory or in the store; ``None`` where it is damaged."""
        known = self._memory.get(key)
        if known is not None:
            return cast("T", known)
        try:
            payload = self.get(key)
        except _AWAY as error:
            log.info("compiling without the store: %s", error)
            return None
        if payload is None:
            return None
        try:
            value = codec.from_bytes(payload)
        except codec.damaged as error:
            log.warning("compiled anew, since what was stored cannot be read: %s", error)
            self._forget(key)
            return None
        self._memory.keep(key, value, len(payload))
        return value

    def get(self, key: str) -> bytes | None:
        """A payload; ``None`` where there is none, or where it is not what was put."""
        with self._store.read() as connection:
            row = connection.execute(
                select(COMPILED.c.payload, COMPILED.c.used_at).where(COMPILED.c.key == key)
            ).one_or_none()
        if row is None:
            return None
        digest, payload = row.payload[:_DIGEST_BYTES], bytes(row.payload[_DIGEST_BYTES:])
        if _digest(payload) != bytes(digest):
            self._forget(key)
            return None
        now = datetime.now(UTC)
        if now - row.used_at >= self._resolution:
            with self._store.write() as connection:
                connection.execute(
                    update(COMPILED).where(COMPILED.c.key == key).values(used_at=now)
                )
        return payload

    def put(self, key: str, payload: bytes) -> None:
        """Keep what was compiled; where two processes did the same, the first stays."""
        now = datetime.now(UTC)
        row = {"key": key, "payload": _digest(payload) + payload, "size_bytes": len(payload)}
        with self._store.write() as connection:
            connection.execute(self._add, {**row, "created_at": now, "used_at": now})

    def trim(self, max_bytes: int) -> None:
        """Forget the least recently used beyond ``max_bytes`` in all."""
        newest_first = (COMPILED.c.used_at.desc(), COMPILED.c.key)
        so_far = func.sum(COMPILED.c.size_bytes).over(order_by=newest_first).label("so_far")
        sums = select(COMPILED.c.key, so_far).subquery()
        beyond = select(sums.c.key).where(sums.c.so_far > max_bytes)
        with self._store.write() as connection:
            connection.execute(delete(COMPILED).where(COMPILED.c.key.in_(beyond)))

    def _forget(self, key: str) -> None:
        with self._store.write() as connection:
            connection.execute(delete(COMPILED).where(COMPILED.c.key == key))

    @contextmanager
    def _alone(self, key: str) -> Iterator[None]:
        """One at a time among all processes, as far as the store can tell."""
        stripe = int.from_bytes(_digest(key.encode())[:4], "big") % LEASES
        held = ExitStack()
        try:
            held.enter_context(holding(self._store, f"compile/{stripe}", patience_s=PATIENCE_S))
        except (NotReady, *_AWAY) as error:
            log.info("compiling without waiting for others: %s", error)
        try:
            yield
        finally:
            try:
                held.close()
            except _AWAY as error:
                log.info("the lease of a compilation ends by itself: %s", error)


class _Memory:
    """The last used values, as many as their bytes allow; threads may share it."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._kept: OrderedDict[str, tuple[Any, int]] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def get(self, key: str) -> Any | None:
        with self._lock:
            found = self._kept.get(key)
            if found is None:
                return None
            self._kept.move_to_end(key)
            return found[0]

    def keep(self, key: str, value: Any, size_bytes: int) -> None:
        with self._lock:
            self._bytes -= self._kept.pop(key, (None, 0))[1]
            self._kept[key] = (value, size_bytes)
            self._bytes += size_bytes
            while self._bytes > self._max_bytes:
                _, (_, oldest) = self._kept.popitem(last=False)
                self._bytes -= oldest


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=_DIGEST_BYTES).digest()
