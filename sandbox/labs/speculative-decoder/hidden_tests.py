"""What decides. The rule is checked with its noise given; the loop by its tokens, its law and its counts."""

import math

import torch

from sandbox import checks
from sandbox.meter import MeteredEngine
from sandbox.oracle import MARGIN, greedy, law, prompt
from sandbox.testing import test

BINS = 4  # of a token's place in its law: few, so that a lasting shift shows in few answers
TAIL = 0.05  # of a law, where its least likely tokens are: who cuts them off never gives one
UNLIKELY = 0.5  # p / q of a draft that is more often rejected than not
FEWER = 0.5  # of the drafts that the rule accepts: who accepts no more of them decides in another way
MOST_PASSES = 1000  # of both engines for one answer; the longest that is logged needs some 150


class Pair:
    """Two engines and the decoder on them."""

    def __init__(self, sut, bench, k, draft="draft", **engine):
        options = {"blocks": 16, "returns": "logits"} | engine
        self.target, self.draft = bench.engine("target", **options), bench.engine(draft, **options)
        self.decoder = sut.new("SpeculativeDecoder", self.target, self.draft, k)

    def generate(self, tokens, count, temperature=0.0, stop=()):
        made = checks.ints(self.decoder.generate(tokens, count, temperature, list(stop)), "generate")
        checks.that(all(0 <= token < self.target.vocab_size for token in made), "form", "a token that is none")
        return made


def agreeing(drafted, answer):
    """How many of the drafted tokens stand in the answer, up to the first that does not."""
    return next((i for i, (one, other) in enumerate(zip(drafted, answer, strict=False)) if one != other), min(len(drafted), len(answer)))


def course(tokens, expected, k):
    """How greedy speculation must go: (target passes, tokens the draft computes, what each token is), or None when rounding could change it."""
    rounds = draft_tokens = held = 0
    made, kinds = [], []
    while len(made) < len(expected):
        count = min(k, len(expected) - len(made) - 1)
        drafted, margin = greedy(tokens + made, count, model="draft") if count else ([], 1.0)
        if margin < MARGIN:
            return None
        accepted = agreeing(drafted, expected[len(made) :])
        kinds += ["draft"] * accepted + ["bonus" if accepted == count else "replacement"]
        if count:
            draft_tokens += len(tokens) + len(made) - held + count - 1
            held = len(tokens) + len(made) + count - 1
        made = expected[: len(made) + accepted + 1]
        held = min(held, len(tokens) + len(made) - 1)
        rounds += 1
    return rounds, draft_tokens, kinds


def known_course(rng, length, count, k):
    for _ in range(50):
        tokens, expected = prompt(rng, length, count)
        if (found := course(tokens, expected, k)) is not None:
            return tokens, expected, found
    raise RuntimeError("no prompt with a clear course was found")


def stopping(rng, kind):
    """A prompt, its greedy tokens up to one of this kind, and that one. After a draft its round goes on."""
    for _ in range(100):
        tokens, expected, (_, _, kinds) = known_course(rng, 7, 16, 4)
        for at in range(2, 12):
            goes_on = kind != "draft" or kinds[at + 1] != "replacement"
            if kinds[at] == kind and goes_on and expected[at] not in expected[:at]:
                return tokens, expected[: at + 1], expected[at]
    raise RuntimeError("no prompt with such a token was found")


def simplex(rng, size):
    raw = torch.tensor([rng.expovariate(1.0) + 0.02 for _ in range(size)], dtype=torch.float64)
    return raw / raw.sum()


def pick(weights, u):
    """The index that u draws, and how far u is from the nearest border."""
    sums = torch.cumsum(weights / weights.sum(), 0)
    borders = [0.0, *sums.tolist()]
    index = next(i for i, border in enumerate(sums.tolist()) if border > u or i == len(weights) - 1)
    return index, min(abs(u - border) for border in borders)


def clear_draw(rng, weights):
    """A u that no rounding can move over a border, and the index that it draws."""
    while True:
        u = rng.random()
        index, gap = pick(weights, u)
        if gap > 1e-4:
            return u, index


def laws(tokens, answers, temperature, model):
    """The model's distribution of each token of each answer, given those before it: `[answers, tokens of one, vocab]`, float64."""
    engine = MeteredEngine.on(model, blocks=len(answers), returns="logits")  # a block for each: they are short
    work = [(engine.open(str(i)), tokens + answer[:-1]) for i, answer in enumerate(answers)]
    return torch.softmax(torch.stack(engine.forward(work))[:, len(tokens) - 1 :].double() / temperature, -1)


