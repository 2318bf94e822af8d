"""Streaming text, stop strings and token healing, against what a reader of the whole text would say."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from engine import LLM, SamplingParams, checkpoint_path
from engine.detokenize import StreamingDetokenizer
from engine.errors import ConstraintError, RequestError
from engine.heal import Spelling, Vocabulary, cut

PIECES = [b"a", b"b", b"ab", b" the", b"\xe2", b"\x82", b"\xac", b"\xf0\x9f", b"\x98\x80", "é".encode(), b"\xff", b"", b"\n", b"END"]
tokens = st.lists(st.integers(0, len(PIECES) - 1), max_size=30)
stops = st.lists(st.sampled_from(["ab", "aba", "€", "END", "b\n", " t", "😀", "E"]), max_size=3)


def reader(text: str, stops: list[str], include: bool) -> tuple[str, str | None]:
    """One character at a time: the text up to the first stop string to be complete, and which it was."""
    for end in range(len(text) + 1):
        done = [stop for stop in stops if text[:end].endswith(stop)]
        if done:
            longest = max(done, key=len)
            return text[: end if include else end - len(longest)], longest
    return text, None


@given(ids=tokens, stops=stops, include=st.booleans(), step=st.integers(1, 5), skip=st.integers(0, 6))
def test_the_pieces_add_up_to_what_a_reader_of_the_whole_text_sees(ids: list[int], stops: list[str], include: bool, step: int, skip: int) -> None:
    detokenizer, out = StreamingDetokenizer(PIECES.__getitem__, stops, include, skip), []
    for at in range(0, len(ids), step):
        out.append(detokenizer.feed(ids[at : at + step]))
        if detokenizer.stopped is not None:
            break
    else:
        out.append(detokenizer.finish())
    whole = b"".join(PIECES[i] for i in ids)[skip:].decode(errors="replace")
    assert ("".join(out), detokenizer.stopped) == reader(whole, stops, include)


@given(ids=tokens, stops=stops)
def test_no_piece_is_ever_taken_back_and_no_character_is_split(ids: list[int], stops: list[str]) -> None:
    detokenizer, out = StreamingDetokenizer(PIECES.__getitem__, stops), ""
    for n, token in enumerate(ids):
        out += detokenizer.feed([token])
        assert reader(b"".join(PIECES[i] for i in ids).decode(errors="replace"), stops, False)[0].startswith(out) or "\ufffd" in out, n


def test_no_stop_string_counts_while_tokens_are_owed() -> None:
    detokenizer = StreamingDetokenizer(PIECES.__getitem__, ["ab"], quiet=1)
    assert detokenizer.feed([2]) == "ab"
    assert (detokenizer.feed([2]), detokenizer.stopped) == ("", "ab")


@pytest.fixture(scope="module")
def llm() -> LLM:
    return LLM(checkpoint_path("target"), n_pages=128)


@pytest.fixture(scope="module")
def drafted() -> LLM:
    return LLM(checkpoint_path("target"), n_pages=128, draft=checkpoint_path("draft"), acceptance="coupled")


def test_text_is_what_the_tokenizer_decodes(llm: LLM) -> None:
    out = llm.generate(["The scheduler", "A block table"], SamplingParams(max_tokens=30, seed=3, ignore_eos=True))
    for output in out:
        assert output.outputs[0].text == llm.tokenizer.decode(output.outputs[0].token_ids)


def test_streamed_pieces_add_up(llm: LLM) -> None:
    params = SamplingParams(max_tokens=30, seed=5, stop=["the sched", "zzz"])
    pieces = [output.delta for output in llm.stream("The batch", params)]
    assert "".join(pieces) == llm.generate("The batch", params)[0].outputs[0].text


@pytest.mark.parametrize("include", [False, True])
@pytest.mark.parametrize("n", [1, 3])
def test_a_stop_string_ends_the_text_wherever_the_tokens_cut_it(llm: LLM, drafted: LLM, include: bool, n: int) -> None:
    free = llm.generate("The scheduler", SamplingParams(max_tokens=60, seed=11, n=n, ignore_eos=True))[0]
    for output in free.outputs:
        stop = output.text[20:27]
        expected, why = reader(output.text, [stop], include)
        for engine in (llm, drafted):
            params = SamplingParams(max_tokens=60, seed=11, n=n, ignore_eos=True, stop=stop, include_stop=include)
            got = engine.generate("The scheduler", params)[0].outputs[output.index]
            assert (got.text, got.finish_reason, got.stop_reason) == (expected, "stop", why)
            assert got.token_ids == output.token_ids[: len(got.token_ids)]
            assert stop in llm.tokenizer.decode(got.token_ids)


def test_without_a_tokenizer_stop_strings_are_refused_by_name(checkpoints) -> None:  # type: ignore[no-untyped-def]
    bare = LLM(checkpoints("llama")[0], n_pages=16)
    with pytest.raises(RequestError, match="no tokenizer"):
        bare.generate([[1, 2]], SamplingParams(stop="x"))
    assert bare.idle


# -- healing -----------------------------------------------------------------------------------------------------------

WORDS = Vocabulary([b"", b"a", b"ab", b"abc", b"b", b"bc", b"c", b":", b"://", b"/", b"//", b"http", b"\xff", b"\xff\xff"])


@given(rest=st.lists(st.sampled_from([b"a", b"b", b"c", b":", b"/", b"\xff"]), min_size=1, max_size=6).map(b"".join))
def test_the_mask_is_that_of_brute_force_until_the_prompt_is_spelled(rest: bytes) -> None:
    spelling = Spelling(WORDS, rest, len(WORDS) + 2)
    while rest:
        allowed = {t for t, data in enumerate(WORDS.token_bytes) if data and (rest.startswith(data) or data.startswith(rest))}
        assert set(spelling.mask().nonzero().flatten().tolist()) == allowed
        before = spelling.mask()
        token = min(allowed)
        spelling.advance(token)
        spelling.rollback(1)
        assert torch.equal(spelling.mask(), before)
        for wrong in set(range(len(WORDS))) - allowed:
            with pytest.raises(ConstraintError):
                spelling.advance(wrong)
        spelling.advance(token)
        rest = rest[len(WORDS.token_bytes[token]) :]
    assert bool(spelling.mask().all())


@pytest.mark.parametrize(
    ("prompt", "kept", "rest"),
    [([11, 7], [11], b":"), ([11, 7, 9], [11], b":/"), ([11], [11], b""), ([11, 6], [11, 6], b""), ([1, 1, 4], [1], b"ab"), ([1, 0, 1], [1, 0], b"a")],
)
def test_what_is_taken_back_begins_a_longer_token(prompt: list[int], kept: list[int], rest: bytes) -> None:
    assert cut(prompt, WORDS) == (kept, rest)


def test_a_prompt_cut_inside_a_word_is_continued_as_if_it_were_whole(llm: LLM) -> None:
    """Where a greedy text is cut inside a token, healing finds the very token again, and with it the text."""
    text = llm.generate("The scheduler keeps", SamplingParams(temperature=0, max_tokens=24))[0].outputs[0].text
    whole = "The scheduler keeps" + text
    natural = llm.tokenizer.encode(whole)
    healed = 0
    for end in range(len("The scheduler keeps") + 1, len(whole) - 8):
        plain = llm.tokenizer.encode(whole[:end])
        out = llm.generate(whole[:end], SamplingParams(temperature=0, max_tokens=12, heal=True))[0]
        continued = llm.tokenizer.decode(out.prompt_token_ids + out.outputs[0].token_ids)
        assert continued == whole[:end] + out.outputs[0].text
        if out.prompt_token_ids == natural[: len(out.prompt_token_ids)] and plain != natural[: len(plain)]:
            healed += 1
            assert continued[: end + 8] == whole[: end + 8]
    assert healed >= 5


def test_healing_holds_under_speculation_and_streaming(llm: LLM, drafted: LLM) -> None:
    params = SamplingParams(max_tokens=20, seed=4, heal=True)
    a, b = (engine.generate("The block tab", params)[0].outputs[0] for engine in (llm, drafted))
    assert (a.text, a.token_ids) == (b.text, b.token_ids)
    assert a.text.startswith("le") or llm.tokenizer.encode("The block tab") == llm.generate("The block tab", params)[0].prompt_token_ids
    assert "".join(output.delta for output in llm.stream("The block tab", params)) == a.text
