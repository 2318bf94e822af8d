"""Grading from a model answer alone, for questions that have no rubric: a share of full marks in 0..1.

The model answer is split into its statements (`grading.draft`). Each earns by how many of its words the answer has, by meaning and in order, through the
same gates and the same test for contradictions as the rubric scorer, on a milder scale: human markers give most of the marks to a short answer that goes
the right way. Beside them stand the model answer's telling words, which find what is said across sentences. An answer that comes near neither earns
nothing, sentences about something else take no part, an answer made of denials where the model answer has none keeps little, and so does one whose words
stand in no order (`grading.order`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from grading.alignment import order_recall, soft_recall, word_vectors
from grading.draft import split_reference
from grading.encoder import WIDTH, encoder
from grading.evidence import Match, coherence, opposition, weigh
from grading.fusion import Statement, lexical, plain
from grading.gates import LISTS, OPEN, enumerated, wordlist
from grading.lexicon import ABSENCE, NEGATORS
from grading.order import log_odds_of
from grading.polarity import Opposition, denies, pole_votes, refused
from grading.result import Question
from grading.scorer import read_answer
from grading.text import MAX_CHARS, Clause, Token, read, tokenise

# Words by meaning and words in order -> logit of a statement's share of the marks.
W_WORDS, W_ORDER, SHIFT = 9.5, 4.5, 2.6
WORDS_0, ORDER_0 = 0.55, 0.40
FAR, NEAR = 0.5, 0.7  # how near the answer comes to the subject at all: nothing below FAR, all of it from NEAR on
MILD = 0.6  # exponent of the share: half of what is looked for earns two thirds
TURNED = 4, (0.6, 0.8)  # telling words that must stand the wrong way round before their share counts, and the shares that cost
FADE = 0.86  # statements count less in order of their credit: few model answers expect each of their statements
# Two witnesses: the statements met, and the model answer's telling words that the answer has itself, of which a share of FEW by weight shows nothing and ENOUGH
# shows all. One alone convinces of MET, or NAMED; statements miss what is said across sentences, and words miss what is said in others.
MET, NAMED, FEW, ENOUGH = 0.87, 0.5, 0.22, 0.5
CHANCE, PROSE = -6.0, -3.0  # log odds of the order of words: as good as shuffled, and not yet suspicious. Notes and second-language English reach -3
LISTED, BARE = 0.45, 0.6  # share of an answer in runs of bare words, beyond the model answer's own, from which it is taken for a list, and is one
LEFT = 0.2  # what a list keeps
ABOUT = 0.2  # cosine with the question or a model answer below which a sentence is about something else and takes no part, unless all are
DENYING = 0.6  # share of denials beyond the model answer's from which an answer turns it round
KEPT, OTHER = 0.3, 0.85  # what such an answer keeps, and a single sentence that denies something of which the model answer doesn't speak
_PREFIXES = (("hyper", "hypo"), ("inter", "intra", "intro"), ("micro", "macro"), ("homo", "hetero"), ("pre", "pro", "post", "per"), ("under", "over"),
             ("endo", "exo"), ("ana", "cata"), ("in", "ex", "im", "em"), ("mono", "poly"))
_SUFFIXES = (("ane", "anes", "ene", "enes", "yne", "ynes"), ("ate", "ates", "ite", "ites", "ide", "ides"), ("er", "ee"), ("less", "ful"))
_ORDER = re.compile(r"[OΘΩoθω]\s*\(([^()]*(?:\([^()]*\)[^()]*)*)\)")
OTHER_ORDER = 0.2  # what a statement keeps whose O(...) stands in the answer as another one
DENIED, CLOSE = 0.7, 0.7  # an opposition of this strength counts where the clause has this share of the statement's words


@dataclass(frozen=True, slots=True)
class _Reference:
    """A model answer made ready."""

    statements: tuple[Statement, ...]
    embeddings: NDArray[np.float32]
    vectors: tuple[NDArray[np.float32], ...]  # of each statement's words
    weights: dict[str, float]  # of all words, by stem; together 1
    whole: NDArray[np.float32]
    stems: frozenset[str]  # of its content words
    absence: tuple[bool, ...]  # whether each statement says, as a denial would, that something isn't there or isn't so
    says_no: bool  # to the question, first of all
    denying: float  # share of its sentences that are denials
    lists: bool  # whether it is a bare list of words, and nothing else
    runs: float  # share of its words that stand in runs of bare items


@lru_cache(maxsize=512)
def _prepare(question: str, reference: str) -> _Reference:
    model = encoder()
    known = frozenset(t.stem for t in tokenise(question) if t.content)
    texts = split_reference(reference) or [reference.strip() or "-"]
    made = tuple(Statement(text, tokens, weigh(model, tokens, known)) for text in texts for tokens in [tokenise(text)])
    sentences = read(reference).sentences
    no = bool(sentences) and _says_no(sentences[0])
    weights = {stem: weight for s in made for stem, weight in s.weights.items()}
    total = sum(weights.values()) or 1.0
    return _Reference(made, model.encode(texts), tuple(word_vectors(model, texts, [s.tokens for s in made])),
                      {stem: weight / total for stem, weight in weights.items()}, model.encode([reference])[0],
                      frozenset(t.stem for t in tokenise(reference) if t.content), tuple(_absence(s.tokens) for s in made), no, _denying(sentences, no),
                      bool(sentences) and all(wordlist(s.tokens) for s in sentences), _runs(sentences))


@lru_cache(maxsize=8192)
def _repair(word: str, words: tuple[str, ...]) -> str:
    """The word of `words` that a misspelt word stands for, or the word. Never touched: a word that is one piece of the encoder's vocabulary, and one that
    differs by a part that means something else ("hypotension" for "hypertension")."""
    if len(word) < 5 or encoder().pieces(word) == 1:
        return word
    near = [w for w in words if len(w) >= 5 and w[:2] == word[:2] and abs(len(w) - len(word)) <= 2 and not _tells_apart(word, w)]
    best = max(near, key=lambda w: SequenceMatcher(None, w, word).ratio(), default=word)
    return best if SequenceMatcher(None, best, word).ratio() >= 0.82 else word


def _tells_apart(word: str, other: str) -> bool:
    """Whether two words begin or end with different parts of one row of `_PREFIXES` or `_SUFFIXES`."""
    def apart(rows: tuple[tuple[str, ...], ...], has: Callable[[str, str], bool]) -> bool:
        parts = [[{part for part in row if has(w, part)} for w in (word, other)] for row in rows]
        return any(mine and theirs and mine != theirs for mine, theirs in parts)

    return apart(_PREFIXES, str.startswith) or apart(_SUFFIXES, str.endswith)


def spell(text: str, words: tuple[str, ...]) -> str:
    """`text` with its misspelt words replaced by the words of the model answer or question that they stand for."""
    def repaired(m: re.Match[str]) -> str:
        word = m[0].lower()
        right = _repair(word, words)
        return right if right != word else m[0]

    return re.sub(r"(?<![^\W\d_])[A-Za-z]{5,}(?![^\W\d_])", repaired, text)


@dataclass(frozen=True, slots=True)
class _Words:
    """The answer's open sentences word by word."""

    stems: tuple[str, ...]
    vectors: NDArray[np.float32]  # of content words
    factors: NDArray[np.float32]


