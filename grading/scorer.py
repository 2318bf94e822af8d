"""The default scorer: a rubric, an answer and a question in; points with evidence and reasons out. No language model takes part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grading import gates as g
from grading.calibration import Calibration
from grading.certainty import chance, common_error, confidence, doubtful, level_set, total_law
from grading.encoder import Encoder, encoder
from grading.evidence import DENIED, SPEAKS, Candidate, Coherence, Match, Target, Window, candidates, coherence, match, opposition, targets, weigh
from grading.fields import judge_quantities, judge_short, judge_tests
from grading.fusion import COS, LEX, NEARLY, NO_RIVAL, Statement, Weights, Words, away, by_meaning, doubt, lexical, plainly, repeats, shipped, telling, words
from grading.fusion import Evidence as Nearness
from grading.lexicon import NEGATORS, poles
from grading.order import log_odds_of
from grading.polarity import negated
from grading.result import CUT, SCORER, Answer, ClaimMark, CriterionScore, Evidence, Question, Score, Unsure, asserted
from grading.rubric import BELOW, Claim, Criterion, Misconception, Rubric
from grading.text import Clause, Document, Token, read, tokenise

LONG, BY_CHANCE = 60, -4.0  # words of an answer from which its log odds of order say much, and those of words in any order: notes have 2 and more
WRONG_CUT = 0.5
# What a person should look at first, chosen on the marked answers (`python -m grading marked` says how often it is worth it): a claim whose chance of being
# met lies between these, unless the criterion's points are as sure as SURE all the same, and a misconception whose score reaches SUSPECT.
OPEN, SURE, SUSPECT = (0.35, 0.65), 0.9, 0.2


@dataclass(frozen=True, slots=True)
class _Book:
    """A rubric made ready beside its question: targets by criterion and id (a misconception's begins with "!", what a claim excludes is "!~" and its id)."""

    targets: dict[tuple[str, str], Target]
    statements: tuple[Statement, ...]
    embeddings: NDArray[np.float32]
    words: Words
    is_claim: NDArray[np.bool_]  # [statements]
    telling: tuple[tuple[int, frozenset[str], frozenset[str]], ...]  # see `telling`


@lru_cache(maxsize=32)
def _book(rubric_id: str, items: tuple[tuple[str, Claim | Misconception], ...], asked: str) -> _Book:
    made, texts = targets([item for _, item in items])
    keys = [(criterion, item.id if isinstance(item, Claim) else f"!{item.id}") for criterion, item in items]
    model = encoder()
    known = frozenset(t.stem for t in tokenise(asked) if t.content)
    statements = tuple(Statement(text, tokens, weigh(model, tokens, known)) for text in texts for tokens in [tokenise(text)])
    is_claim = np.zeros(len(texts), bool)
    for target in made:
        is_claim[target.rows] = isinstance(target.item, Claim)
    found = dict(zip(keys, made, strict=True))
    told = tuple((row, *pair) for (criterion, name), target in found.items() if name.startswith("!~") for row in range(target.first, target.last)
                 if (pair := telling(statements[row], statements[found[criterion, name[2:]].rows])))
    return _Book(found, statements, model.encode(texts), Words.of(model, statements), is_claim, told)


@dataclass(frozen=True, slots=True)
class _Reading:
    """An answer's prose read once for all criteria."""

    document: Document
    clauses: list[Clause]
    gates: list[g.Gate]
    flags: tuple[str, ...]
    void: str = ""  # why nothing in it can earn points


@lru_cache(maxsize=256)
def _asked(prompt: str) -> tuple[frozenset[tuple[str, ...]], frozenset[str], frozenset[int]]:
    """(word 4-grams, stems, axes of which it names both poles: "up or down") of a question."""
    tokens = tokenise(prompt)
    named = _places(tokens)
    return (g.ngrams(tokenise(read(prompt).text.replace("\u2029", " "))), frozenset(t.stem for t in tokens),
            frozenset(axis for axis, pole in named if (axis, -pole) in named))


def _places(tokens: Sequence[Token]) -> set[tuple[int, int]]:
    return {place for t in tokens for place in poles(t.text)}


def read_answer(text: str, question: Question | None, model: Encoder, known: frozenset[str] = frozenset()) -> _Reading:
    """Split and gate an answer. `known`: words that are no gibberish whatever they look like.

    Flags: injection, gibberish, language, echo, wordlist, retraction, hidden-characters, truncated.

    `score` adds contradictory, which takes a rubric to see."""
    document = read(text)
    flags, void = dict[str, None](), ""
    if document.folded or document.hidden > 3:
        flags["hidden-characters"] = None
    if document.cut:
        flags["truncated"] = None
    if any(g.is_injection(line) for line in f"{document.code}\n{document.comments}".splitlines()):
        flags["injection"] = None
    if not document.sentences:
        return _Reading(document, [], [], tuple(flags), "there is no prose in the answer" if text.strip() else "there is no answer")
    if g.foreign(document, model.pieces):
        flags["language"] = None
        void = "the answer is not in English, which these claims need; a person has to read it"
    elif g.gibberish(document, model.pieces, known):
        flags["gibberish"] = None
        void = "the answer holds no words that can be read"
    prompt, asked, choices = _asked(question.prompt if question else "")
    by_sentence: dict[int, g.Gate] = {}
    sentences = document.sentences
    plain = [s for s in sentences if not g.is_injection(s.text)]
    by_chance = sum(len(s.tokens) for s in plain) >= LONG and log_odds_of(plain) <= BY_CHANCE
    orderly = dict(zip((s.sentence for s in plain), g.gate_prose(plain, by_chance), strict=True))
    taken_back, voided = g.taken_back(document)
    if voided:
        flags["retraction"] = None
    for sentence, unsaid in zip(sentences, taken_back, strict=True):
        gate = g.OPEN
        if sentence.sentence not in orderly:
            flags["injection"] = None
            gate = g.Gate(0.0, "speaks to the grader")
        elif unsaid:
            gate = g.Gate(0.0, unsaid)
        else:
            copied = g.echo_spans(sentence.tokens, prompt)
            content = [c for token, c in zip(sentence.tokens, copied, strict=True) if token.content]
            new = [t for t in sentence.tokens if (t.content or t.text in NEGATORS) and t.stem not in asked]
            said = _places(sentence.tokens)
            chosen = any(axis in choices and (axis, -pole) not in said for axis, pole in said)
            telling = chosen or any(t.text in NEGATORS or t.text[0].isdigit() or poles(t.text) for t in new)  # "does not hold", "decreases" are answers
            if content and sum(content) / len(content) >= (0.6 if len(new) <= 0.2 * len(content) and not telling else 0.9):
                flags["echo"] = None
                gate = g.Gate(0.0, "repeats the question")
            else:
                gate = orderly[sentence.sentence]
                if gate.why:
                    flags["wordlist"] = None
        by_sentence[sentence.sentence] = gate
    return _Reading(document, list(document.clauses), [by_sentence[c.sentence] for c in document.clauses], tuple(flags), void)


def score(rubric: Rubric, answer: Answer | str, question: Question | str | None = None, *, run: Mapping[str, Any] | None = None,
          calibration: Calibration | None = None, weights: Weights | None = None) -> Score:
    """Mark an answer.

    `run` is the judged outcome of a coding question, `{"groups": {name: [earned, possible]}}`; criteria with `tests` take their points
    from it. `calibration`: cuts and certainty from marks that people gave. `weights`: others than the shipped ones. The same input gives the same score.

    Raises RubricError for a rubric that is no rubric, never for an answer.
    """
    answer = Answer(answer) if isinstance(answer, str) else answer
    question = Question(question) if isinstance(question, str) else question or Question("")
    missing = [name for c in rubric.criteria for name in c.tests if name not in (run or {}).get("groups", {})]
    if missing:
        why = "the code has not been judged" if run is None else f"the judged run lacks the test groups {', '.join(missing)}"
        return Score(0.0, rubric.max, "", (), "not_scored", (), reason=f"Not scored: {why}.", scorer=SCORER)
    prose = [c for c in rubric.criteria if c.claims or c.misconceptions]
    reading = read_answer(answer.text, question, encoder()) if prose else _Reading(read(""), [], [], ())
    found = _match(rubric, prose, reading, question, weights or shipped()) if prose else {}
    whole = coherence(m for (_, name), m in found.items() if not name.startswith("!"))
    if whole.why:
        reading = replace(reading, flags=(*reading.flags, "contradictory"))
        found = {key: m if key[1].startswith("!") else replace(m, score=whole.keeps(m)) for key, m in found.items()}
    criteria, common = [], common_error(rubric)
    for criterion in rubric.criteria:
        if criterion.tests:
            criteria.append(judge_tests(criterion, (run or {})["groups"]))
        elif criterion.quantities:
            criteria.append(judge_quantities(criterion, answer))
        elif criterion.accepted:
            criteria.append(judge_short(criterion, answer))
        else:
            criteria.append(_criterion(criterion, found, reading, whole, calibration, common, answer.blank))
    return _total(rubric, criteria, reading, whole, calibration, common)


@dataclass(frozen=True, slots=True)
class Beside:
    """An answer's open clauses beside a rubric: all that the marks are made of."""

    book: _Book
    clauses: list[Clause]
    gates: list[g.Gate]
    nearness: Nearness
    window: Window
    found: dict[tuple[str, str], list[Candidate]]  # of every claim
    doubt: float
    away: float
    worst: Clause | None  # what raises the doubt most

    def candidates(self, key: tuple[str, str]) -> list[Candidate]:
        """The clauses that come nearest to a target of the book."""
        return self.found.get(key) or _candidates(self.book, self.book.targets[key], self.clauses, self.nearness, self.window)


def _candidates(book: _Book, target: Target, clauses: Sequence[Clause], nearness: Nearness, window: Window) -> list[Candidate]:
    return candidates(target, clauses, nearness, book.statements, window, nearness.rivals(target.rows, book.is_claim))


def lay_beside(rubric: Rubric, criteria: Sequence[Criterion], reading: _Reading, question: Question) -> Beside | None:
    """None when the answer has nothing that can earn points."""
    open_ = [i for i, gate in enumerate(reading.gates) if gate.factor > 0]
    if reading.void or not open_:
        return None
    items = tuple((c.id, item) for c in criteria for item in (*c.claims, *c.misconceptions, *(_exclusion(c) for c in c.claims if c.contradictions)))
    book = _book(rubric.id, items, f"{question.title} {question.prompt}")
    model = encoder()
    clauses, gates = [reading.clauses[i] for i in open_], [reading.gates[i] for i in open_]
    numbers = {sentence: row for row, sentence in enumerate(dict.fromkeys(c.sentence for c in clauses))}
    whole = {s.sentence: s for s in reading.document.sentences}
    soft = by_meaning(model, [whole[n] for n in numbers], book.words)
    shut = np.repeat(1.0 - np.array([[gate.factor] for gate in gates], np.float32), len(book.statements), axis=1)
    said = [words(c.tokens) for c in clauses]
    for row, wrong, right in book.telling:
        shut[[bool(own & right) and not own & wrong for own in said], row] = 1.0
    nearness = Nearness.of(model.encode([c.text for c in clauses]) @ book.embeddings.T, lexical(clauses, book.statements),
                           soft[[numbers[c.sentence] for c in clauses]], shut, book.is_claim)
    mistakes = [target for target in book.targets.values() if isinstance(target.item, Misconception)]
    wrongs = [_wrong(target, clauses, nearness, book.statements) for target in mistakes]
    worst = clauses[int(plainly(nearness.wronged, nearness.claimed).argmax())] if mistakes else None
    window = Window(reading.document.sentences, {c.sentence for c in clauses})
    found = {key: _candidates(book, target, clauses, nearness, window) for key, target in book.targets.items() if isinstance(target.item, Claim)}
    off = away([max(c.subject for c in close) for close in found.values()], nearness.claimed[[c.whole for c in clauses]])
    return Beside(book, clauses, gates, nearness, window, found, doubt(wrongs), off, worst)


def _wrong(target: Target, clauses: Sequence[Clause], nearness: Nearness, statements: Sequence[Statement]) -> float:
    """How plainly the answer says a wrong thing: the greatest of its clauses that don't deny it. Whoever corrects a mistake doesn't make it."""
    leads = nearness.wrong(target.rows)
    for i in np.argsort(-leads):
        if leads[i] <= 0 or opposition(clauses[i], nearness.nearness[i, target.rows], statements[target.rows]).strength < DENIED:
            return float(leads[i])
    return NO_RIVAL


def _match(rubric: Rubric, criteria: Sequence[Criterion], reading: _Reading, question: Question, weights: Weights) -> dict[tuple[str, str], Match]:
    beside = lay_beside(rubric, criteria, reading, question)
    if beside is None:
        return {(c.id, name): Match(0.0, None) for c in criteria for name in (*(x.id for x in c.claims), *(f"!{x.id}" for x in c.misconceptions))}

    doubted, away_off = weights.doubt * beside.doubt, weights.away * beside.away
    against = doubted + away_off
    why = "the answer as a whole is about something else"
    if beside.worst is not None and doubted >= away_off:
        why = f"it comes near, but much of the answer speaks against it, such as “{beside.worst.text}”"

    def found(key: tuple[str, str]) -> Match:
        m = match(beside.book.targets[key], beside.candidates(key), beside.clauses, beside.gates, beside.nearness, beside.book.statements, weights, against)
        return replace(m, doubted=why) if m.score < CUT <= m.score_alone else m

    out = {key: found(key) for key in beside.book.targets if not key[1].startswith("!~")}
    for criterion, name in beside.book.targets:  # what a claim excludes matters only where the claim is met
        if name.startswith("!~") and out[criterion, name[2:]].score >= SPEAKS:
            out[criterion, name] = _repeated(beside, criterion, name) or found((criterion, name))
    return out


def _repeated(beside: Beside, criterion: str, name: str) -> Match | None:
    """What a claim excludes, said nearly word by word."""
    wrong, right = beside.book.targets[criterion, name], beside.book.targets[criterion, name[2:]]
    near, statements = beside.nearness.nearness, beside.book.statements
    for i in np.flatnonzero(near[:, wrong.rows].max(axis=1) >= NEARLY):
        j, k = (target.first + int(near[i, target.rows].argmax()) for target in (wrong, right))
        if near[i, j] > near[i, k] and repeats(beside.clauses[i], statements[j], statements[k]) \
                and opposition(beside.clauses[i], near[i, wrong.rows], statements[wrong.rows]).strength < DENIED:
            return Match(1.0, beside.clauses[i], float(beside.nearness.cosine[i, j]), float(beside.nearness.lexical[i, j]))
    return None


def _exclusion(claim: Claim) -> Misconception:
    """What a claim excludes, matched as misconceptions are: it must be said more clearly than any claim."""
    return Misconception(f"~{claim.id}", claim.contradictions[0], 0.0, claim.contradictions[1:])


def _excluded(claim: Claim, m: Match, found: Mapping[tuple[str, str], Match], criterion: Criterion) -> str:
    """Why a claim whose evidence suffices is not met all the same, or ""."""
    if claim.polarity == "deny" and m.clause is not None and not any(negated(m.clause.tokens, m.clause.text)):
        return "the answer speaks of it without denying it"
    against = found.get((criterion.id, f"!~{claim.id}"))
    if (against is not None and against.clause is not None and against.score >= WRONG_CUT and against.denial is None
            and COS * against.cosine + LEX * against.lexical >= COS * m.cosine + LEX * m.lexical):  # said at least as plainly as the claim
        return f"the answer says what excludes it: “{against.clause.text}”"
    return ""


def _span(clause: Clause | None, reading: _Reading) -> tuple[Evidence, ...]:
    if clause is None:
        return ()
    return (Evidence("text", clause.start, clause.end, reading.document.raw[clause.start : clause.end]),)


def _why(claim: Claim | Misconception, m: Match, met: bool, reading: _Reading, whole: Coherence) -> str:
    if reading.void:
        return reading.void
    if m.clause is None:
        return "nothing in the answer speaks of it"
    if met:
        return "stated"
    if m.denial is not None:
        return m.denied.why
    if m.gate:
        return m.gate
    if m.missing:
        return "does not mention " + ", ".join(f"“{term}”" for term in m.missing)
    if m.numbers < 1.0:
        return "the number is missing"
    if m.doubted:
        return m.doubted
    if whole.factor < 1.0:
        return whole.why
    return "nothing in the answer says this clearly enough"


def _criterion(criterion: Criterion, found: Mapping[tuple[str, str], Match], reading: _Reading, whole: Coherence,
               calibration: Calibration | None, common: float, blank: bool) -> CriterionScore:
    marks, evidence, missed, met = list[ClaimMark](), list[Evidence](), list[str](), set[str]()
    for claim in criterion.claims:
        m = found[criterion.id, claim.id]
        cut = calibration.cut(claim) if calibration else CUT
        against = _excluded(claim, m, found, criterion) if m.score >= cut else ""
        m = replace(m, score=0.0) if against else m
        ok = m.score >= cut
        met |= {claim.id} if ok else set()
        marks.append(ClaimMark(claim.id, "claim", ok, m.score, cut, against or _why(claim, m, ok, reading, whole), _span(m.denial or m.clause, reading),
                               {"cosine": m.cosine, "lexical": m.lexical, "terms": m.terms, "numbers": m.numbers}))
    met = criterion.supported(met)
    marks = [replace(mark, met=False, why="what it rests on is not stated") if mark.met and mark.id not in met else mark for mark in marks]
    wrong, suspected = list[str](), list[Unsure]()
    for bad in criterion.misconceptions:
        m = found[criterion.id, f"!{bad.id}"]
        said = m.score >= WRONG_CUT and m.denial is None
        if not said and (suspicion := _suspicion(bad, m)):
            suspected.append(suspicion)
        marks.append(ClaimMark(bad.id, "misconception", said, m.score, WRONG_CUT, "asserted" if said else "", _span(m.clause, reading),
                               {"cosine": m.cosine, "lexical": m.lexical, "terms": m.terms, "numbers": m.numbers}))
        if said:
            wrong.append(bad.feedback or f"Wrong: {bad.text}")
            evidence += _span(m.clause, reading)
    for claim, mark in zip(criterion.claims, marks, strict=False):
        if claim.id in met:
            evidence += mark.evidence
        else:
            missed.append(f"{claim.text} — {mark.why}." if mark.why else claim.text)
    deduct = criterion.deduction(asserted(marks))
    points = criterion.points_for(len(met), deduct)
    reason = f"{len(met)} of {len(criterion.claims)} claims stated" if criterion.claims else "no claims"
    if deduct:
        reason += f"; {deduct:g} off for a wrong statement"
    sure = _sure(criterion, points, marks, reading, calibration, common, blank)
    unsure = (*suspected, *(_in_the_balance(criterion, marks, calibration) if sure < SURE else ()))
    return CriterionScore(criterion.id, criterion.title, points, criterion.points, tuple(dict.fromkeys(evidence)), reason + ".",
                          (*missed, *wrong), sure, tuple(marks), unsure)


def _suspicion(bad: Misconception, m: Match) -> Unsure | None:
    """What an answer may say wrong. What denies nothing does not say what denies something."""
    if m.clause is None or m.denial is not None or m.score < SUSPECT:
        return None
    if any(negated(tokenise(bad.text), bad.text)) and not any(negated(m.clause.tokens, m.clause.text)):
        return None
    return Unsure("wrong", bad.id, bad.text, m.clause.text)


def _in_the_balance(criterion: Criterion, marks: Sequence[ClaimMark], calibration: Calibration | None) -> list[Unsure]:
    """The claims that a careful reader may well judge otherwise, the most doubtful first. One that only lacks what it rests on is not among them."""
    found = [(abs(p - 0.5), Unsure("counted" if mark.met else "missed", claim.id, claim.text, mark.evidence[0].text if mark.evidence else ""))
             for claim, mark in zip(criterion.claims, marks, strict=False)
             if mark.met == (mark.score >= mark.cut) for p in [chance(mark, calibration)] if OPEN[0] <= p <= OPEN[1]]
    return [unsure for _, unsure in sorted(found, key=lambda pair: pair[0])]


def _sure(criterion: Criterion, points: float, marks: Sequence[ClaimMark], reading: _Reading, calibration: Calibration | None, common: float,
          blank: bool) -> float:
    """P(a careful reader would give these points). Where nothing stands there is nothing to doubt, and where nothing could be read, everything."""
    if blank:
        return 1.0
    return 0.0 if "language" in reading.flags else confidence(criterion, points, marks, calibration, common)


def _total(rubric: Rubric, criteria: Sequence[CriterionScore], reading: _Reading, whole: Coherence, calibration: Calibration | None,
           common: float) -> Score:
    points = {c.id: c.points for c in criteria}
    law = total_law(rubric, criteria, calibration, common)
    levels = level_set(rubric, criteria, law, calibration)
    if "language" in reading.flags:  # nothing of it was read
        law, levels = {}, (BELOW, *(name for name, _ in rubric.bands)) if rubric.bands else ()
    state, reason = "scored", ""
    if reading.void and reading.document.raw.strip():
        state, reason = "review", f"{reading.void[:1].upper()}{reading.void[1:]}."
    elif "injection" in reading.flags:
        state, reason = "review", "Part of the answer speaks to the grader; it earned nothing."
    elif "retraction" in reading.flags:
        state, reason = "review", "The answer takes back what stands before; a person has to read it."
    elif whole.why:
        state, reason = "review", f"{whole.why[:1].upper()}{whole.why[1:]}; a person has to read it."
    elif len(levels) > 1:
        state, reason = "review", doubtful(levels)
    return Score(sum(points.values()), rubric.max, rubric.level(points) if rubric.bands else "", levels, state, tuple(criteria), reading.flags,  # type: ignore[arg-type]
                 reason, f"{SCORER}+{calibration.name}" if calibration else SCORER, law)
