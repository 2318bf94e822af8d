"""The bank's own test: every exemplar answer gets the band that its front matter names, by the scorer that candidates get; code is judged for real."""

import random
from collections.abc import Callable

import pytest

import grading
from grading.attack import inverted, negated, undecided
from grading.fields import judge_quantities, judge_short
from grading.variants import GENERATOR
from interviews.bank.files import FILLED_IN, Exemplar, ParsedQuestion, parse_question, read_pack
from interviews.bank.management.commands.load_bank import PACKS
from interviews.review.levels import BANDS
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


@pytest.mark.parametrize(("slug", "items"), [
    ("advanced-inference", [f"M5-{n:02}" for n in range(1, 16)]), ("quick-fire", [f"GR-{n}" for n in range(64, 81)]),
])
def test_a_pack_covers_its_module(slug: str, items: list[str]) -> None:
    pack = next(pack for pack in SHIPPED if pack.slug == slug)
    assert sorted(item for question in pack.questions for item in question.meta["syllabus"]) == items


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.slug)
def test_each_question_is_complete(question: ParsedQuestion) -> None:
    if question.meta["kind"] == "quickfire":  # right or wrong, and the same shares of the points as elsewhere
        assert {criterion.points for criterion in question.rubric.criteria} == {1}
        assert dict(question.rubric.bands) == {level: int(question.rubric.max * share / 28 + 0.5) for level, share in BANDS.items()}
    else:
        assert dict(question.rubric.bands) == BANDS
        assert [criterion.points for criterion in question.rubric.criteria] == [4] * 7
        assert all(len(criterion.levels) == 5 for criterion in question.rubric.criteria)
    assert all(criterion.probe for criterion in question.rubric.criteria)
    assert sorted(exemplar.level for exemplar in question.exemplars) == ["L5", "L6", "L7", "below"]
    if question.meta["kind"] == "code":
        lab = labs.load(question.meta["lab"])
        used = [group for criterion in question.rubric.criteria for group in criterion.tests]
        assert sorted(used) == sorted(group.name for group in lab.groups)
    if question.meta["kind"] in FILLED_IN:
        fields = {field["id"] for field in question.meta["fields"]}
        asked = {quantity.field for criterion in question.rubric.criteria for quantity in criterion.quantities}
        asked |= {criterion.field for criterion in question.rubric.criteria if criterion.accepted}
        assert asked - {"text"} == fields


ROUNDS = [question for question in QUESTIONS if question.meta["kind"] == "quickfire"]


@pytest.mark.parametrize("question", ROUNDS, ids=lambda question: question.slug)
def test_each_short_answer_is_taken_and_refused_as_its_rubric_says(question: ParsedQuestion) -> None:
    """And what is asked is what the criterion is called: the words of the question said back are free."""
    labels = {field["id"]: field["label"] for field in question.meta["fields"]}
    for criterion in (criterion for criterion in question.rubric.criteria if criterion.accepted):
        assert criterion.title == labels[criterion.field]
        for forms, points in ((criterion.accepted, 1), (criterion.rejected, 0)):
            for form in forms:
                for said in (form, f"{form}.", f"it is {form}", form.upper() if form.isalpha() else form):
                    assert (judge_short(criterion, grading.Answer("", fields={criterion.field: said})).points, said) == (points, said)


SAID = {  # by field: right in words that no list holds, and wrong answers that look like it
    "growth": (["It grows linearly with the sequence length", "the KV cache grows linearly", "linear (O(n))", "linear, not quadratic", "Θ(n)"],
               ["not linearly", "linear or quadratic", "super-linear", "O(n log n)", "nonlinearly"]),
    "block": (["16 by default", "the default is 16", "it's 16", "16 tokens per block", "16 (CUDA)"],
              ["16 MB", "16 layers", "16 blocks of tokens", "160", "1.6", "not 16", "16 or 32", "16 blocks", "more than 16", "61"]),
    "flops": (["it does not reduce the FLOPs", "by 0%", "it doesn't cut FLOPs", "no FLOPs", "none (same FLOPs)", "the FLOPs stay the same"],
              ["it does not cut FLOPs by much", "it doesn't reduce them much", "50 %", "by 2", "not none", "from quadratic to linear", "a lot"]),
    "gqa": (["8 times smaller", "by 8x", "64/8 = 8", "8 (64/8)"], ["8 layers", "64 (8)", "8 times larger", "64/7", "80", "8 bytes", "more than 8", "8 or 64"]),
    "mla": (["about 3.6", "≈ 3.6×", "roughly 3.6x", "3.6 times smaller", "3,6", "2048/576 ≈ 3.6"],
            ["3.6 tokens", "36", "3.6 GB", "3.06", "6.3", "less than 3.6"]),
    "sinks": (["it keeps 4", "the first 4 tokens", "4 attention sinks", "4 initial tokens"], ["4 layers", "40", "all but 4", "not 4", "the last 4"]),
    "blackwell": (["fp4 (e2m1)", "4 bit float", "MXFP4/NVFP4", "FP4 (4-bit)"],
                  ["4-bit integer", "FP4 (FP8)", "FP8", "not FP4", "FP4 is wrong", "fp40", "bf16"]),
    "ring": (["along the sequence length", "it splits the sequence", "the sequence dimension", "sequence, not heads"],
             ["heads, not sequence", "the batch", "not the sequence", "heads or sequence"]),
    "exact": (["the distribution of the target model", "that of the target", "target, not the draft", "the target (the large model)"],
              ["draft, not target", "target (draft)", "anything other than the target", "draft or target", "the target and the draft"]),
    "ttft": (["500ms", "about half a second", "no more than 500 ms", "500 ms (0.5 s)"], ["500 tokens", "500 token", "500 s", "50 ms", "5", "more than 500 ms"]),
    "chunk": (["8192", "4096 tokens", "chunk of 512", "512, 1024"], ["1000", "two 512", "2048 blocks", "512 requests", "0.5", "16384 heads"]),
    "tp": (["TP of 8", "8 GPUs", "8 within the node"], ["8 layers", "eight nodes", "8 node", "8 nodes", "80", "not 8", "4 or 8"]),
    "orca": (["in the Orca paper", "the Orca system", "Orca (not vLLM)", "Orca (OSDI'22)"], ["vLLM, not Orca", "Orca 2", "orcas", "not Orca", "Orca or vLLM"]),
    "paged": (["the vLLM paper", "in vLLM"], ["not vLLM", "vLLM or SGLang", "before vLLM"]),
    "mooncake": (["Moonshot AI's Kimi", "it is Kimi's"], ["not Kimi", "Kimi or DeepSeek"]),
}


@pytest.mark.parametrize("field", SAID)
def test_short_answers_as_people_type_them(field: str) -> None:
    criterion = next(criterion for question in ROUNDS for criterion in question.rubric.criteria if criterion.field == field)
    for answers, points in zip(SAID[field], (1, 0), strict=True):
        for said in answers:
            assert (judge_short(criterion, grading.Answer("", fields={field: said})).points, said) == (points, said)


@pytest.mark.parametrize(("said", "points"), [("75", 1), ("75 %", 1), ("0.75", 1), ("about 70%", 1), ("60", 1), ("85", 1), ("95", 0), ("50", 0), ("7.5", 0),
                                              ("0.75 %", 0), ("60 or 95", 0), ("75 ms", 0)])
def test_a_rate_in_percent_may_go_without_its_sign(said: str, points: int) -> None:
    criterion = next(criterion for question in ROUNDS for criterion in question.rubric.criteria if criterion.id == "eagle")
    assert judge_quantities(criterion, grading.Answer("", fields={"eagle": said})).points == points
