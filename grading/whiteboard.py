"""Marks for a whiteboard: checks on the graph that was drawn, on the graph that a text alternative spells out, and on prose.

A check is met by whichever shows it. Drawings are matched by structure: the box by its text, the arrow by its ends and its direction. Prose is
matched by the default scorer, with the check's words as a claim, and has to name both ends itself, in the arrow's direction and not in a list.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import pairwise

from grading.certainty import DOUBTFUL, DRAWN, common_error, confidence, doubtful, level_set, total_law
from grading.encoder import Encoder, encoder
from grading.evidence import form_stems, has_form
from grading.gates import is_injection
from grading.lexicon import AUXILIARIES, DETERMINERS, NEGATORS, poles, stem
from grading.polarity import refused
from grading.result import Answer, ClaimMark, CriterionScore, Evidence, Question, Score, State, asserted
from grading.rubric import Check, Criterion, Rubric
from grading.scene import Edge, Graph, Node, SceneError, parse_scene, parse_text, rejected
from grading.text import Clause, Token, read, tokenise

MEANS = 0.78  # cosine from which a short label means what a name of the rubric says
MAX_ROLES = 3  # a box that answers to more names than this is a list of words and stands for nothing
MAX_WORDS = 25  # of a box's text
TANGLE, MIN_PAIRS = 0.6, 6  # share of the joined pairs of things that are joined both ways from which arrows say nothing, and of how many pairs
WAYS = 3  # arrows that are asked for in one direction and may be drawn both ways, as a request and its reply
MESH = 4  # nor do they where each of some things is joined to at least this many others of them; in a drawing that was thought over it is 2
MAX_SAID = 4  # a sentence that holds more names than this is a list
NOTES = 40  # words in a sentence from which its lines may be statements of their own
MAX_PASSAGE = 150  # words of a passage, and lines of a sentence, that are read
_LISTING = DETERMINERS | {"and", "or", "plus"}  # between two names these say nothing of how they belong together
_BACK = frozenset(["it", "they", "its", "their", "this", "that", "these", "those", "which"])  # a sentence that begins so goes on about an earlier one
_ORDER = frozenset(["after", "behind", "before", "from"])
_TAKES = frozenset(stem(word) for word in ["takes", "took", "receives", "gets", "pulls", "pops", "polls", "drains", "reads", "fetches", "consumes", "accepts",
                                           "draws", "picks", "dequeues"])  # with these the arrow may run to what is named first
Span = tuple[int, int]
Default = Callable[[Rubric, Answer, Question | None], Score]


@cache
def _words(text: str) -> tuple[tuple[str, ...], str, frozenset[str]]:
    tokens = tokenise(text)
    return tuple(stem(t.text) for t in tokens), "".join(text.lower().split()), frozenset(t.text for t in tokens)


def _opposed(a: frozenset[str], b: frozenset[str]) -> bool:
    """Whether two labels stand on the two sides of one opposition, such as prefill and decode."""
    return any((axis, -pole) in poles(other) for word in a - b for axis, pole in poles(word) for other in b - a)


def _swapped(a: Sequence[str], b: Sequence[str]) -> bool:
    """Whether two labels differ in one word alone: an L1 cache is no L2 cache, a request queue no response queue."""
    return len(set(a) - set(b)) == len(set(b) - set(a)) == 1 and bool(set(a) & set(b))


def means(text: str, forms: Sequence[str], model: Encoder | None = None) -> bool:
    """Whether a label is one of these names: it holds the words of one, or (with an encoder) says the same. A denied name is none."""
    stems, squeezed, words = _words(text)
    if not stems or (words & NEGATORS and not any(_words(form)[2] & NEGATORS for form in forms)):
        return False
    if any(has_form(stems, squeezed, form_stems(form)) for form in forms):
        return True
    if model is None or len(stems) > 8:
        return False
    rows = model.encode([text, *forms])
    return any(cos >= MEANS and not _opposed(words, _words(form)[2]) and not _swapped(stems, _words(form)[0])
               for cos, form in zip(rows[1:] @ rows[0], forms, strict=True))


@dataclass(frozen=True, slots=True)
class Drawing:
    """A graph with what each of the rubric's names stands for in it."""

    graph: Graph
    channel: str
    model: Encoder
    voided: frozenset[str] = frozenset()  # boxes that stand for nothing
    tangled: bool = False
    hedged: frozenset[Check] = frozenset()  # whose arrows say nothing, as they are drawn both ways
    _found: dict[tuple[str, ...], frozenset[str]] = field(default_factory=dict, compare=False, repr=False)

    def nodes(self, forms: Sequence[str]) -> list[Node]:
        return [n for n in self.graph.nodes if n.id not in self.voided and means(n.text, forms, self.model)]

    def ids(self, forms: tuple[str, ...]) -> frozenset[str]:
        """The boxes of a name, with all that lies inside them: an arrow from a cell of a table is an arrow from the table."""
        if forms not in self._found:
            own = {n.id for n in self.nodes(forms)}
            self._found[forms] = frozenset(own | {n.id for n in self.graph.nodes if own & set(self.graph.inside(n.id))})
        return self._found[forms]

    def evidence(self, *parts: Node | Edge) -> tuple[Evidence, ...]:
        if self.channel == "text":
            return tuple(Evidence("text", *part.span, "") for part in parts if part.span)
        return tuple(Evidence("scene", 0, 0, self.say(part)) for part in parts)

    def say(self, part: Node | Edge) -> str:
        if isinstance(part, Node):
            return part.text
        a, b = (self.graph.node(id).text or "(no name)" for id in (part.source, part.target))
        return f"{a} {'→' if part.directed else '—'} {b}" + (f": {part.label}" if part.label else "")