def places(rng, answers, p, order):
    """For each token, the share of its law `p` that comes before it in `order`, and a random part of its own: uniform and independent if the law is kept."""
    mine = order.gather(-1, torch.tensor(answers)[..., None])
    before, own = (p * (order < mine)).sum(-1), (p * (order == mine)).sum(-1)
    return before + own * torch.tensor([[rng.random() for _ in answer] for answer in answers], dtype=torch.float64)


def logged(pair):
    """A list that gets, for each pass of either engine: whether it is the target's, what the engine held before it, and the tokens that it computed.

    It says no when an answer goes on and on: what a submission makes us keep must have an end.
    """
    log = []
    for engine in (pair.target, pair.draft):

        def forward(work, engine=engine, compute=engine.forward):
            checks.that(len(log) < MOST_PASSES, "budget", "far more passes than an answer needs")
            held = engine.contents()
            result = compute(work)
            log.append((engine is pair.target, held, [token for _, tokens in work for token in tokens]))
            return result

        engine.forward = forward
    return log


def unlikely(tokens, temperature):
    """How much of the target's law lies where the draft's gives far more."""
    p, q = law(tokens, temperature), law(tokens, temperature, "draft")
    return float(p[p < UNLIKELY * q].sum())


class Answers:
    """Many answers to one prompt at a temperature, the laws of their tokens, and which were drafts that were accepted."""

    def __init__(self, sut, bench, tokens, temperature, number):
        self.count, k = 4, 3
        pair = Pair(sut, bench, k)
        log = logged(pair)
        self.made, self.rounds = [], []  # a round: (answer, its first token in it, drafts, how many of them stand in it)
        for i in range(number):
            log.clear()
            answer = pair.generate(tokens, self.count, temperature)
            checks.that(len(answer) == self.count, "value", "an answer without a stop token is too short or too long")
            self.made.append(answer)
            first = 0
            for computed in [computed for by_target, _, computed in log if by_target]:
                drafted = computed[1 if first else len(tokens) :]
                accepted = agreeing(drafted, answer[first:])
                self.rounds.append((i, first, len(drafted), accepted))
                first += accepted + 1
        self.p, self.q = (laws(tokens, self.made, temperature, model) for model in ("target", "draft"))

    def after_unlikely(self):
        """(answer, token) for the tokens that a draft stood for, and before them in their round an accepted one that was unlikely to be."""
        ratio = (self.p / self.q).gather(-1, torch.tensor(self.made)[..., None])[..., 0]
        return [
            (i, first + place)
            for i, first, drafts, accepted in self.rounds
            for place in range(1, min(drafts, accepted + 1, self.count - first))
            if float(ratio[i, first : first + place].min()) < UNLIKELY
        ]

    def evidence(self):
        """How much likelier it is that drafts are accepted with FEWER of the rule's chances than with the chances themselves, as a logarithm.

        A draft that comes to be decided on, drawn from q, is accepted with the chance sum(min(p, q)), whatever went before. So for a right decoder this
        likelihood ratio is 1 on average, however many draws there are and how they depend on each other, and above 1 / ALPHA once in 1 / ALPHA runs at most.
        """
        chances = torch.minimum(self.p, self.q).sum(-1).clamp(max=1 - 1e-6)
        total = 0.0
        for i, first, drafts, accepted in self.rounds:
            for place in range(min(drafts, accepted + 1, self.count - first)):
                chance = float(chances[i, first + place])
                total += math.log(FEWER) if place < accepted else math.log((1 - FEWER * chance) / (1 - chance))
        return total


# greedy-exact --------------------------------------------------------------------------------------------------------


@test("greedy-exact", points=2)
def matches_greedy_decoding(sut, bench):
    """The target's own greedy tokens, over many rounds with acceptances and rejections."""
    for length in (1, 16, bench.rng.randrange(20, 40)):
        tokens, expected = prompt(bench.rng, length, 24)
        checks.equal(Pair(sut, bench, 3).generate(tokens, 24), expected, "the tokens differ")


@test("greedy-exact", points=2)
def any_draft_length(sut, bench):
    """k from 1 to more than the whole answer gives the same tokens."""
    tokens, expected = prompt(bench.rng, 11, 9)
    for k in (1, 2, 5, 20):
        checks.equal(Pair(sut, bench, k).generate(tokens, 9), expected, f"the tokens differ at k = {k}")


# acceptance-law ------------------------------------------------------------------------------------------------------


