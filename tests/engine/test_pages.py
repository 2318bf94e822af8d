"""Pages: conservation, no write while shared, no page in two tables unless it is full, everything free at rest."""

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import run_state_machine_as_test

from engine.errors import OutOfPages, PageError
from engine.pages import PageAllocator, PageTable, Pool
from engine.prefix import HashPrefixCache, root_of
from engine.radix import RadixPrefixCache
from engine.seams import CacheKey
from tests.engine.machine import PoolMachine, Sequence

CACHES = [HashPrefixCache, RadixPrefixCache]
KEY = CacheKey()


class TestPool(PoolMachine.TestCase):  # type: ignore[misc]
    settings = settings(max_examples=300, stateful_step_count=60)


class Stubborn(PoolMachine):
    """A request that computed by itself what the cache knew keeps its duplicates."""

    def adopt(self, seq: Sequence, known: list[int]) -> None:
        pass


class Selfish(PoolMachine):
    """Only the request that publishes gives its duplicates up; its forks keep them."""

    def adopt(self, seq: Sequence, known: list[int]) -> None:
        seq.table.adopt(self.pool, known)


def duplicated(machine: PoolMachine, fork: bool) -> PoolMachine:
    """Two sequences compute the same first page; the cache takes one's, and what the other computed below it."""
    machine.start("radix", 1, 8)
    machine.admit([0], KEY, 1)
    machine.admit([0, 0], KEY, 1)
    if fork:
        machine.fork(1)
    machine.publish(0)
    machine.publish(1)
    if fork:
        machine.end(1, False)  # its fork lives on
    machine.end(0, False)
    return machine


@pytest.mark.parametrize(("wrong", "fork"), [(Stubborn, False), (Stubborn, True), (Selfish, True)])
def test_only_who_adopts_known_pages_keeps_the_count_of_evictable_ones_true(wrong: type[PoolMachine], fork: bool) -> None:
    duplicated(PoolMachine(), fork).what_counts_as_evictable_can_be_evicted()
    with pytest.raises(AssertionError, match="evictable"):
        duplicated(wrong(), fork).what_counts_as_evictable_can_be_evicted()


def test_the_machine_finds_by_itself_what_only_seems_evictable() -> None:
    with pytest.raises(AssertionError):
        run_state_machine_as_test(Stubborn, settings=settings(max_examples=1000, stateful_step_count=60, phases=[Phase.generate], print_blob=False))


def test_a_failed_allocation_changes_nothing() -> None:
    allocator = PageAllocator(3)
    held = allocator.alloc(2)
    with pytest.raises(OutOfPages):
        allocator.alloc(2)
    assert allocator.free_count == 1
    allocator.free(held)
    assert allocator.free_count == 3
    for wrong in (allocator.free, allocator.share):
        with pytest.raises(PageError):
            wrong(held[:1])


@pytest.mark.parametrize("cache_type", CACHES)
def test_no_two_keys_find_each_others_pages(cache_type: type) -> None:
    """Adapters are told apart by the weights' number, and a number and a salt that spell alike stay apart."""
    keys = [CacheKey(), CacheKey(1), CacheKey(2), CacheKey(None, ""), CacheKey(None, "1"), CacheKey(1, ""), CacheKey(11), CacheKey(1, "1")]
    allocator = PageAllocator(len(keys))
    cache = cache_type(allocator, 2)
    for key in keys:
        assert cache.match([5, 6], key) == ([], 0)
        cache.insert([5, 6], pages := allocator.alloc(1), key)
        assert cache.match([5, 6, 7], key) == (pages, 2)
    assert len({root_of(key) for key in keys}) == len(keys)


@given(adapter=st.integers(0, 99), other=st.integers(0, 99), salt=st.text(";salt:+-=09", max_size=8), pepper=st.text(";salt:+-=09", max_size=8))
def test_no_salt_spells_another_key(adapter: int, other: int, salt: str, pepper: str) -> None:
    a, b = CacheKey(adapter, salt), CacheKey(other, pepper)
    assert (a == b) == (root_of(a) == root_of(b))
    assert root_of(CacheKey(adapter)) not in (root_of(a), root_of(CacheKey(None, str(adapter))))


def test_a_colliding_digest_costs_a_hit_and_never_gives_a_wrong_context() -> None:
    allocator = PageAllocator(8)
    cache = HashPrefixCache(allocator, 2, digest=lambda data: bytes([data[-8] % 2]))  # two names for all pages
    for tokens in ([1, 2, 3, 4], [5, 6, 7, 8], [3, 2, 1, 0], [1, 2, 7, 8]):
        table = PageTable(allocator.alloc(2))
        known = cache.insert(tokens, table.pages, KEY)
        pages, hit = cache.match(tokens, KEY)
        assert pages == known and hit == 2 * len(known)
        assert cache.match([9, tokens[1]], KEY) == ([], 0)
    assert cache.match([1, 2], KEY)[1] == 2


@pytest.mark.parametrize("cache_type", CACHES)
def test_the_least_recently_used_goes_first_and_parents_after_their_children(cache_type: type) -> None:
    allocator = PageAllocator(6)
    cache = cache_type(allocator, 1)
    pool = Pool(allocator, 1, cache)
    for tokens in ([1, 2, 3], [4, 5], [6]):
        table = PageTable(allocator.alloc(len(tokens)))
        table.adopt(pool, cache.insert(tokens, table.pages, KEY))
        table.release(pool)
    PageTable(cache.match([1, 2, 9], KEY)[0]).release(pool)  # 1 and 2 are used again, 3 is not

    def found(tokens: list[int]) -> int:
        pages, hit = cache.match(tokens, KEY)
        allocator.free(pages[::-1])
        return hit

    assert cache.evict(1) == 1
    assert [found([1, 2, 3]), found([4, 5]), found([6])] in ([2, 2, 1], [3, 1, 1])  # a tree knows one age for a run
    assert cache.evict(99) == 5 and allocator.free_count == 6
    assert cache.stats().evicted == 6 and cache.stats().pages == 0


@pytest.mark.parametrize("cache_type", CACHES)
def test_what_a_match_holds_is_never_evicted(cache_type: type) -> None:
    allocator = PageAllocator(4)
    cache = cache_type(allocator, 1)
    pool = Pool(allocator, 1, cache)
    table = PageTable(allocator.alloc(4))
    cache.insert([1, 2, 3, 4], table.pages, KEY)
    table.release(pool)
    held, _ = cache.match([1, 2, 5], KEY)
    assert cache.evictable == 2 and cache.evict(4) == 2
    with pytest.raises(OutOfPages):
        pool.alloc(3)
    assert [allocator.references(page) for page in held] == [2, 2]
    assert not set(pool.alloc(2)) & set(held)


def test_a_fork_copies_a_shared_page_once_and_only_when_it_holds_something() -> None:
    allocator = PageAllocator(8)
    pool = Pool(allocator, 4)
    table = PageTable(allocator.alloc(3))  # 9 tokens: two full pages and one token
    fork, third = table.fork(pool), table.fork(pool)
    last = table.pages[2]
    assert fork.reserve(pool, 9, 10) == [(last, fork.pages[2])]
    assert third.reserve(pool, 8, 10) == []  # the page starts here: nothing of it is kept
    assert table.reserve(pool, 9, 12) == []  # nobody else holds it now
    assert fork.pages[:2] == table.pages[:2] and len({fork.pages[2], third.pages[2], last}) == 3
    fork.truncate(pool, 8)
    assert len(fork.pages) == 2 and allocator.free_count == 8 - 4
    for each in (table, fork, third):
        each.release(pool)
    assert allocator.free_count == 8
