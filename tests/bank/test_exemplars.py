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
    "weights": (["140GB", "about 140 GB", "0.14 TB", "140 GB (130 GiB)", "2*70 = 140 GB", r"$70 \times 2 = 140$"],
                ["140 GiB", "140 MB", "70", "not 140", "140 or 280"]),
    "forward": (["2n", "~2N", "$2N$", "2 * N flops", "2 FLOPs per param", "N MACs"], ["2", "N", "6N", "2N^2", "2*6N", "FLOPs of N parameters", "not 2N"]),
    "kv": (["327,680 B", "320 kib", "0.3125 MiB", "2*80*8*128*2 = 327680 B = 320 KiB"],
           ["128", "heads of 128", "320 MiB", "160", "320 = 160", "2*80*8*128*2 = 160"]),
    "floor": (["4.2ms", "14/3.35 = 4.18 ms", "4,2", "0.0042 s", "at least 4.2 ms"],
              ["4", "0.0042", "4.2 s", "at most 4.2 ms", "4.2 us", "3.35", "14/3.35 = 42"]),
    "ridge": (["295 FLOP/byte", "about 295", "989/3.35 = 295", "≈ 295 FLOPs/B", "300"], ["989", "3.35", "less than 295", "295 bytes", "0.3", "150"]),
    "adam": (["16 B/param", "sixteen", "2+2+4+4+4 = 16", "16 bytes"], ["16 bits", "12", "18", "8 bytes", "not 16", "16 or 18"]),
    "expected": (["3.4 tokens", "~3.4", "3,4", "(1-0.8^5)/0.2 = 3.36"], ["3.2", "2.4", "4", "0.8", "34", "3.4 or 3.2"]),
    "int4": (["3.5GB", "7/2 = 3.5", "3,5"], ["3.5 GiB", "3.5 Gb", "7", "28 GB", "35"]),
    "one": (["it is greedy", "arg max", "Greedy decoding (argmax)"], ["beam search", "top-k", "k = 1", "not greedy", "greedy or beam search"]),
    "topp": (["3 tokens", "the first three", "3 of the 4"], ["0.75", "2", "3 or 4", "not 3", "top-p", "0.9"]),
    "minp": (["2 tokens", "0.4*0.5 = 0.2 -> 2", "the first two"], ["0.5", "0.2", "1", "2 or 3", "not two"]),
    "entropy": (["it goes up", "increases", "the entropy rises"], ["down", "not up", "it goes", "the temperature goes from 0.5 to 1", "up or down"]),
    "mask": (["-Inf", "- inf", r"$-\infty$", "− ∞", 'float("-inf")', "minus infinity"], ["inf", "∞", "0", "not -inf", "the logit", "-1"]),
    "automaton": (["a finite-state machine", "FSM/DFA", "DFA (FSM)"], ["PDA", "pushdown automaton", "automaton", "infinite automaton", "not finite"]),
    "nested": (["a stack", "a stack of brackets", "LIFO"], ["a counter", "states", "nothing", "no stack", "JSON"]),
    "beams": (["128 000", "4*32,000 = 128,000", "4V", r"$4 \cdot 32000 = 128000$"], ["32,000", "4", "128", "a vocabulary of 32,000", "12800"]),
    "warp": (["32 threads/warp", "thirty two"], ["64", "32 warps", "a warp", "1024"]),
    "memory": (["80GB", "80 GB of HBM3", "80 GiB"], ["80 MB", "94 GB", "141", "80 Gb", "40 or 80"]),
    "bandwidth": (["3.35TB/s", "3.4", "3350 GB/s", "3,35"], ["3.35 GB/s", "3", "2.0", "4.8 TB/s", "33.5"]),
    "reduces": (["2 per layer", "one each", "two all-reduces"], ["1", "4", "0", "all-reduces", "2 or 4", "not two"]),
    "sent": (["7/4", "1.75 S", "1¾", "2(N-1)/N = 14/8 = 1.75", r"$2 \cdot \frac{7}{8} = 1.75$"], ["2", "7/8", "14", "2(N-1)/N = 1.5", "8 GPUs", "S bytes"]),
    "experts": (["AlltoAll", "NCCL alltoall", "an all-to-all"], ["all-reduce", "all-gather", "not all-to-all", "experts", "all-to-one"]),
    "bubble": (["20%", "1/5", "3/15 = 20%", "0.2"], ["25 %", "0.2 %", "3", "80", "2"]),
    "zero": (["ZeRO-3", "the third", "stage three"], ["stage 2", "ZeRO", "1", "not 3", "2 and 3"]),
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