@test("acceptance-law", points=2)
def accepts_by_the_ratio(sut, bench):
    """Each token is accepted exactly when its u is below p / q, and the first that is not ends the run."""
    pair = Pair(sut, bench, 4)
    for _ in range(60):
        size, k = bench.rng.randrange(2, 9), bench.rng.randrange(1, 6)
        p, q = [simplex(bench.rng, size) for _ in range(k + 1)], [simplex(bench.rng, size) for _ in range(k)]
        tokens = [bench.rng.randrange(size) for _ in range(k)]
        u, accepted = [], None
        for i, token in enumerate(tokens):
            ratio = float(p[i][token] / q[i][token])
            noise = bench.rng.random()
            while abs(noise - ratio) < 1e-3:
                noise = bench.rng.random()
            u.append(noise)
            if accepted is None and noise >= ratio:
                accepted = i
        answer = pair.decoder.verify(tokens, torch.stack(p).float(), torch.stack(q).float(), [*u, 0.5])
        checks.that(isinstance(answer, (tuple, list)) and len(answer) == 2, "form", "verify returns (accepted, token)")
        checks.equal(answer[0], k if accepted is None else accepted, "how many are accepted")


@test("acceptance-law", points=2)
def follows_the_target_law(sut, bench):
    """At a temperature, each token has the target's distribution, given those before it and how they came about, and drafts are accepted by the rule."""
    prompts = [prompt(bench.rng, 6, 1)[0] for _ in range(24)]
    # Hot, where most is drafted too often and accepted all the same: a wrong acceptance must show in a few hundred answers.
    hot = Answers(sut, bench, max(prompts, key=lambda tokens: unlikely(tokens, 3.0)), 3.0, 260)
    # A noise that is used twice shifts tokens along the vocabulary; a wrong acceptance, q or residual from where the draft gives more to where the target does.
    for order in (torch.arange(hot.p.shape[-1]).expand_as(hot.p), hot.p / hot.q):
        cells = (places(bench.rng, hot.made, hot.p, order) * BINS).long().clamp(max=BINS - 1) + BINS * torch.arange(hot.count)
        counts = torch.bincount(cells.flatten(), minlength=BINS * hot.count).tolist()
        checks.follows(counts, [1 / len(counts)] * len(counts), "the tokens' places in their laws")
    # A number that decides on two drafts accepts the second too often where the first was lucky.
    if after := hot.after_unlikely():
        rare = hot.p / hot.q < 1
        share = sum(float(hot.p[at][rare[at]].sum()) for at in after) / len(after)
        count = sum(bool(rare[at][hot.made[at[0]][at[1]]]) for at in after)
        checks.follows([count, len(after) - count], [share, 1 - share], "tokens that the draft gives more often, after an unlikely draft that was accepted")
    # What is drawn from the target and kept where the draft said the same has the right law too, and makes the draft all but useless.
    checks.that(hot.evidence() < -math.log(checks.ALPHA), "budget", "far fewer drafts are accepted than the rule accepts")
    # Colder and hotter: a temperature that is kept within bounds shows.
    cold = Answers(sut, bench, max(prompts, key=lambda tokens: float((law(tokens, 0.5) - law(tokens, 1.0)).abs().sum())), 0.5, 80)
    for answers in (hot, cold, Answers(sut, bench, prompts[0], 8.0, 50)):
        edges = torch.tensor([TAIL, 0.25, 0.5, 0.75], dtype=torch.float64)
        cells = torch.bucketize(places(bench.rng, answers.made, answers.p, answers.p), edges, right=True)
        counts = torch.bincount(cells.flatten(), minlength=5).tolist()
        checks.follows(counts, [TAIL, 0.25 - TAIL, 0.25, 0.25, 0.25], "the tokens' places in their laws, the least likely first")


# residual ------------------------------------------------------------------------------------------------------------


@test("residual", points=2)
def resamples_from_the_residual(sut, bench):
    """A rejected token, the first or a later one, is replaced by the index that the last u draws from the normalised positive part of p - q."""
    pair = Pair(sut, bench, 3)
    for _ in range(40):
        size, k = bench.rng.randrange(3, 10), bench.rng.randrange(1, 5)
        at = bench.rng.randrange(k)  # those before it are accepted: p is q there
        p, q = [simplex(bench.rng, size) for _ in range(k + 1)], [simplex(bench.rng, size) for _ in range(k)]
        p[:at] = q[:at]
        tokens = [bench.rng.randrange(size) for _ in range(k)]
        tokens[at] = int((p[at] - q[at]).argmin())  # where the draft gives most too much
        u, expected = clear_draw(bench.rng, (p[at] - q[at]).clamp(min=0))
        noise = [bench.rng.random() * 0.99 for _ in range(k)]
        noise[at] = 0.9999
        actual = pair.decoder.verify(tokens, torch.stack(p).float(), torch.stack(q).float(), [*noise, u])
        if float(p[at][tokens[at]] / q[at][tokens[at]]) < 0.999:
            checks.equal(tuple(actual), (at, expected), "the token that replaces a rejected one")


