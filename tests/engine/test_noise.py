"""Noise is an input: uniform, Gumbel, and a function of (seed, position, stream, lane) alone."""

import itertools

import pytest
import torch
from scipy.stats import chi2, kstest

from engine.noise import ACCEPT, DRAFT, RESIDUAL, SAMPLE, Noise, bits, key_of

ALPHA = 1e-6
STREAMS = (SAMPLE, DRAFT, ACCEPT, RESIDUAL)


def chi_square(counts: torch.Tensor, law: torch.Tensor) -> float:
    expected = law * counts.sum()
    return float(chi2.sf(float(((counts - expected) ** 2 / expected).sum()), len(law) - 1))


@pytest.mark.parametrize("what", ["seed", "position", "node"])
def test_uniform_numbers_are_uniform_along_every_counter(what: str) -> None:
    u = Noise.of([key_of(**{"seed": 3, "position": 7, "stream": ACCEPT, what: i}) for i in range(20_000)]).uniform()
    assert kstest(u.numpy(), "uniform").pvalue > ALPHA
    assert float(u.min()) > 0 and float(u.max()) < 1
    neighbours = torch.corrcoef(torch.stack([u[:-1], u[1:]]))[0, 1]
    assert abs(float(neighbours)) < 5 / 20_000**0.5


@pytest.mark.parametrize("what", ["seed", "position"])
def test_the_arg_max_of_logits_and_gumbel_noise_is_a_sample(what: str) -> None:
    law = torch.tensor([0.5, 0.2, 0.15, 0.1, 0.04, 0.01])
    noise = Noise.of([key_of(**{"seed": 1, "position": 2, what: i}) for i in range(30_000)])
    drawn = (law.log() + noise.gumbel(6)).argmax(-1)
    assert chi_square(drawn.bincount(minlength=6).float(), law) > ALPHA
    assert bool(noise.gumbel(6).isfinite().all())


def test_rare_tokens_are_drawn_as_often_as_they_should_be() -> None:
    """In float32 a careless -log(u) has too few distinct values at the end that decides the arg-max."""
    vocab, n = 2000, 4000
    law = torch.full((vocab,), 1e-4)
    law[0] = 1 - 1e-4 * (vocab - 1)
    drawn = (law.log() + Noise.of([key_of(5, i) for i in range(n)]).gumbel(vocab)).argmax(-1)
    expected = n * float(law[1:].sum())
    assert abs(int((drawn > 0).sum()) - expected) < 5 * expected**0.5


def test_streams_nodes_and_neighbouring_seeds_never_share_a_key() -> None:
    keys = {
        key_of(seed, position, stream, node)
        for seed, position, stream, node in itertools.product(range(20), range(50), STREAMS, range(8))
    }
    assert len(keys) == 20 * 50 * 4 * 8


def test_streams_are_independent() -> None:
    rows = torch.stack([Noise.of([key_of(4, i, stream) for i in range(20_000)]).uniform() for stream in STREAMS])
    off = torch.corrcoef(rows) - torch.eye(4)
    assert float(off.abs().max()) < 5 / 20_000**0.5


def test_a_lane_is_the_tokens_number_and_nothing_else() -> None:
    """Noise indexed by a sorted rank, or by the place in the batch, would let a neighbour change my token."""
    keys = [key_of(seed, 9) for seed in range(5)]
    whole = Noise.of(keys).gumbel(100)
    for row, key in enumerate(keys):
        assert torch.equal(Noise.of([key]).gumbel(100)[0], whole[row])
    assert torch.equal(Noise.of(keys).gumbel(40), whole[:, :40])
    assert torch.equal(bits(torch.tensor([5]), torch.arange(10))[0, 3:7], bits(torch.tensor([5]), torch.arange(3, 7))[0])