def drawing(graph: Graph, channel: str, checks: Sequence[Check], model: Encoder) -> tuple[Drawing, set[str]]:
    """A drawing made ready for checks, and flags: injection, wordlist, tangle."""
    flags, voided = set[str](), set[str]()
    names = _roles(part for check in checks for part in check.parts)
    for node in graph.nodes:
        if is_injection(node.text):
            flags.add("injection")
            voided.add(node.id)
        elif len(node.text.split()) > MAX_WORDS or sum(means(node.text, forms) for forms in names) > MAX_ROLES:
            flags.add("wordlist")
            voided.add(node.id)
    flags |= {"injection"} if any(is_injection(edge.label) for edge in graph.edges) else set()
    graph = replace(graph, edges=tuple(edge for edge in graph.edges if not rejected(edge.label)))
    tangled = _tangled(graph, {part for check in checks for part in check.parts})
    return Drawing(graph, channel, model, frozenset(voided), tangled), flags | ({"tangle"} if tangled else set())


def _tangled(graph: Graph, parts: Iterable[Sequence[str]]) -> bool:
    """Whether most of the rubric's things that are joined are joined both ways, or some are each joined to MESH others of them, whichever way.

    Boxes that answer to the same names are one thing, so that eight cards in a mesh are no tangle and a name drawn eight times doesn't hide one. Boxes
    without a name of the rubric are left out, and things with fewer neighbours are taken away until none is left: a long tail makes no tangle thinner.
    """
    names = list(parts)
    thing = {node.id: frozenset(i for i, forms in enumerate(names) if means(node.text, forms)) for node in graph.nodes}
    near: dict[frozenset[int], set[frozenset[int]]] = {}
    ways = set[tuple[frozenset[int], frozenset[int]]]()
    for edge in graph.edges:
        a, b = thing[edge.source], thing[edge.target]
        if a and b and a != b:
            near.setdefault(a, set()).add(b)
            near.setdefault(b, set()).add(a)
            ways |= {(a, b)} if edge.directed else set()
    pairs, both = sum(map(len, near.values())) / 2, sum((b, a) in ways for a, b in ways) / 2
    if pairs >= MIN_PAIRS and both >= TANGLE * pairs:
        return True
    while few := [a for a, others in near.items() if len(others) < MESH]:
        for a in few:
            for other in near.pop(a):
                near.get(other, set()).discard(a)
    return bool(near)


