"""The cache of compiled structures."""

from __future__ import annotations

import threading
import time

from sqlalchemy import select

from store.compiled import CompiledCache
from store.database import Store
from store.tables import Compiled, table

COMPILED = table(Compiled)


def keys(store: Store) -> set[str]:
    with store.read() as connection:
        return set(connection.scalars(select(COMPILED.c.key)))


def test_a_payload_comes_back_byte_for_byte(store: Store) -> None:
    payload = bytes(range(256)) * 100
    CompiledCache(store).put("key", payload)
    assert CompiledCache(store).get("key") == payload


def test_an_unknown_key_is_none(store: Store) -> None:
    assert CompiledCache(store).get("key") is None


def test_the_first_writer_stays(store: Store) -> None:
    cache = CompiledCache(store)
    cache.put("key", b"first")
    cache.put("key", b"second")
    assert cache.get("key") == b"first"


def test_eight_writers_agree_on_one_payload(store: Store) -> None:
    barrier, seen = threading.Barrier(8), []

    def compile_and_keep(number: int) -> None:
        cache = CompiledCache(store)
        barrier.wait()
        cache.put("key", str(number).encode())
        seen.append(cache.get("key"))

    threads = [threading.Thread(target=compile_and_keep, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 8
    assert len(set(seen)) == 1


def test_trimming_forgets_the_least_recently_used(store: Store) -> None:
    cache = CompiledCache(store, use_resolution_s=0.0)
    for key in "abcd":
        cache.put(key, bytes(10))
        time.sleep(0.002)  # clocks tick in microseconds at best
    cache.get("a")
    cache.trim(25)
    assert keys(store) == {"a", "d"}


def test_trimming_a_small_cache_keeps_it(store: Store) -> None:
    cache = CompiledCache(store)
    for key in "ab":
        cache.put(key, bytes(10))
    cache.trim(20)
    assert keys(store) == {"a", "b"}
    cache.trim(0)
    assert keys(store) == set()


def test_reading_again_at_once_writes_nothing(store: Store) -> None:
    cache = CompiledCache(store)
    cache.put("key", b"")
    with store.read() as connection:
        before = connection.scalar(select(COMPILED.c.used_at))
    cache.get("key")
    with store.read() as connection:
        assert connection.scalar(select(COMPILED.c.used_at)) == before