@test("residual", points=2)
def a_token_the_draft_never_gives(sut, bench):
    """q = 0 is no division by zero: such a token is accepted when the target can give it, and rejected when it can't."""
    pair = Pair(sut, bench, 2)
    q = torch.tensor([[0.0, 0.5, 0.5]])
    p = torch.tensor([[0.2, 0.5, 0.3], [0.0, 1.0, 0.0]])
    checks.equal(tuple(pair.decoder.verify([0], p, q, [bench.rng.random(), 0.5])), (1, 1), "a token with q = 0 and p > 0")
    p = torch.tensor([[0.0, 0.1, 0.9], [0.0, 1.0, 0.0]])
    checks.equal(tuple(pair.decoder.verify([0], p, q, [bench.rng.random(), 0.5])), (0, 2), "a token with q = 0 and p = 0")


# kv-rollback ---------------------------------------------------------------------------------------------------------


def watched(draft, answer, k):
    """The draft's forward, which says no when the cache holds anything but the answer so far and at most k tokens of a guess."""

    def forward(work, compute=draft.forward):
        result = compute(work)
        for held in draft.contents():
            sure = held[: max(0, len(held) - k)]
            checks.that(sure == answer[: len(sure)], "state", "the draft's cache holds tokens that were rejected, or lacks one")
        return result

    return forward


@test("kv-rollback", points=2, flight=True)
def the_draft_stays_in_step(sut, bench):
    """What was rejected is forgotten, greedy or not: both caches hold accepted tokens only, and there are no more target passes than a sound draft needs."""
    for _ in range(10):
        k = bench.rng.randrange(3, 6)
        tokens, expected, (passes, _, _) = known_course(bench.rng, bench.rng.randrange(6, 20), 30, k)
        pair = Pair(sut, bench, k)
        pair.draft.forward = watched(pair.draft, tokens + expected, k)
        checks.equal(pair.generate(tokens, 30), expected, "the tokens differ")
        actual = pair.target.count.forwards
        checks.that(actual <= passes, "budget", "more target passes than a sound draft cache needs", expected=passes, actual=actual)
    for _ in range(4):
        tokens, pair = prompt(bench.rng, 9, 1)[0], Pair(sut, bench, 3)
        log = logged(pair)
        whole = tokens + pair.generate(tokens, 12, 2.0)
        round_over = True
        for by_target, held, _ in log:
            if by_target or round_over:  # within a round the draft may hold its guess too
                sound = all(one == whole[: len(one)] for one in held)
                checks.that(sound, "state", "a cache holds tokens that were rejected, or lacks one, when a round is over")
            round_over = by_target


@test("kv-rollback", points=2)
def gives_all_blocks_back(sut, bench):
    """After an answer no block is held, whether it ended by length or by a stop token; the next answer finds a whole pool."""
    pair = Pair(sut, bench, 3, blocks=4)
    for stop in (False, True, False):
        tokens, expected = prompt(bench.rng, 30, 20)
        pair.generate(tokens, 20, stop=[expected[8]] if stop else [])
        for engine in (pair.target, pair.draft):
            checks.equal((engine.held, engine.sequences), (0, 0), "blocks and sequences held after an answer", reason="state")


# bonus-token ---------------------------------------------------------------------------------------------------------


@test("bonus-token", points=2)
def the_bonus_comes_from_the_last_row(sut, bench):
    """When all are accepted, u draws one more token from the last row of p; with nothing drafted, that is all there is."""
    pair = Pair(sut, bench, 3)
    for k in (0, 1, 3):
        size = bench.rng.randrange(3, 10)
        rows = [simplex(bench.rng, size) for _ in range(k + 1)]
        u, expected = clear_draw(bench.rng, rows[-1])
        p = torch.stack(rows).float()
        tokens = [bench.rng.randrange(size) for _ in range(k)]
        actual = pair.decoder.verify(tokens, p, p[:-1].clone(), [*(bench.rng.random() * 0.99 for _ in range(k)), u])
        checks.equal(tuple(actual), (k, expected), "a full acceptance")