def _hedged(boards: Iterable[Drawing], checks: Iterable[Check]) -> frozenset[Check]:
    """The checks whose arrow is drawn the other way as well, where these are more than WAYS and more than half of those whose arrow is drawn.

    An arrow back that another check asks for is none. All boards are one drawing: who draws one direction and writes the other has chosen neither.
    """
    forward, back = set[Check](), set[Check]()
    asked = [check for check in checks if check.kind == "edge"]
    for board in boards:
        ends = [(check, board.ids(check.parts[0]), board.ids(check.parts[1])) for check in asked]
        for a, b in {(edge.source, edge.target) for edge in board.graph.edges if edge.directed}:
            there = {check for check, sources, targets in ends if a in sources and b in targets}
            forward |= there
            back |= set() if there else {check for check, sources, targets in ends if b in sources and a in targets}
    both = frozenset(forward & back)
    return both if len(both) > WAYS and len(both) > len(forward) / 2 else frozenset()


def _roles(parts: Iterable[Sequence[str]]) -> list[tuple[str, ...]]:
    """The rubric's names, those that share a form taken together: they name the same thing."""
    out: list[set[str]] = []
    for part in parts:
        mine = {form.casefold() for form in part}
        touching = [group for group in out if group & mine]
        out = [group for group in out if group not in touching] + [mine.union(*touching)]
    return [tuple(sorted(group)) for group in out]


def judge(check: Check, drawn: Drawing) -> tuple[bool, str, tuple[Evidence, ...]]:
    """(met, why, evidence) of one check on one drawing."""
    found = [drawn.ids(part) for part in check.parts]
    for part, ids in zip(check.parts, found, strict=True):
        if not ids:
            return False, f"nothing is named “{part[0]}”", ()
    if check.kind == "node":
        return True, "drawn", drawn.evidence(*drawn.nodes(check.parts[0])[:1])
    if check.kind == "inside":
        outer = {n.id for n in drawn.nodes(check.parts[1])}
        for node in drawn.nodes(check.parts[0]):
            if (held := outer & set(drawn.graph.inside(node.id))):
                return True, "drawn", drawn.evidence(node, drawn.graph.node(min(held)))
        return False, f"“{check.parts[0][0]}” does not lie inside “{check.parts[1][0]}”", drawn.evidence(*drawn.nodes(check.parts[0])[:1])
    if drawn.tangled:
        return False, "almost everything is joined to everything, which says nothing of an order", ()
    return _edge(check, drawn, *found) if check.kind == "edge" else _path(check, drawn, found)


def _edge(check: Check, drawn: Drawing, sources: Set[str], targets: Set[str]) -> tuple[bool, str, tuple[Evidence, ...]]:
    names, why, shown = (check.parts[0][0], check.parts[1][0]), "", tuple[Evidence, ...]()
    for edge in drawn.graph.edges:
        forward, back = edge.source in sources and edge.target in targets, edge.source in targets and edge.target in sources
        if not (forward or back):
            continue
        if not edge.directed:
            why, shown = "the line between them has no head", drawn.evidence(edge)
        elif not forward:
            why, shown = why or "the arrow runs the other way", shown or drawn.evidence(edge)
        elif check.label and not means(edge.label, check.label, drawn.model):
            why, shown = f"the arrow does not say “{check.label[0]}”", drawn.evidence(edge)
        elif check in drawn.hedged:
            return False, f"this and most other arrows lead both ways, not only from “{names[0]}” to “{names[1]}”", drawn.evidence(edge)
        else:
            return True, "drawn", drawn.evidence(edge)
    return False, why or f"no arrow leads from “{names[0]}” to “{names[1]}”", shown


