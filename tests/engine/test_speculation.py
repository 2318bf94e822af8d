"""Speculation leaves the target's law as it is: exactly on tiny vocabularies, statistically on trained models."""

import functools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from engine import SamplingParams
from engine.request import Request
from engine.sampling import Context, GumbelSampler
from engine.seams import Draft
from engine.verify import RejectionVerifier, path_to
from tests.engine.enumeration import LawOf, Path, boundary, drafts, emitted, joint, put

EXACT = 1e-9


def laws(seed: int, vocab: int, params: SamplingParams, spread: float = 1.5) -> LawOf:
    """Laws of a random model that looks at all tokens since the request's last, through the engine's own filters."""
    request = Request("r", [0], 1, params, 0, 0)
    sampler = GumbelSampler(frozenset())

    @functools.cache
    def law_of(path: Path) -> Tensor:
        number = functools.reduce(lambda n, t: n * 31 + t + 1, path, seed)
        logits = torch.randn(1, vocab, dtype=torch.float64, generator=torch.Generator().manual_seed(number)) * spread
        return sampler.law(logits, [Context(request, path)])[0]

    return law_of


PARAMS = {
    "plain": {},
    "hot": {"temperature": 1.7},
    "cold": {"temperature": 0.4},
    "top-k": {"temperature": 0.8, "top_k": 2},
    "top-p": {"top_p": 0.7},
    "min-p": {"min_p": 0.3},
    "typical": {"typical_p": 0.6},
    "penalties": {"repetition_penalty": 1.8, "presence_penalty": 0.5, "frequency_penalty": 0.3},
}
SHAPES = [(2, (1, 1, 1)), (3, (1, 1)), (4, (1,)), (2, (2, 2)), (3, (2, 1)), (3, (1, 2)), (4, (3,)), (3, (3,))]


@pytest.mark.parametrize(("vocab", "widths"), SHAPES)
@pytest.mark.parametrize("name", PARAMS)
def test_what_is_emitted_has_the_targets_law_exactly(name: str, vocab: int, widths: tuple[int, ...]) -> None:
    params = SamplingParams(**PARAMS[name])
    target, draft = laws(1, vocab, params), laws(2, vocab, params)
    length = len(widths) + 1
    got = emitted(RejectionVerifier(), target, drafts(draft, widths), length, vocab)
    assert float((got - joint(target, length, vocab)).abs().max()) < EXACT


def test_a_wide_and_deep_tree_has_the_targets_law() -> None:
    target, draft = laws(3, 3, SamplingParams()), laws(4, 3, SamplingParams())
    got = emitted(RejectionVerifier(), target, drafts(draft, (2, 2)), 3, 3)
    assert float((got - joint(target, 3, 3)).abs().max()) < EXACT


def fixed(law: list[float]) -> LawOf:
    return lambda path: torch.tensor(law, dtype=torch.float64)


EDGES = {
    "equal": ([0.2, 0.3, 0.5], [0.2, 0.3, 0.5]),
    "nothing in common": ([0.0, 0.0, 1.0], [0.4, 0.6, 0.0]),
    "draft is certain and right": ([0.0, 1.0, 0.0], [0.0, 1.0, 0.0]),
    "draft is certain and wrong": ([0.5, 0.0, 0.5], [0.0, 1.0, 0.0]),
    "target is certain": ([0.0, 1.0, 0.0], [0.3, 0.3, 0.4]),
    "target knows more": ([0.1, 0.2, 0.7], [0.5, 0.5, 0.0]),
    "draft knows more": ([0.5, 0.5, 0.0], [0.1, 0.2, 0.7]),
    "almost equal": ([0.2, 0.3, 0.5], [0.2 + 1e-15, 0.3, 0.5 - 1e-15]),
    "tiny": ([1e-12, 1e-300, 1.0], [0.5, 0.25, 0.25]),
}


