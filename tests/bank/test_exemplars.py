"""The bank's own test: every exemplar answer gets the band that its front matter names, by the scorer that candidates get; code is judged for real."""

import random
from collections.abc import Callable

import pytest

import grading
from grading.attack import inverted, negated, undecided
from grading.variants import GENERATOR
from interviews.bank.files import Exemplar, ParsedQuestion, parse_question, read_pack
from interviews.bank.management.commands.load_bank import PACKS
from interviews.review.marking import groups_of, nothing_judged
from sandbox import JudgeRequest, judge, labs

SHIPPED = [read_pack(path.parent) for path in sorted(PACKS.glob("*/pack.yaml"))]
QUESTIONS = [question for pack in SHIPPED for question in pack.questions]
VARIANTS = [parse_question(question.slug, question.files, seed=20) for question in QUESTIONS if GENERATOR in question.files]
EXEMPLARS = [(question, exemplar) for question in [*QUESTIONS, *VARIANTS] for exemplar in question.exemplars]


def marked(question: ParsedQuestion, answer: grading.Answer) -> grading.Score:
    run = None
    if question.meta["kind"] == "code":
        run = nothing_judged(question.meta["lab"])
    if answer.code.strip():
        run = groups_of(judge(JudgeRequest(lab=question.meta["lab"], source=answer.code, hidden=True, seed=20)).tests)
    asked = grading.Question(prompt=question.prompt, title=question.meta["title"], kind=question.meta["kind"])
    return grading.score(question.rubric, answer, asked, run=run)


@pytest.mark.parametrize(("question", "exemplar"), EXEMPLARS, ids=[f"{q.slug}/{e.name}" for q, e in EXEMPLARS])
def test_each_exemplar_gets_its_band(question: ParsedQuestion, exemplar: Exemplar) -> None:
    score = marked(question, exemplar.answer)
    assert "contradictory" not in score.flags
    assert score.level == exemplar.level, [(c.id, c.points, c.missed) for c in score.criteria]
    if exemplar.level in ("L6", "L7"):  # what a right answer says is not what the rubric excludes
        assert not [mark for c in score.criteria for mark in c.marks if "what excludes it" in mark.why]


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.slug)
@pytest.mark.parametrize("text", ["", "fine", "I would rather not say.", "lorem ipsum dolor sit amet consectetur adipiscing elit"])
def test_an_answer_that_says_nothing_gets_nothing(question: ParsedQuestion, text: str) -> None:
    score = marked(question, grading.Answer(text=text))
    assert (score.total, score.level) == (0, "below")


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.slug)
def test_the_prompt_said_back_stays_below_every_band(question: ParsedQuestion) -> None:
    assert marked(question, grading.Answer(text=question.prompt)).level == "below"


PROSE = [question for question in QUESTIONS if all(criterion.claims for criterion in question.rubric.criteria)]


@pytest.mark.parametrize("question", PROSE, ids=lambda question: question.slug)
@pytest.mark.parametrize("turn", [inverted, negated, undecided])
def test_the_best_answer_turned_round_or_left_open_stays_below_every_band_and_says_why(question: ParsedQuestion, turn: Callable[..., str]) -> None:
    best = next(exemplar for exemplar in question.exemplars if exemplar.level == "L7")
    score = marked(question, grading.Answer(text=turn(best.answer.text, random.Random(7))))
    assert (score.level, score.state, "contradictory" in score.flags) == ("below", "review", True)


def met(slug: str, level: str, old: str, new: str) -> dict[str, bool]:
    """Which claims an exemplar of a question makes when `new` stands for `old` in it."""
    question = next(question for question in QUESTIONS if question.slug == slug)
    text = next(exemplar.answer.text for exemplar in question.exemplars if exemplar.level == level)
    assert old in text
    return {mark.id: mark.met for c in marked(question, grading.Answer(text=text.replace(old, new))).criteria for mark in c.marks if mark.kind == "claim"}


@pytest.mark.parametrize(("slug", "claim", "said"), [
    ("speculative-decoding-fundamentals", "ratio", "A token of the draft is kept with probability min(1, q/p)."),
    ("speculative-decoder", "ratio", "Accept a drafted token with probability min(1, q/p)."),
    ("speculative-decoding-fundamentals", "memory", "It needs less memory than plain decoding, KV cache included."),
    ("token-healing", "cheap", "A request costs double with healing."),
    ("token-healing", "special", "Special tokens at the end may be removed as well, since they come back later."),
    ("token-healing", "not-needed-chat", "Chat needs it because its messages end with special tokens."),
    ("token-healing", "check-set", "For ht we allow t, tt and whatever else ends with the text."),
])
def test_a_plainly_wrong_sentence_makes_no_claim(slug: str, claim: str, said: str) -> None:
    question = next(question for question in QUESTIONS if question.slug == slug)
    marks = {mark.id: mark.met for c in marked(question, grading.Answer(text=said)).criteria for mark in c.marks if mark.kind == "claim"}
    assert not marks[claim]