def _path(check: Check, drawn: Drawing, found: Sequence[Set[str]]) -> tuple[bool, str, tuple[Evidence, ...]]:
    """Each box before the next along the arrows. With a way back the way there has to be the shorter one."""
    out: dict[str, list[Edge]] = {}
    for edge in drawn.graph.edges:
        if edge.directed:
            out.setdefault(edge.source, []).append(edge)
    steps: list[Edge] = []
    for i, (a, b) in enumerate(pairwise(found)):
        there, back = _shortest(a - b, b - a, out), _shortest(b - a, a - b, out)
        names = f"“{check.parts[i][0]}” to “{check.parts[i + 1][0]}”"
        if there is None:
            return False, f"the arrows lead the other way, not from {names}" if back else f"no arrows lead from {names}", drawn.evidence(*(back or ())[:2])
        if back is not None and len(back) <= len(there):
            return False, f"the arrows lead both ways, not only from {names}", drawn.evidence(*there[:1], *back[:1])
        steps += there
    return True, "drawn", drawn.evidence(*steps[:6])


def _shortest(sources: Set[str], targets: Set[str], out: Mapping[str, Sequence[Edge]]) -> list[Edge] | None:
    queue, came = deque(sources), dict.fromkeys(sources, None) | dict[str, Edge | None]()
    while queue:
        at = queue.popleft()
        if at in targets:
            path: list[Edge] = []
            while (edge := came[at]) is not None:
                path.append(edge)
                at = edge.source
            return path[::-1]
        for edge in out.get(at, ()):
            if edge.target not in came:
                came[edge.target] = edge
                queue.append(edge.target)
    return None


def _places(tokens: Sequence[Token], text: str, forms: Iterable[str]) -> list[Span]:
    """Where one of these names stands, as [first, last) of the words."""
    before, after, found = [0, *(t.end for t in tokens)], [*(t.start for t in tokens), len(text)], list[Span]()
    for form in forms:
        stems, longest = form_stems(form), max(1, len(tokenise(form)))
        for i in range(len(tokens)):
            for last in range(i + 1, min(i + longest, len(tokens)) + 1):
                around = text[before[i] : after[last]]  # with the signs beside the words, which belong to a name such as C++
                if has_form([t.stem for t in tokens[i:last]], "".join(around.lower().split()), stems):
                    found.append((i, last))
                    break
    return found


def _leads(tokens: Sequence[Token], a: Span, b: Span) -> bool:
    """Whether the words may lead from the name at `a` to the one at `b`: in their order, against it in a passive, either way where one takes from the
    other."""
    first, second = sorted((a, b))
    between = tokens[first[1] : second[0]]
    words, near = {t.text for t in between}, {t.text for t in between[-3:]}
    if near & {"after", "behind"} or ("by" in near and words & AUXILIARIES):
        return first == b
    return first == a or bool(near & {"from", "by", "when"} or _TAKES & {t.stem for t in between}) or tokens[0].text == "before"


def _joined(check: Check, tokens: Sequence[Token], text: str, a: Span, b: Span, named: set[int]) -> bool:
    """Whether two names stand in a statement that joins them, and not beside each other in a list."""
    first, second = sorted((a, b))
    if first[1] > second[0]:
        return False
    told = any(i not in named and tokens[i].text not in _LISTING for i in range(first[1], second[0]))
    told |= any(t.text in _ORDER for t in tokens[max(0, first[0] - 2) : first[0]])  # "after the model the sampler"
    if check.kind == "inside":
        return told or any(sign in text[tokens[first[1] - 1].end : tokens[second[0]].start] for sign in ":(=")
    return told and _leads(tokens, a, b)