@pytest.mark.parametrize("widths", [(1,), (1, 1), (2,), (3,), (2, 1)])
@pytest.mark.parametrize("name", EDGES)
def test_laws_at_the_edge_stay_exact(name: str, widths: tuple[int, ...]) -> None:
    p, q = EDGES[name]
    length = len(widths) + 1
    got = emitted(RejectionVerifier(), fixed(p), drafts(fixed(q), widths), length, 3)
    assert float((got - joint(fixed(p), length, 3)).abs().max()) < EXACT


@given(data=st.data(), vocab=st.integers(2, 4), widths=st.sampled_from([(1,), (1, 1), (2,), (3,)]))
@settings(max_examples=40)
def test_any_pair_of_laws_is_exact(data: st.DataObject, vocab: int, widths: tuple[int, ...]) -> None:
    weights = st.lists(st.sampled_from([0.0, 1e-9, 0.1, 0.5, 1.0, 3.0]), min_size=vocab, max_size=vocab).filter(any)
    p, q = ([w / sum(each) for w in each] for each in (data.draw(weights), data.draw(weights)))
    length = len(widths) + 1
    got = emitted(RejectionVerifier(), fixed(p), drafts(fixed(q), widths), length, vocab)
    assert float((got - joint(fixed(p), length, vocab)).abs().max()) < EXACT


@pytest.mark.parametrize("tokens", [[0], [2, 1], [1, 1, 2]])
def test_a_draft_that_is_certain_leaves_the_law_whatever_it_says(tokens: list[int]) -> None:
    """N-grams and greedy drafts: no law of their own, every text they propose is exact."""
    target = laws(5, 3, SamplingParams(top_p=0.9))
    draft = Draft(tokens, list(range(-1, len(tokens) - 1)))
    got = emitted(RejectionVerifier(), target, iter([(1.0, draft)]), len(tokens) + 1, 3)
    assert float((got - joint(target, len(tokens) + 1, 3)).abs().max()) < EXACT


def test_a_chain_accepts_what_the_laws_have_in_common() -> None:
    """No rule can accept more often than sum(min(p, q)); the first of several siblings is accepted as often."""
    target, draft = laws(6, 4, SamplingParams()), laws(7, 4, SamplingParams(temperature=0.7))
    common = float(torch.minimum(target(()), draft(())).sum())
    for widths in [(1,), (3,)]:
        first = 0.0
        for chance, one in drafts(draft, widths):
            p = torch.stack([target(path_to(one, node)) for node in range(-1, len(one.tokens))])
            never = torch.full((len(one.tokens),), math.inf, dtype=torch.float64)

            def accepts(u: float, one: Draft = one, p: Tensor = p, never: Tensor = never) -> bool:
                return 0 in RejectionVerifier()(one, p, put(never, 0, u), torch.zeros_like(p))[0]

            first += chance * boundary(accepts)
        assert abs(first - common) < EXACT


# -- wrong rules, all shipped by somebody, that the enumeration must find ------------------------------------------------


class Wrong(RejectionVerifier):
    def __call__(self, draft: Draft, p: Tensor, u: Tensor, noise: Tensor) -> tuple[list[int], int]:
        """A chain verifier with every step spelled out, to be broken one at a time."""
        accepted: list[int] = []
        for node, token in enumerate(draft.tokens):
            law = p[node]
            q = draft.q[node] if draft.q is not None else torch.nn.functional.one_hot(torch.tensor(token), p.shape[1]).to(p.dtype)
            if not self.accepts(float(u[node]), law, q, token, noise[node]):
                return accepted, self.draw(self.left_over(law, q, token), noise[node])
            accepted.append(node)
        return accepted, self.draw(p[len(accepted)], noise[len(accepted)])

    def accepts(self, u: float, law: Tensor, q: Tensor, token: int, noise: Tensor) -> bool:
        return u * float(q[token]) < float(law[token])

    def left_over(self, law: Tensor, q: Tensor, token: int) -> Tensor:
        rest = (law - q).clamp_min(0)
        return rest / rest.sum() if float(rest.sum()) > 0 else law

    def draw(self, law: Tensor, noise: Tensor) -> int:
        return int((law.log() + noise).argmax())