def grade(question: str, references: Sequence[str], answer: str) -> tuple[float, tuple[str, ...]]:
    """(share of full marks, flags). With several model answers the one that fits best counts."""
    if any(_bare(answer) == _bare(reference) != "" for reference in references):
        return 1.0, ()
    words = tuple(sorted({t.text for text in (question, *references) for t in tokenise(text) if t.content and t.text.isalpha()}))
    text = spell(answer[: MAX_CHARS + 1], words)
    reading = read_answer(text, Question(question), encoder(), frozenset(words))
    prepared = [_prepare(question, reference) for reference in references]
    listed = any(reference.lists for reference in prepared)  # who is asked for names may list them
    if listed:
        reading = replace(reading, gates=[OPEN if gate.why in LISTS else gate for gate in reading.gates])
    open_ = [i for i, gate in enumerate(reading.gates) if gate.factor > 0]
    if reading.void or not open_:
        return 0.0, reading.flags
    open_ = _about(reading.clauses, open_, [question, *references])
    clauses, factors = [reading.clauses[i] for i in open_], np.array([reading.gates[i].factor for i in open_], np.float32)
    sentences = [clause for clause in clauses if clause.whole]
    near, asked = encoder().encode([" ".join(s.text for s in sentences)[:4000], question])
    words_read = _words(clauses, factors)
    prose = 1.0 if listed else _prose(sentences, max(reference.runs for reference in prepared))
    flags = reading.flags if prose == 1.0 or "wordlist" in reading.flags else (*reading.flags, "wordlist")
    found = []
    for reference in prepared:
        share, turned = _share(reference, clauses, factors, words_read, near, float(near @ asked))
        denied = _denying(sentences, reference.says_no) - reference.denying > DENYING
        kept = 1.0 if not denied else KEPT if len(sentences) > 1 else _kept(sentences[0], reference)
        found.append((share * kept, turned or kept < 1.0))
    share, doubt = max(found)
    return share * prose, (*flags, "contradictory") if doubt else flags