def _asked(check: Check, clause: str, model: Encoder) -> list[tuple[str, ...]]:
    """The names that prose has to hold: all of the check's, or those of the author's own words that it repeats, which may leave out one."""
    for form in (check.text, *check.paraphrases):
        held = [part for part in check.parts if _places(tokenise(form), form, part)]
        if len(held) < len(check.parts):
            one, other = model.encode([clause, form])
            if one @ other >= MEANS:
                return held
    return list(check.parts)


def _unsaid(check: Check, clause: str, passage: str, names: Sequence[Sequence[str]], model: Encoder) -> str:
    """Why a passage whose clause comes near a check does not say it, or ""."""
    tokens, asked = tokenise(passage)[:MAX_PASSAGE], _asked(check, clause, model)
    places = [_places(tokens, passage, part) for part in asked]
    for part, found in zip(asked, places, strict=True):
        if not found:
            return f"the sentence does not name “{part[0]}”"
    if not _words(check.text)[2] & NEGATORS:
        no = refused(tokens, passage)
        places = [[(i, j) for i, j in found if not any(no[i:j])] for found in places]
        if not all(places):
            return "the sentence denies it"
    roles = [_places(tokens, passage, forms) for forms in names]
    if sum(map(bool, roles)) > MAX_SAID:
        return "a list of names says nothing of how they belong together"
    named = {k for found in roles for i, j in found for k in range(i, j)}
    for k, (left, right) in enumerate(pairwise(places)):
        if not any(_joined(check, tokens, passage, a, b, named) for a in left for b in right):
            said = f"“{asked[k][0]}” lies in “{asked[k + 1][0]}”" if check.kind == "inside" else f"it leads from “{asked[k][0]}” to “{asked[k + 1][0]}”"
            return f"the sentence does not say that {said}"
    return ""


def _passages(sentences: Sequence[Clause], at: int, raw: str) -> list[str]:
    """The sentence at a place of the answer, after the one that it goes on about if it begins with “it” or the like. Notes without full stops are
    one long sentence: there each line may say something too."""
    here = max(i for i, sentence in enumerate(sentences) if sentence.start <= at)
    about = next((i for i in range(here, -1, -1) if sentences[i].tokens[0].text not in _BACK), here)
    found, passage = sentences[here], ". ".join(sentences[i].text for i in sorted({about, here}))
    lines = [line for line in raw[found.start : found.end].splitlines() if line.strip()][:MAX_PASSAGE]
    return [passage, *lines] if len(lines) > 1 and len(found.tokens) >= NOTES else [passage]


def _prose(criterion: Criterion, said: CriterionScore, names: Sequence[Sequence[str]], sentences: Sequence[Clause], raw: str, model: Encoder) -> CriterionScore:
    """What the default scorer said of a criterion's checks as claims, without those that no sentence says."""
    checks, marks = {check.id: check for check in criterion.diagram}, list[ClaimMark]()
    for mark in said.marks:
        if mark.kind == "claim" and mark.met:
            clause = mark.evidence[0]
            against = [_unsaid(checks[mark.id], clause.text, passage, names, model) for passage in _passages(sentences, clause.start, raw)]
            mark = replace(mark, met=False, score=0.0, why=against[0]) if all(against) else mark
        marks.append(mark)
    return replace(said, marks=tuple(marks))


