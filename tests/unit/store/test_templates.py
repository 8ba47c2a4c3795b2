"""The cache of compiled structures."""

from __future__ import annotations

import threading
import time

from sqlalchemy import select

from store.database import Store
from store.tables import Template, table
from store.templates import Templates

TEMPLATE = table(Template)


def keys(store: Store) -> set[str]:
    with store.read() as connection:
        return set(connection.scalars(select(TEMPLATE.c.key)))


def test_a_template_comes_back_byte_for_byte(store: Store) -> None:
    payload = bytes(range(256)) * 100
    Templates(store).put("key", payload)
    assert Templates(store).get("key") == payload


def test_an_unknown_key_is_none(store: Store) -> None:
    assert Templates(store).get("key") is None


def test_the_first_writer_stays(store: Store) -> None:
    templates = Templates(store)
    templates.put("key", b"first")
    templates.put("key", b"second")
    assert templates.get("key") == b"first"


def test_eight_writers_agree_on_one_template(store: Store) -> None:
    barrier, seen = threading.Barrier(8), []

    def compile_and_keep(number: int) -> None:
        templates = Templates(store)
        barrier.wait()
        templates.put("key", str(number).encode())
        seen.append(templates.get("key"))

    threads = [threading.Thread(target=compile_and_keep, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 8
    assert len(set(seen)) == 1


def test_trimming_forgets_the_least_recently_used(store: Store) -> None:
    templates = Templates(store, use_resolution_s=0.0)
    for key in "abcd":
        templates.put(key, b"")
        time.sleep(0.002)  # clocks tick in microseconds at best
    templates.get("a")
    templates.trim(2)
    assert keys(store) == {"a", "d"}


def test_trimming_a_small_cache_keeps_it(store: Store) -> None:
    templates = Templates(store)
    for key in "ab":
        templates.put(key, b"")
    templates.trim(2)
    assert keys(store) == {"a", "b"}
    templates.trim(0)
    assert keys(store) == set()


def test_reading_again_at_once_writes_nothing(store: Store) -> None:
    templates = Templates(store)
    templates.put("key", b"")
    with store.read() as connection:
        before = connection.scalar(select(TEMPLATE.c.used_at))
    templates.get("key")
    with store.read() as connection:
        assert connection.scalar(select(TEMPLATE.c.used_at)) == before
