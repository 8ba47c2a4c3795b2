"""The cache of compiled structures."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path

from sqlalchemy import select, update

from store.compiled import Codec, CompiledCache
from store.database import Store, open_store
from store.leases import Leases
from store.tables import Compiled, table

COMPILED = table(Compiled)
TEXT = Codec(str.encode, bytes.decode)


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


def test_what_is_there_is_not_compiled_again(store: Store) -> None:
    compiled: list[str] = []

    def work() -> str:
        compiled.append("once")
        return "answer"

    for cache in (CompiledCache(store), CompiledCache(store)):
        assert [cache.obtain("key", work, TEXT) for _ in range(3)] == ["answer"] * 3
    assert compiled == ["once"]


def test_what_was_read_stays_in_memory_as_it_is(store: Store) -> None:
    CompiledCache(store).put("key", b"payload")
    cache = CompiledCache(store)
    first = cache.recall("key", TEXT)
    assert first == "payload"
    assert cache.recall("key", TEXT) is first


def test_memory_is_bounded_by_bytes(store: Store) -> None:
    cache = CompiledCache(store, memory_bytes=25)
    made: list[str] = []

    def make(key: str) -> str:
        made.append(key)
        return key

    for key in ("a", "b", "a", "c", "a", "b"):
        assert cache.remember(key, lambda key=key: make(key), 10) == key  # type: ignore[misc]
    assert made == ["a", "b", "c", "b"]


def test_a_damaged_entry_is_compiled_anew(store: Store) -> None:
    CompiledCache(store).put("key", b"what was compiled")
    with store.write() as connection:
        payload = bytearray(connection.scalars(select(COMPILED.c.payload)).one())
        payload[-3] ^= 1
        connection.execute(update(COMPILED).values(payload=bytes(payload)))
    cache = CompiledCache(store)
    assert cache.obtain("key", lambda: "anew", TEXT) == "anew"
    assert CompiledCache(store).recall("key", TEXT) == "anew"


def test_an_entry_of_another_form_is_compiled_anew(store: Store) -> None:
    CompiledCache(store).put("key", b"\xff\xfe")  # no text
    assert CompiledCache(store).obtain("key", lambda: "anew", TEXT) == "anew"
    assert CompiledCache(store).recall("key", TEXT) == "anew"


def test_the_store_keeps_its_bound(store: Store) -> None:
    cache = CompiledCache(store, max_bytes=50)
    for number in range(20):
        cache.obtain(f"key {number}", lambda: "ten bytes.", TEXT)
        time.sleep(0.002)
    assert keys(store) == {f"key {number}" for number in range(15, 20)}


def test_several_threads_that_need_the_same_compile_it_once(store: Store) -> None:
    compiled: list[int] = []
    barrier = threading.Barrier(4)

    def work() -> str:
        compiled.append(1)
        time.sleep(0.3)
        return "answer"

    def need(answers: list[str]) -> None:
        cache = CompiledCache(store)
        barrier.wait()
        answers.append(cache.obtain("key", work, TEXT))

    answers: list[str] = []
    threads = [threading.Thread(target=need, args=(answers,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == ["answer"] * 4
    assert compiled == [1]


def test_two_processes_that_need_the_same_compile_it_once(
    tmp_path: Path, fork: Callable[..., BaseProcess]
) -> None:
    url = f"sqlite:///{tmp_path / 'shared.db'}"
    open_store(url).close()
    log = tmp_path / "compiled.log"

    def need() -> None:
        def work() -> str:
            with log.open("a") as file:
                file.write("once\n")
            time.sleep(0.5)
            return "answer"

        with open_store(url) as opened:
            assert CompiledCache(opened).obtain("key", work, TEXT) == "answer"

    processes = [fork(need), fork(need)]
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0]
    assert log.read_text() == "once\n"


def test_a_holder_that_died_is_not_waited_for(
    tmp_path: Path, fork: Callable[..., BaseProcess]
) -> None:
    url = f"sqlite:///{tmp_path / 'shared.db'}"
    open_store(url).close()
    begun = tmp_path / "begun"

    def compile_for_ever() -> None:
        def work() -> str:
            begun.touch()
            time.sleep(600)
            return "never"

        with open_store(url) as opened:
            CompiledCache(opened).obtain("key", work, TEXT)

    process = fork(compile_for_ever)
    while not begun.exists():
        time.sleep(0.02)
    process.kill()
    process.join(30)
    with open_store(url) as opened:
        assert any(not lease.free for lease in Leases(opened).all("compile/"))
        start = time.monotonic()
        assert CompiledCache(opened).obtain("key", lambda: "answer", TEXT) == "answer"
        assert time.monotonic() - start < 50  # a lease of the living lasts for 60 s


def test_a_store_that_is_away_does_not_stop_compiling(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "store.db"
    with open_store(f"sqlite:///{path}") as opened:
        cache = CompiledCache(opened)
        opened.close()
        for file in path.parent.iterdir():
            file.unlink()
        path.parent.rmdir()
        assert cache.obtain("key", lambda: "answer", TEXT) == "answer"
        assert cache.recall("key", TEXT) == "answer"