def _bare(text: str) -> str:
    """A text without blanks, case and what stands around it."""
    return re.sub(r"\s", "", text).casefold().strip(".\"'")


def _prose(sentences: Sequence[Clause], owed: float) -> float:
    """What an answer keeps for being prose: all, unless its words stand as chance would have them, or a share far above `owed` of them in runs."""
    ordered = _part(log_odds_of(sentences), CHANCE, PROSE)
    return ordered * (1.0 - (1.0 - LEFT) * _part(_runs(sentences) - owed, LISTED, BARE))


def _runs(sentences: Sequence[Clause]) -> float:
    """Share of the words that stand in runs of three and more bare items."""
    return sum(enumerated(s)[0] for s in sentences) / max(1, sum(len(s.tokens) for s in sentences))


def _orders(text: str) -> set[str]:
    """The growths that a text names: what stands in O(...), without blanks and signs of multiplication."""
    return {re.sub(r"[\s*·×]", "", m[1]).casefold() for m in _ORDER.finditer(text)}


def _about(clauses: Sequence[Clause], open_: list[int], subject: Sequence[str]) -> list[int]:
    """Of the `open_` clauses those whose sentences are about the subject; all of them where none is."""
    whole = [i for i in open_ if clauses[i].whole]
    if not whole:
        return open_
    near = (encoder().encode([clauses[i].text for i in whole]) @ encoder().encode(list(subject)).T).max(axis=1)
    kept = {clauses[i].sentence for i, cosine in zip(whole, near, strict=True) if cosine >= ABOUT}
    return [i for i in open_ if clauses[i].sentence in kept] or open_


def _says_no(sentence: Clause) -> bool:
    return sentence.tokens[0].text == "no"


def _denying(sentences: Sequence[Clause], agrees: bool) -> float:
    """Share of sentences that are denials. With `agrees` one that begins with "no" denies the question, as the model answer does, and is none."""
    denials = sum(denies(s.tokens, s.text) and not (agrees and _says_no(s)) for s in sentences)
    return denials / len(sentences) if sentences else 0.0


def _words(clauses: Sequence[Clause], factors: NDArray[np.float32]) -> _Words:
    whole = [(clause, factor) for clause, factor in zip(clauses, factors, strict=True) if clause.whole]
    vectors = word_vectors(encoder(), [c.text for c, _ in whole], [c.tokens for c, _ in whole])
    rows = [row for (clause, _), table in zip(whole, vectors, strict=True) for token, row in zip(clause.tokens, table, strict=True) if token.content]
    return _Words(tuple(t.stem for c, factor in whole if factor == 1.0 for t in c.tokens),
                  np.stack(rows) if rows else np.zeros((0, WIDTH), np.float32),
                  np.array([factor for clause, factor in whole for token in clause.tokens if token.content], np.float32))