class AcceptsIfEqual(Wrong):
    """Keeps a drafted token only when the target would pick it as its best."""

    def accepts(self, u: float, law: Tensor, q: Tensor, token: int, noise: Tensor) -> bool:
        return int(law.argmax()) == token


class NothingLeftOut(Wrong):
    """Draws the replacement from p instead of the positive part of p - q."""

    def left_over(self, law: Tensor, q: Tensor, token: int) -> Tensor:
        return law


class PicksTheBest(Wrong):
    """Takes the likeliest token after filtering, where a draw is due."""

    def draw(self, law: Tensor, noise: Tensor) -> int:
        return int((law.log() + 1e-9 * noise).argmax())


class HalfPrecision(Wrong):
    """Compares a bfloat16 draft with a float32 target."""

    def accepts(self, u: float, law: Tensor, q: Tensor, token: int, noise: Tensor) -> bool:
        return u * float(q[token].bfloat16()) < float(law[token])


class TurnedAround(Wrong):
    """Accepts with q / p."""

    def accepts(self, u: float, law: Tensor, q: Tensor, token: int, noise: Tensor) -> bool:
        return u * float(law[token]) < float(q[token])


class Stays(RejectionVerifier):
    """A tree verifier that does not take the refused sibling's law out before it tries the next."""

    def __call__(self, draft: Draft, p: Tensor, u: Tensor, noise: Tensor) -> tuple[list[int], int]:
        for child, token in enumerate(draft.tokens):
            assert draft.q is not None
            if float(u[child]) * float(draft.q[child][token]) < float(p[0][token]):
                return [child], int((p[1 + child].log() + noise[1 + child]).argmax())
        rest = (p[0] - draft.q[0]).clamp_min(0)  # type: ignore[index]
        return [], int(((rest / rest.sum()).log() + noise[0]).argmax())


def distance(verifier: RejectionVerifier, widths: tuple[int, ...], **claims: LawOf) -> float:
    """How far what is emitted lies from the target's law."""
    target = claims.get("target", laws(8, 3, SamplingParams(temperature=0.7)))
    every = drafts(claims.get("draft", laws(9, 3, SamplingParams(temperature=0.7))), widths, claims.get("recorded"))
    got = emitted(verifier, claims.get("used", target), every, len(widths) + 1, 3)
    return float((got - joint(target, len(widths) + 1, 3)).abs().max())


def test_the_spelled_out_rule_is_exact() -> None:
    assert distance(Wrong(), (1, 1)) < EXACT
    assert distance(RejectionVerifier(), (2,)) < EXACT


@pytest.mark.parametrize("wrong", [AcceptsIfEqual, NothingLeftOut, PicksTheBest, HalfPrecision, TurnedAround])
def test_a_wrong_rule_for_chains_is_found(wrong: type[Wrong]) -> None:
    assert distance(wrong(), (1, 1)) > 1e-7


def test_a_wrong_rule_for_trees_is_found() -> None:
    assert distance(Stays(), (2,)) > 1e-3


def test_a_draft_that_misstates_its_law_is_found() -> None:
    warm, cold = laws(9, 3, SamplingParams()), laws(9, 3, SamplingParams(temperature=0.5))
    greedy = laws(9, 3, SamplingParams(temperature=0))
    assert distance(RejectionVerifier(), (1, 1), draft=warm, recorded=cold) > 1e-3  # drafts at temperature 1
    assert distance(RejectionVerifier(), (1, 1), draft=greedy, recorded=cold) > 1e-3  # drafts its best, claims a law


@pytest.mark.parametrize("forgotten", [{"temperature": 1.0, "top_p": 0.8}, {"temperature": 0.7}])
def test_a_target_without_temperature_or_filters_is_found(forgotten: dict[str, float]) -> None:
    right = laws(8, 3, SamplingParams(temperature=0.7, top_p=0.8))
    assert distance(RejectionVerifier(), (1,), target=right, used=laws(8, 3, SamplingParams(**forgotten))) > 1e-3