@pytest.mark.parametrize("level", ["L6", "L7"])
@pytest.mark.parametrize("minus", [("p - q", "q - p"), ("p-q", "q-p")])
def test_the_residual_is_target_minus_draft_and_not_the_other_way_round(level: str, minus: tuple[str, str]) -> None:
    old = {"L6": "norm(max(0, p - q))", "L7": "norm(max(0, p-q))"}[level]
    right, wrong = (met("speculative-decoding-in-production", level, old, f"norm(max(0, {part}))")["residual"] for part in minus)
    assert (right, wrong) == (True, False)


@pytest.mark.parametrize(("said", "counts"), [
    ("At peak it depends on the context: with the long prompts of extraction the reading of the KV cache keeps the step bandwidth-bound even at 90 sequences, "
     "so rejected tokens stay cheap there and speculation can still pay at the peak.", True),
    ("At peak our long documents make decoding even more bandwidth-bound, because KV reads grow with the batch while the FLOPs stay below the ridge, so "
     "verification stays cheap for extraction at the peak too.", True),
    ("At large batch decoding gets even more bandwidth-bound, so rejected tokens are cheaper at the peak than at night.", False),
])
def test_long_contexts_may_keep_a_large_batch_memory_bound(said: str, counts: bool) -> None:
    compute = "At peak, 90 sequences x 5 = 450 tokens\nper pass: that is compute-bound, and rejected tokens steal time from other users."
    assert met("speculative-decoding-in-production", "L6", compute, said)["compute-bound"] == counts


@pytest.mark.parametrize(("said", "counts"), [
    ("Freeing must wait until it's done, and the deferred free gets forgotten when the result handler no longer finds the request.", True),
    ("That is harmless, because the next step frees everything.", False),
    ("The step must be cancelled at once, so that its blocks can be freed before it completes.", False),
])
def test_an_abort_in_flight_defers_the_free(said: str, counts: bool) -> None:
    right = "Freeing must wait until it's done, and the deferred free gets forgotten when the result handler no longer finds the request."
    assert met("batching-memory-leak", "L6", right, said)["in-flight"] == counts


@pytest.mark.parametrize(("slug", "criterion"), [("grammar-constraint-not-working", "mask-application"), ("constrained-generation-at-scale", "masking")])
@pytest.mark.parametrize("said", [
    "Sampling first and drawing again until the grammar accepts is equivalent to masking the logits.",
    "Sampling first and filtering afterwards is equivalent if one redraws from the legal tokens.",
    "Draw the token first, drop it if the grammar doesn't like it and draw again: that comes to the same thing as masking logits.",
    "We sample first, discard tokens that the grammar refuses and draw again, which has the same law as masking and saves most masks.",
])
def test_drawing_again_under_the_mask_is_no_mistake(slug: str, criterion: str, said: str) -> None:
    """p(x) + P(illegal) p(x) / P(legal) = p(x) / P(legal), the law of the masked draw."""
    question = next(question for question in QUESTIONS if question.slug == slug)
    text = next(exemplar.answer.text for exemplar in question.exemplars if exemplar.level == "L6")
    plain, more = (next(c for c in marked(question, grading.Answer(text=t)).criteria if c.id == criterion) for t in (text, f"{text}\n\n{said}\n"))
    assert not [mark.id for mark in more.marks if mark.kind == "misconception" and mark.met]
    assert more.points == plain.points


def test_the_pack_covers_its_module() -> None:
    pack = next(pack for pack in SHIPPED if pack.slug == "advanced-inference")
    assert sorted(item for question in pack.questions for item in question.meta["syllabus"]) == [f"M5-{n:02}" for n in range(1, 16)]


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.slug)
def test_each_question_is_complete(question: ParsedQuestion) -> None:
    assert dict(question.rubric.bands) == {"L5": 14, "L6": 20, "L7": 25}
    assert [criterion.points for criterion in question.rubric.criteria] == [4] * 7
    assert all(len(criterion.levels) == 5 and criterion.probe for criterion in question.rubric.criteria)
    assert sorted(exemplar.level for exemplar in question.exemplars) == ["L5", "L6", "L7", "below"]
    if question.meta["kind"] == "code":
        lab = labs.load(question.meta["lab"])
        used = [group for criterion in question.rubric.criteria for group in criterion.tests]
        assert sorted(used) == sorted(group.name for group in lab.groups)
    if question.meta["kind"] == "estimate":
        fields = {field["id"] for field in question.meta["fields"]}
        asked = {quantity.field for criterion in question.rubric.criteria for quantity in criterion.quantities}
        assert asked - {"text"} == fields