def _absence(tokens: Sequence[Token]) -> bool:
    return any(t.text in ABSENCE for t in tokens)


def _kept(denial: Clause, reference: _Reference) -> float:
    """What an answer of one sentence keeps that is a denial: all of it where the statement nearest to it says what isn't, or the sentence denies such a word
    ("not separated"), and most of it where it denies something of which the model answer doesn't speak."""
    denied = [t for t, no in zip(denial.tokens, refused(denial.tokens, denial.text), strict=True) if no and t.content]
    nearest = int((reference.embeddings @ encoder().encode([denial.text])[0]).argmax())
    if reference.absence[nearest] or _absence([t for t in denied if t.text not in NEGATORS]):
        return 1.0
    return KEPT if reference.stems.intersection(t.stem for t in denied[:2]) else OTHER


def _share(reference: _Reference, clauses: Sequence[Clause], factors: NDArray[np.float32], told: _Words, near: NDArray[np.float32],
           asked: float) -> tuple[float, bool]:
    """(share of full marks, whether the answer turns the model answer round)."""
    cosine = encoder().encode([c.text for c in clauses]) @ reference.embeddings.T
    lex = lexical(clauses, reference.statements)
    z = plain(cosine, lex)
    best = (z - 9.0 * (1.0 - factors[:, None])).argmax(axis=0)
    credit, weights, soft, matches = [], [], [], []
    said, named = frozenset(told.stems), dict[str, float]()
    for j, (statement, vectors) in enumerate(zip(reference.statements, reference.vectors, strict=True)):
        i = int(best[j])
        words = soft_recall(statement.tokens, vectors, statement.weights, told.vectors, told.factors)
        order = order_recall([t.stem for t in statement.tokens], told.stems)
        logit = W_WORDS * (words - WORDS_0) + W_ORDER * (order - ORDER_0) + SHIFT
        share = float(factors[i]) / (1.0 + math.exp(-logit))
        against = opposition(clauses[i], z[i, j : j + 1], [statement]) if lex[i, j] >= CLOSE else Opposition(0.0)
        denied = against.strength >= DENIED
        wanted, written = _orders(statement.text), _orders(clauses[i].text)
        agrees = OTHER_ORDER if wanted and written and not wanted & written else 1.0
        matches.append(Match(share * agrees, clauses[i], denial=clauses[i] if denied else None, votes=pole_votes(clauses[i].tokens, [statement.tokens])))
        if denied:
            agrees *= 1.0 - against.strength
        credit.append(share * agrees)
        weights.append(sum(statement.weights.values()) + 0.1)
        soft.append(words)
        for stem in said.intersection(statement.weights):
            named[stem] = max(named.get(stem, 0.0), agrees)
    whole = coherence(matches, *TURNED)
    reached = max(float(near @ reference.whole), asked) + float(np.average(soft, weights=weights))
    order_of = np.argsort(-np.array(credit))
    fade = FADE ** np.arange(len(credit)) * np.array(weights)[order_of]
    met = float(np.average(np.array(credit)[order_of], weights=fade))
    of_words = _part(sum(reference.weights[stem] * kept for stem, kept in named.items()), FEW, ENOUGH) ** 0.5
    found = 1.0 - (1.0 - MET * met) * (1.0 - NAMED * of_words)
    return float(found**MILD) * _part(reached, FAR, NEAR) * whole.factor, bool(whole.why)


def _part(value: float, none: float, all_: float) -> float:
    """How far `value` has come from where nothing counts to where all does, 0 to 1."""
    return min(1.0, max(0.0, (value - none) / (all_ - none)))