@test("bonus-token", points=2)
def full_acceptance_yields_one_more(sut, bench):
    """With the target as its own draft, each target pass yields k + 1 tokens."""
    k = bench.rng.randrange(2, 5)
    count = (k + 1) * 5
    tokens, expected = prompt(bench.rng, 8, count)
    pair = Pair(sut, bench, k, draft="target")
    checks.equal(pair.generate(tokens, count), expected, "the tokens differ")
    checks.equal(pair.target.count.forwards, 5, "target passes for five full acceptances", reason="budget")


# stop-conditions -----------------------------------------------------------------------------------------------------


@test("stop-conditions", points=2)
def stops_inside_an_accepted_run(sut, bench):
    """Any stop token ends the answer where it stands, an accepted draft, a replacement or a bonus, at a temperature too, with nothing after it."""
    for kind in ("draft", "replacement", "bonus"):
        tokens, expected, last = stopping(bench.rng, kind)
        other = next(token for token in range(768) if token not in expected)
        for stop in ([other, last], [last, other]):
            checks.equal(Pair(sut, bench, 4).generate(tokens, 16, stop=stop), expected, "the tokens up to the stop")
    tokens = prompt(bench.rng, 7, 1)[0]
    for _ in range(30):
        stop = bench.rng.sample(range(768), 256)
        answer = Pair(sut, bench, 4).generate(tokens, 16, 2.0, stop)
        wanted = next((at for at, token in enumerate(answer) if token in stop), 15)
        checks.equal(len(answer), wanted + 1, "the length of an answer up to its first stop token")


@test("stop-conditions", points=2)
def ends_where_the_length_says(sut, bench):
    """Exactly max_new_tokens tokens, one included, even when a round could give more."""
    for count in (1, 2, 7):
        tokens, expected = prompt(bench.rng, 5, count)
        checks.equal(Pair(sut, bench, 4, draft="target").generate(tokens, count), expected, f"{count} tokens")


# efficiency ----------------------------------------------------------------------------------------------------------


@test("efficiency", points=2)
def computes_the_prompt_once(sut, bench):
    """Each model computes the prompt once, and of the rest no more than the drafts need."""
    tokens, expected, (_, draft_tokens, _) = known_course(bench.rng, 60, 20, 3)
    pair = Pair(sut, bench, 3)
    checks.equal(pair.generate(tokens, 20), expected, "the tokens differ")
    # Each target pass computes its drafts and one token more; the prompt comes on top, once.
    allowed = len(tokens) + pair.target.count.forwards * 4
    checks.that(pair.target.count.tokens <= allowed, "budget", "tokens computed by the target", expected=allowed, actual=pair.target.count.tokens)
    slack = draft_tokens + len(tokens) // 2
    checks.that(pair.draft.count.tokens <= slack, "budget", "tokens computed by the draft", expected=draft_tokens, actual=pair.draft.count.tokens)
    pair = Pair(sut, bench, 3)
    pair.generate(tokens, 20, 2.0)
    allowed = len(tokens) + pair.target.count.forwards * 4
    for name, engine in (("target", pair.target), ("draft", pair.draft)):
        checks.that(engine.count.tokens <= allowed, "budget", f"tokens computed by the {name}", expected=allowed, actual=engine.count.tokens)


@test("efficiency", points=2)
def drafts_no_more_than_can_be_used(sut, bench):
    """A round drafts k tokens, at a temperature too, but near the end of an answer fewer: its last token needs no draft."""
    k = 4
    # With one token to make there is nothing to draft; computing the prompt with the draft model is no error.
    for count, passes in ((1, 1), (3, 2), (5, 4), (8, 6), (13, 10)):
        tokens, expected = prompt(bench.rng, 9, count)
        pair = Pair(sut, bench, k, draft="target")  # so that every draft is accepted
        checks.equal(pair.generate(tokens, count), expected, "the tokens differ")
        actual = pair.draft.count.forwards
        checks.that(actual <= passes, "budget", "draft passes", expected=passes, actual=actual)
    tokens, pair = prompt(bench.rng, 9, 1)[0], Pair(sut, bench, k)
    log = logged(pair)
    answer, made = pair.generate(tokens, 30, 2.0), 0
    for computed in [computed for by_target, _, computed in log if by_target]:
        drafted = computed[1 if made else len(tokens) :]
        checks.equal(len(drafted), min(k, len(answer) - made - 1), "tokens that a round drafted", reason="budget")
        made += agreeing(drafted, answer[made:]) + 1  # what replaces a rejected token is never the same token