def score(rubric: Rubric, answer: Answer, question: Question | None, default: Default) -> Score:
    """Mark an answer whose rubric has diagram criteria. `default` marks prose: it gets the rubric with every check as a claim.

    A scene that can't be read earns nothing, says why and goes to a person; what the text says is marked all the same.
    """
    model, checks = encoder(), [check for c in rubric.criteria for check in c.diagram]
    lines, prose = parse_text(answer.text)
    trouble, boards, flags = "", list[Drawing](), {"retraction"} if lines.withdrawn else set[str]()
    try:
        graphs = [(parse_scene(answer.scene), "scene"), (lines, "text")]
    except SceneError as error:
        trouble, graphs = f"The drawing can't be read ({error}); the text was marked without it.", [(lines, "text")]
        flags.add("scene")
    for graph, channel in graphs:
        if graph.nodes:
            board, found = drawing(graph, channel, checks, model)
            boards.append(board)
            flags |= found
    if (hedged := _hedged(boards, checks)):
        boards = [replace(board, hedged=hedged) for board in boards]
        flags.add("tangle")
    plain = replace(rubric, criteria=tuple(replace(c, claims=tuple(k.claim for k in c.diagram), diagram=()) if c.diagram else c for c in rubric.criteria))
    said = default(plain, replace(answer, text=prose), question)
    if said.state == "not_scored":
        return said
    names, sentences = _roles(part for check in checks for part in check.parts), read(prose).sentences
    criteria = tuple(_merge(c, _prose(c, shown, names, sentences, prose, model), boards, answer) if c.diagram else shown
                     for c, shown in zip(rubric.criteria, said.criteria, strict=True))
    return _total(rubric, plain, said, criteria, flags, trouble)


def _merge(criterion: Criterion, said: CriterionScore, boards: Sequence[Drawing], answer: Answer) -> CriterionScore:
    marks, missed, evidence = list[ClaimMark](), list[str](), list[Evidence]()
    by_id = {mark.id: mark for mark in said.marks if mark.kind == "claim"}
    for check in criterion.diagram:
        stated = by_id[check.id]
        shown = [judge(check, board) for board in boards]
        met, why, spans = next((s for s in shown if s[0]), shown[0] if shown else (False, "", ()))
        spans = tuple(s._replace(text=answer.text[s.start : s.end]) if s.channel == "text" else s for s in spans)
        if met:
            mark = ClaimMark(check.id, "check", True, 1.0, stated.cut, why, spans)
        elif stated.met:
            mark = replace(stated, kind="check")
        else:
            mark = replace(stated, kind="check", why=why or stated.why, evidence=spans)
        marks.append(mark)
        if mark.met:
            evidence += mark.evidence
        else:
            missed.append(f"{check.text} — {mark.why}." if mark.why else check.text)
    met_count = sum(mark.met for mark in marks)
    wrong = [mark for mark in said.marks if mark.kind == "misconception"]
    deduct = criterion.deduction(asserted(wrong))
    feedback = [m.feedback or f"Wrong: {m.text}" for m in criterion.misconceptions if m.id in asserted(wrong)]
    points = criterion.points_for(met_count, deduct)
    reason = f"{met_count} of {len(marks)} things shown" + (f"; {deduct:g} off for a wrong statement" if deduct else "") + "."
    marks += wrong
    return CriterionScore(criterion.id, criterion.title, points, criterion.points, tuple(dict.fromkeys(evidence)), reason, (*missed, *feedback),
                          1.0 if answer.blank else confidence(criterion, points, marks, common=DRAWN), tuple(marks))


def _total(rubric: Rubric, plain: Rubric, said: Score, criteria: tuple[CriterionScore, ...], flags: set[str], trouble: str) -> Score:
    points = {c.id: c.points for c in criteria}
    law = total_law(plain, criteria, common=common_error(rubric))
    levels = level_set(plain, criteria, law)
    certain = said.reason.startswith(DOUBTFUL)  # the default scorer's doubt was about prose alone; the levels are weighed again here
    state: State
    state, reason = (said.state, said.reason) if said.state == "review" and not certain else ("scored", "")
    if "injection" in flags:
        state, reason = "review", "part of the answer speaks to the grader; it earned nothing"
    elif trouble:
        state, reason = "review", trouble
    elif "retraction" in flags:
        state, reason = "review", "The answer takes back what stands before or after it; a person has to read it."
    elif state == "scored" and len(levels) > 1:
        state, reason = "review", doubtful(levels)
    level = rubric.level(points) if rubric.bands else ""
    return replace(said, total=sum(points.values()), level=level, level_set=levels, state=state, criteria=criteria, reason=reason, law=law,
                   flags=tuple(dict.fromkeys((*said.flags, *sorted(flags)))))
