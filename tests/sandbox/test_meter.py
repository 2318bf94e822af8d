"""The metered engine under any calls: blocks are conserved, keys and values are each sequence's own, and the counters count."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sandbox.flight import MAX_PREEMPTED
from sandbox.meter import MAX_POOLS, MeteredEngine
from sandbox.oracle import Solo
from sandbox.session import Refused

SIZE, BLOCKS = 4, 9
NAMES = st.integers(0, 2)
tokens = st.lists(st.integers(2, 200), min_size=1, max_size=6)
OPS = st.lists(
    st.one_of(
        st.tuples(st.just("open"), NAMES, st.one_of(st.none(), st.tuples(NAMES, st.integers(0, 2)))),
        st.tuples(st.just("forward"), st.lists(st.tuples(NAMES, tokens), min_size=1, max_size=3, unique_by=lambda row: row[0])),
        st.tuples(st.just("truncate"), NAMES, st.integers(0, 14)),
        st.tuples(st.just("close"), NAMES),
    ),
    min_size=8, max_size=30,
)  # fmt: skip


class Model:
    """What must be held, by plain lists."""

    def __init__(self) -> None:
        self.engine = MeteredEngine.on("target", blocks=BLOCKS, block_size=SIZE, max_length=40)
        self.handles: dict[int, int] = {}
        self.held: dict[int, list[int]] = {}
        self.refused = self.computed = self.passes = 0

    def do(self, op: tuple) -> None:  # type: ignore[type-arg]
        engine, kind = self.engine, op[0]
        before = engine.contents(), engine.free_blocks()
        try:
            if kind == "open":
                share = {} if op[2] is None else {"share": self.handles.get(op[2][0], 999), "length": SIZE * op[2][1]}
                handle = engine.open(f"r{op[1]}", **share)
                self.held[op[1]] = [] if op[2] is None else self.held[op[2][0]][: SIZE * op[2][1]]
                self.handles[op[1]] = handle
            elif kind == "forward":
                engine.forward([(self.handles.get(name, 999), list(new)) for name, new in op[1]])
                self.passes += 1
                for name, new in op[1]:
                    self.held[name] = self.held[name] + new
                    self.computed += len(new)
            elif kind == "truncate":
                engine.truncate(self.handles.get(op[1], 999), op[2])
                del self.held[op[1]][op[2] :]
            else:
                engine.close(self.handles.get(op[1], 999))
                del self.held[op[1]], self.handles[op[1]]
        except Refused:
            self.refused += 1
            assert (engine.contents(), engine.free_blocks()) == before  # a refused call changes nothing

    def check(self) -> None:
        engine = self.engine
        used = {block for sequence in engine._sequences.values() for block in sequence.blocks}
        assert engine.free_blocks() + len(used) == BLOCKS
        assert not used & set(engine._free)
        for block in used:
            assert engine._holders[block] == sum(block in s.blocks for s in engine._sequences.values())
        assert {f"r{name}": held for name, held in self.held.items()} == {f"r{n}": engine.tokens_of(f"r{n}") for n in self.held}
        count = engine.count
        assert (count.forwards, count.tokens, count.refused) == (self.passes, self.computed, self.refused)


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(ops=OPS)
def test_blocks_are_conserved_and_contents_are_ones_own(ops: list[tuple]) -> None:  # type: ignore[type-arg]
    model = Model()
    for op in ops:
        model.do(op)
        model.check()
    engine = model.engine
    for name, held in model.held.items():
        if held and len(held) < 40 and engine.free_blocks():
            # What is stored must lead to the very token that the whole sequence leads to by itself.
            expected = int(Solo(engine._model, len(held) + 1).feed([*held, 7])[-1].argmax())
            assert engine.forward([(model.handles[name], [7])]) == [expected]
    for handle in list(model.handles.values()):
        engine.close(handle)
    assert engine.free_blocks() == BLOCKS


def test_two_writers_of_a_shared_block_leave_none_behind() -> None:
    engine = MeteredEngine.on("target", blocks=4, block_size=SIZE)
    first = engine.open("a")
    engine.forward([(first, [5, 6, 7, 8])])
    second = engine.open("b", share=first, length=4)
    for handle in (first, second):
        engine.truncate(handle, 2)
    engine.forward([(first, [9]), (second, [10])])
    assert engine.held == 2  # one of them keeps the block, the other got a copy
    engine.close(first)
    engine.close(second)
    assert engine.free_blocks() == 4


def test_a_step_names_each_preempted_request_once_and_not_without_end() -> None:
    engine = MeteredEngine.on("target", blocks=4, block_size=SIZE)
    names = [f"r{number}" for number in range(MAX_PREEMPTED + 9)]
    for name in names:
        engine.close(engine.open(name))
    handle = engine.open("works")
    engine.forward([(handle, [5])])
    for name in [*names, *names] * 2:
        engine.close(engine.open(name))
    assert engine.record.steps[0]["preempted"] == list(range(1, MAX_PREEMPTED + 1))
    assert engine.count.preemptions == 4 * len(names)


@pytest.mark.parametrize("length", [0, 4, 20])
def test_what_open_sequences_hold_together_is_bounded_however_much_they_share(length: int) -> None:
    engine = MeteredEngine.on("target", blocks=6, block_size=4)
    long = engine.open("long")
    engine.forward([(long, [5] * 20)])
    with pytest.raises(Refused, match="too many sequences"):
        for number in range(1000):
            engine.open(str(number), share=long, length=length)
    assert 6 < engine.sequences <= MAX_POOLS * 6
    assert sum(len(held) for held in engine.contents()) <= MAX_POOLS * 6 * 4
    engine.close(long)
    engine.open("another")  # there is room again
