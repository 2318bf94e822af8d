"""What earns nothing whatever it contains: word lists, shuffled words, the question said back, repeats, mashed keys, orders to the grader.

Each gate looks at one sentence and says why it closed. None looks at length.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass
from itertools import pairwise

from grading.lexicon import (
    AUXILIARIES,
    BELIEVED,
    CONJUNCTIONS,
    DETERMINERS,
    IN_FACT,
    IS_UNTRUE,
    LEFT_OPEN,
    MODALS,
    OR_UNTRUE,
    OTHERWISE,
    PREPOSITIONS,
    PRONOUNS,
    QUOTE_REJECTED,
    REJECTED,
    REJECTION,
    UNKNOWN,
    UNTRUE,
)
from grading.text import Clause, Document, Token

_WHO = r"(?:grader|grading (?:model|system)|marker|examiner|assessor|evaluator|reviewer|ai|llm|language model|judge)"
_MARKERS = r"(?:graders?|markers?|examiners?|assessors?|evaluators?)"
_BEGINS = r"(?:^|[.!?\n\]>])\W{0,8}"
# Where an order stands: at the start of a sentence, a comment or a tag, after a comma or colon, or behind "please", "you must", "the grader should".
_ORDER = (r"(?:(?:^|[.!?,;:\n\]>])\W{0,8}|\b(?:please|kindly|now|so|and now|then)\W+|\b(?:make sure|remember|it is time) to\W+"
          rf"|\byou\s+(?:must|should|shall|will|can|may|need to|have to|are to|to)\W+|\b{_MARKERS}\s+(?:must|should|shall|(?:need|have|are|needs|has|is) to)\W+)"
          r"(?:please\W+|just\W+|simply\W+|always\W+|to\W+)?")
_IGNORE = r"(?:ignore|disregard|forget|override|bypass)"
_GIVE = r"(?:award|grant|assign|give)"
_RETURN = r"(?:output|return|set|mark|grade|score|rate|respond|reply|evaluate)"
_WORK = r"(?:(?:this|my)(?: [\w-]+){0,2} (?:answers?|response|submission))"
_TOP = r"(?:full|maximum|max|perfect|highest|top)"
_OF_MY = r"(?:\s+(?:of|the|my|possible|available)){0,3}"
_OF_IT = r"(?!\s+(?:of|on|in|at)\b(?! (?:the|this|my|each|every|all) (?:rubric|question|answer|criteri)))"  # "all points of the curve" are no marks
_FULL = (rf"(?:{_TOP}{_OF_MY}\s+(?:marks?|grades?)|best{_OF_MY}\s+grades?|100\s?%\s+(?:marks?|credits?|scores?)|28\s+(?:points|marks){_OF_IT}"
         r"|(?:10/10|28/28|28 (?:out )?of 28)(?!\s+(?:runs|tests|cases|trials|prompts|requests|samples|cards|times)\b))\b")
_GRADED = rf"(?:{_TOP}|all|best){_OF_MY}\s+(?:marks?|grades?|credits?|scores?|points?|rating)\b"
_CLAIMS = r"(?:criteri(?:on|a)|claims?)"
_MET = r"(?:fully )?(?:met|satisfied|fulfilled)\b"
_IF = r"\b(?:only|unless|until|once|when|(?<!even )if)\b"
# What stands between the order to ignore and what is to be ignored ("all of the previous"), and what of it is a thing of this field.
_SUCH = (r"(?:(?:all|any|every|each|of|the|these|those|this|your|my|other|previous|prior|above|earlier|preceding|existing|original|initial|given|system"
         r"|official)\s+){0,6}")
_PART = r"(?!['’]s\b|\s+(?:tokens?|blocks?|turns?|cache|caching|templates?|lengths?|kv|keys?|hash\w*|(?:of|in|inside|within|on)\b))"
_RUBRIC = r"(?:(?:marking|grading|scoring|evaluation)\s+)?(?:rubrics?|criteri(?:a|on)|guidelines?|grading|marking|graders?|mark(?:ing)? schemes?)\b" + _PART
_TOLD = rf"(?:instructions?|directions?|prompts?|rules)\b{_PART}"
_ALL = r"(?:what(?:ever)?|everything|anything|all)\b"
# A role at the head of a message.
_ROLE = (r"(?:(?:^|[.!?,;\n\]>])\W{0,8}(?:system|developer|assistant)\s*(?:prompt|message|note)?\s*:\s|\[/?(?:inst|system)\]"
         r"|<\|?(?:im_start|im_end|system|endoftext)\b\W{0,3})")
_ORDERS = "|".join([
    rf"{_IGNORE}\s+{_SUCH}{_RUBRIC}",
    rf"{_IGNORE}\s+(?=(?:\w+\s+){{0,5}}(?:previous|prior|above|earlier|preceding|your|all|any|these|those)\s){_SUCH}(?:\w+\s+)?{_TOLD}",
    rf"{_IGNORE}\s+the (?:\w+ )?instructions?\b(?=\W*$|\W+(?:and|above|you|given|that you)\b)",
    rf"{_IGNORE}\s+{_ALL}.{{0,30}}\b(?:(?:the|your) (?:instructions?\b{_PART}|{_RUBRIC})|your (?:\w+ )?{_TOLD})",
    rf"{_IGNORE}\s+{_ALL}\s+(?:that\s+)?you\s+(?:were|are|have been)\s+(?:told|asked|instructed)",
    rf"(?:do(?:n['’]t| not)|never) (?:follow|use|apply)\s+{_SUCH}{_RUBRIC}",
    rf"{_GIVE}\b.{{0,50}}\b(?:{_FULL}|all{_OF_MY}\s+marks\b)",
    rf"{_RETURN}\b.{{0,50}}\b{_FULL}",
    rf"{_GIVE}\s+us\b.{{0,30}}\b(?:{_FULL}|{_GRADED})",
    rf"(?:{_GIVE}|{_RETURN})\s+(?:{_WORK}|(?:the|this|that) candidate)\W+(?:(?:as|a|an|at|with|the|to|be|fully|completely|score|grade|mark|level|of|is) )*"
    rf"(?:correct|{_TOP}|pass(?:ed)?|L[567]|excellent|10|28|100|\d+ (?:points|marks|out of))\b(?! priority)(?!.{{0,40}}{_IF})",
    rf"as\s+(?:the\s+|an?\s+)?(?:grader|marker|examiner|assessor|evaluator)\W+(?:you|your|please|kindly|accept|{_GIVE}|{_IGNORE})\b",
    rf"(?:mark|consider|count|treat)\W+(?:everything|(?:it )?all|all of (?:it|this|these|them)|each (?:item|point|part|one)|(?:all|every|each) (?:of )?"
    rf"(?:the |my )?(?:rubric |grading )?(?:{_CLAIMS}|rubric items?)(?: (?:of|in) the rubric)?) (?:as |is |are |to be )?(?:{_MET}|stated|passed|true\b|correct\b)"
    rf"(?!.{{0,40}}{_IF})"])
_OPENINGS = "|".join([
    r"(?:please )?(?:mark|grade|score|rate) the (?:\w+ )?(?:answer|submission) (?:(?:as|at|with|fully|completely) )*(?:correct|perfect|full|excellent|L[567])\W*$",
    rf"attention\W+(?:the\s+|an?\s+)?(?:{_MARKERS}|grading)\b",
    r"(?<![\"“'‘])(?:(?:and|from now on|now)\W+)?you are (?:now |an? )?(?:a |an )?(?:helpful|ai|language model|assistant|grader|grading)"])  # quoted, it is a prompt
_BEHIND_ROLE = "|".join([
    rf"you are (?:now )?(?:a |an |the )?(?:\w+ )?{_MARKERS}\b",
    rf"{_MARKERS} (?:must|should|shall|will|has to|is to) (?:{_GIVE}|{_RETURN}|ignore|accept|pass)\b",
    rf"{_IGNORE}\s+{_SUCH}(?:{_RUBRIC}|(?:instructions?|scores?|grades?|verdict)\b{_PART})",
    rf"{_FULL}|(?:{_GIVE}|{_RETURN}|accept|pass)\b.{{0,30}}\b(?:{_WORK}|this candidate)\b",
    r"(?:scores?|grades?|verdict|marks|level)\s*(?:is|=|:|to|of|at)?\s*(?:28\b|10/10|100\s?%|L[567]\b|(?:the )?(?:maximum|highest|full|perfect)\W*$)"])
_OF_THIS = "|".join([
    rf"(?:\w+ly )?(?:meets|satisfies|fulfill?s|covers)\b(?:(?!{_IF}).){{0,40}}"
    r"\b(?:criteri(?:on|a)|rubric|claims?|marks?|(?<!data )points?)\b(?!\s+(?:of|in) (?:the|its|our) (?:schema|grammar|regex|json|slo))",
    r"(?:\w+ly )?deserves\b.{0,40}\b(?:correct|perfect|full|maximum|marks?|points?|credits?|L[567])\b",
    rf"should (?:get|receive|earn|be (?:given|awarded|graded|scored|marked|rated))\b.{{0,40}}\b(?:{_GRADED}|marks|credit|correct|perfect|L[567]|28)\b(?!.{{0,40}}{_IF})",
    r"is (?:(?:fully|completely|entirely|absolutely|totally|perfectly|100\s?%) (?:correct|complete)|(?:\w+ )?perfect)\W*$",
    r"is (?:\w+ ){0,2}(?:correct|perfect|complete)\b(?: and\b.{0,40}\b(?:rubric|criteri(?:a|on)|claims?|marks|points|deserves|perfect)\b"
    r"| in (?:every|all) (?:points?|respects?|ways?|regards?|aspects?))"])
# Words of this field (a system prompt, an LLM as a judge, the rules of a grammar) are answers; each branch asks for something that only a grader is told.
_INJECTION = re.compile("|".join([
    rf"{_ORDER}(?:{_ORDERS})", rf"{_BEGINS}(?:{_OPENINGS})", rf"{_ROLE}.{{0,80}}\b(?:{_BEHIND_ROLE})", rf"\bthis (?:answer|submission|response) (?:{_OF_THIS})",
    rf"\b{_GIVE}\s+(?:me|{_WORK})\b.{{0,30}}\b(?:{_FULL}|{_GRADED})",
    rf"\b{_GIVE}\b.{{0,30}}\b(?:{_FULL}|{_GRADED})\s+(?:to|for) (?:me\b|{_WORK}\b)",
    r"\b(?:full|maximum|all) (?:marks|credits?|points),? please\b|\bplease\W+(?:\w+\W+){0,3}(?:full|maximum) marks\b",
    rf"\b(?:dear|note to|hey|hello)\s+(?:the\s+|an?\s+)?{_WHO}\b",
    r"\bas an? (?:ai|llm|language model),? you\b|\byou are (?:now |an? )?(?:a |an )?(?:lenient|generous)\b",
    r"\bthis candidate\b.{0,30}\b(?:L[567]|deserves|excellent)\b",
    rf"\b(?:all|every|each)\b.{{0,20}}\b{_CLAIMS} (?:of|in) the rubric (?:is|are) {_MET}",
    rf"\b(?:this answer|my|rubric|grading)\b(?:(?!{_IF}).){{0,30}}\b(?:all|every|each)\b.{{0,20}}\b{_CLAIMS} (?:is|are) {_MET}(?! by\b)"]), re.I)
# Credits, scores and points are marks where nothing is named that holds them in this field.
_CREDIT = re.compile("|".join([
    rf"{_ORDER}(?:(?:{_GIVE}|return|output|respond|reply)\b.{{0,50}}\b"
    rf"(?:(?:full|perfect){_OF_MY}\s+(?:credits?|scores?|points)|(?:maximum|max|all){_OF_MY}\s+(?:credits?|points))\b{_OF_IT}"
    r"|set (?:(?:the|my|all|your|its|final|total|overall) ){0,3}(?:scores?|marks?|grades?) (?:(?:for|of) [\w ]{1,30} )?(?:to|at|=|as) (?:the |its |a )?"
    r"(?:(?:maximum|max|highest|full|perfect)(?: (?:scores?|marks?|grades?|points|credits?|possible|available|value)){0,2}"
    r"(?:\W*$| (?:of |for )?(?:28|(?:this|my)\b))|100\s?%|28\b))",
    rf"\b(?:award|grant)\b.{{0,50}}\b{_GRADED}{_OF_IT}",
    rf"\bplease\W+(?:(?!note\b)\w+\W+){{0,3}}(?:full|maximum) (?:credits?|points)\b{_OF_IT}"]), re.I)
_HOLDERS = re.compile(
    r"\b(?:buckets?|tenants?|requests|(?:a|an|the|each|every|per|its|aborted|finished) request|senders?|receivers?|peers?|clients?|producers?|consumers?|servers?"
    r"|workers?|replicas?|routers?|schedulers?|users?|beams?|tokens?|hypothes[ei]s|blocks?|pages?|heads?|logits?|queues?|links?|flows?|quotas?|second|judges?|reward|cloud"
    r"|length|prefix(?:es)?)\b", re.I)
_QUOTED = re.compile(r"[“\"‘«][^“”\"‘«»]{1,300}[”\"’»]")
_ABOUT = re.compile(r"\b(?:injections?|inject\w*|jailbreaks?|attack\w*|adversar\w*|users?|prompts?|poison\w*)\b", re.I)
_SAID = r"(?:the above|what I (?:have )?(?:said|wrote|written|stated)|(?:this|my)(?: (?:whole|entire))? answer)"
_FALSE = r"(?:false|wrong|untrue|incorrect|not (?:true|correct|right)|a lie|nonsense|the opposite)"
_DRAWN = r"arrows?|edges?|lines?|links?|connections?"
_ABOVE = (rf"(?: (?:of|that|which|the|these|those|points?|statements?|claims?|sentences?|paragraphs?|words?|text|{_DRAWN}|stands?|is|was|are|were|written|said|stated))*"
          r" (?:above|I(?: have|'ve)? (?:just )?(?:said|wrote|written|stated|claimed)(?: (?:above|before|so far|here|earlier))?|(?:before|so far|here|earlier)"
          rf"|(?:preceding|previous|earlier|above) (?:text|sentences?|statements?|answers?|paragraphs?|claims?|{_DRAWN}))\b.{{0,15}}\b(?:is|are|was|were)\b.{{0,15}}\b")
_EACH = r"\b(?:all|everything|each|any|most|every (?:word|sentence|point|statement|claim))\b"
_NONE = r"\b(?:none|nothing)\b"
_RETRACTION = re.compile(
    _EACH + _ABOVE + _FALSE + r"|" + _NONE + _ABOVE + r"(?:true|correct|right)\b"
    r"|\b(?:opposite|contrary|reverse) (?:is|holds) (?:(?:true|right|correct|the case) )?(?:(?:in (?:every|each|all)|for all|of all)\b"
    r"|(?:everywhere|throughout)(?:\W*$| (?:(?:all|of|in|the|my|this|whole|entire) ){0,3}(?:above|answers?|text|way)\b))"
    r"|\bI(?: have|'ve)? (?:just )?(?:made|invented) (?:all|everything|it all|all of (?:this|that|it))(?: of (?:this|that|it))?(?: (?:that )?I (?:said|wrote))?(?: (?:above|here))?(?: up)?\W*$"
    r"|\b(?:I )?(?:take|taking) (?:(?:everything|it all|all of (?:it|this|that)|all|my answer|what I (?:said|wrote))(?: (?:above|I (?:said|wrote)))? back|back (?:everything|all|my answer|what I))\b"
    r"|^\W*(?:please )?(?:scratch|strike|disregard|forget|ignore) (?:all|everything)(?: of)?(?: (?:the|this|that|it|above|before|so far|I (?:said|wrote)))*\W*$"
    r"|\bnone of (?:what I (?:have )?(?:said|wrote|written|stated)|the above|my answer)\b.{0,30}\b(?:true|correct|right|holds?)\b"
    r"|\bnone of (?:this|that|it) (?:is|was) (?:true|correct|right)\s*[.!]*$"
    r"|\b" + _SAID + r"(?: (?:above|before))? (?:is|are|was) (?:all |completely |entirely |just )*" + _FALSE +
    r"|\bopposite of (?:all|everything|" + _SAID + r")\b[^.]{0,40}\b(?:is|holds) (?:true|the case|correct)", re.I)
_BELOW = (r"(?: (?:of|that|which|the|these|those|I (?:say|write)))*"
          rf" (?:(?:following|next|coming)(?: (?:statements?|sentences?|claims?|points?|text|answer|paragraphs?|{_DRAWN}|ones?))?|(?:statements?|sentences?|claims?|points?|text|{_DRAWN}) "
          r"(?:below|that follows?|here)|(?:comes|follows|stands|is written) ?(?:next|below|here)?|below)\b.{0,12}\b(?:is|are|was|were)\b.{0,15}\b")
_AHEAD = re.compile(_EACH + _BELOW + _FALSE + r"\W*$|" + _NONE + _BELOW + r"(?:true|correct|right)\W*$"
                    rf"|\bthe following (?:is|are|(?:statements?|sentences?|{_DRAWN}) (?:is|are)|text is|answer is) (?:all |completely )?" + _FALSE + r"\W*$", re.I)
# Who says that not all, or none, of it is wrong stands by it.
_STANDS_BY = re.compile(r"(?:\b(?:not|never|none|nothing|neither|hope|hopefully|doubt|few)\b|n['’]t\b)[^,.;:]*$", re.I)
# An answer that says where something stops to hold takes nothing back. The idioms tell of no such place.
_IDIOM = re.compile(r"\b(?:in (?:short|fact|sum|summary|conclusion|truth|reality|the end|every (?:point|respect|way)|all (?:points|respects))|for (?:sure|the record)|at (?:all|the end|once)"
                    r"|on (?:reflection|second thoughts?|all counts|every point)|with (?:certainty|respect)|if I(?:['’]m| am) (?:honest|frank))\b", re.I)
_PLACE = (r"(?:at|for|in|on|with|under|without|before|after|during|within|outside"
          r"|(?:everywhere|throughout) (?!(?:(?:all|of|in|the|my|this|whole|entire) ){0,3}(?:above|answers?|text|way)\b)(?=\w))")
_SCOPED = re.compile(r"\b(?:true|correct|right|false|wrong) (?:of|about|to)\b|\b(?:if|unless|when|whenever|once|until|while|where|except|provided|assuming|as (?:long|soon) as)\b|^\W*" + _PLACE + r"\b"
                     r"|\b(?:" + _FALSE + r"|true|correct|right|holds?)\b.*\b(?:only|" + _PLACE + r")\b", re.I)
_PURELY = re.compile(REJECTION + r"\W*$", re.I)
_OTHERWISE, _OR_UNTRUE, _LEFT_OPEN, _UNKNOWN = (re.compile(pattern, re.I) for pattern in (OTHERWISE, OR_UNTRUE, LEFT_OPEN, UNKNOWN))
_CALLED = re.compile(rf"(?:\s[–—-]{{1,2}}\s*|\()(?:that['’]s |which is )?{UNTRUE}\W*$", re.I)  # "C — false.", "C (wrong)."
_REJECTED = re.compile(rf"{REJECTED}|{QUOTE_REJECTED}|\W*(?:the|that) (?:claim|idea|statement|belief|view|assumption|notion) that .*{IS_UNTRUE}\W*$"
                       rf"|.*\b(?:but|yet|although|though) (?:they|he|she|that|this|it)(?:{IS_UNTRUE}| errs?)\W*$"
                       r"|.*\b(?:is|are) an? (?:\w+ )?(?:myth|misconception|misunderstanding|fallacy)\W*$", re.I)
_BELIEVED = re.compile(BELIEVED, re.I)
_PARAGRAPH = re.compile(r"\n\s*\n")
_OPENED = re.compile(r"\W{0,8}[“«][^”»]*$")
_CLOSES = re.compile(rf"^[^“«]*[”»]\W{{0,8}}(?:that|this|it)?{IS_UNTRUE}\W*$", re.I)
_TRUE_ITEM, _FALSE_ITEM = re.compile(r"\W*t\s*:", re.I), re.compile(r"\W*f\s*:", re.I)  # "T: …", "F: …": where both stand, a list of what is true or false
_NO = re.compile(r"\W*no\s*(?:[,:–—]|\W*$)", re.I)
_INSTEAD = re.compile(rf"\W*(?:but|yet|{IN_FACT})\b", re.I)
_SEPARATOR = re.compile(r"[,;/]")
ENDING = 120  # characters in which a sentence says at its end that it is not so
BARE = 2  # words of an item that says nothing of itself
MOSTLY = 0.4  # share of a sentence in such items from which it is a list with a frame around it
STRANGE = 0.6  # share of words of four letters and more that English doesn't have as they stand
FRAMED = 6  # sentences of one frame with other words in it ("the _ has the _ of the _"); careful answers have up to 3
NAMED = 48  # words in such sentences from which an answer lists instead of answering; careful answers of 650 words have up to 22
SAME = 3  # such sentences that begin alike from which they are one list; careful answers have one at most
NOTE = 9  # words of a note
_WORDLIKE = re.compile(r"[^\W\d_]{2,}")


@dataclass(frozen=True, slots=True)
class Gate:
    """`factor` in 0..1 multiplies what the sentence can earn; `why` is empty when the gate is open."""

    factor: float
    why: str = ""


OPEN = Gate(1.0)
LISTS = WORDS, PHRASES = "a list of words, not a statement", "a list of phrases, not statements"


def is_injection(text: str) -> bool:
    """Whether a text speaks to the grader instead of answering. What it quotes from a prompt or an attack that it tells of is no word of its own."""
    told = _QUOTED.sub(" ", text)
    said = told if _ABOUT.search(told) else text
    return bool(_INJECTION.search(said) or (_CREDIT.search(said) and not _HOLDERS.search(said)))


def is_retraction(text: str) -> bool:
    """Whether a sentence takes back what stands before it ("all of the above is false"). One that says where that doesn't hold takes nothing back."""
    return _calls_false(_RETRACTION, text)


def is_disclaimer(text: str) -> bool:
    """Whether a sentence says that what comes after it is false."""
    return _calls_false(_AHEAD, text)


def _calls_false(pattern: re.Pattern[str], text: str) -> bool:
    found = any(not _STANDS_BY.search(text, max(0, m.start() - 40), m.start()) for m in pattern.finditer(text))
    return found and not _SCOPED.search(_IDIOM.sub("", text))


def taken_back(document: Document) -> tuple[list[str], bool]:
    """(for each sentence why the answer doesn't say what it says, or "", whether all that stands before or after some sentence is taken back).

    What is rejected, quoted as a mistake or said beside its opposite is no statement: it counts neither for the answer nor against it."""
    sentences = document.sentences
    out, whole = [_unsaid(s.text) for s in sentences], False
    if any(_TRUE_ITEM.match(s.text) for s in sentences):
        out = [why or ("told as a mistake" if _FALSE_ITEM.match(s.text) else "") for s, why in zip(sentences, out, strict=True)]
    last, called = 0, 0  # the last sentence that says something; up to where sentences are called false
    for i, sentence in enumerate(sentences):
        if i and _PURELY.match(sentence.text) and not (  # "That is not true." speaks of the last sentence that says something
                len(sentence.tokens) == 1 and _PARAGRAPH.search(document.raw, sentences[i - 1].end, sentence.start)):  # "Wrong." is a heading there
            out[last], out[i] = out[last] or "taken back by the next sentence", "only says that another sentence is wrong"
            continue
        last = i
        if _CLOSES.search(sentence.text):  # a quotation of several sentences
            opened = next((k for k in range(i - 1, max(-1, i - 5), -1) if _OPENED.match(sentences[k].text)), i)
            out[opened : i + 1] = [why or "told as a mistake" for why in out[opened : i + 1]]
        elif i and sentences[i - 1].text.endswith("?") and _NO.match(sentence.text):
            out[i - 1] = out[i - 1] or "a question that the next sentence answers with no"
        elif i and _INSTEAD.match(sentence.text) and _BELIEVED.match(sentences[i - 1].text):
            out[i - 1] = out[i - 1] or "told as what others believe"
        elif is_disclaimer(sentence.text):
            end = next((k for k in range(i + 1, len(sentences)) if not sentences[k].bullet), len(sentences))
            ends = not sentence.bullet and i + 1 < end < len(sentences)  # it speaks of the bullets below it, and more stands below them
            stop = end if ends else len(sentences)
            for k in range(max(i + 1, called), stop):
                out[k] = out[k] or "called false before it"
            called = max(called, stop)
            whole |= not ends and i + 1 < len(sentences)
        if is_retraction(sentence.text):
            out[: i + 1] = ["taken back later in the answer"] * (i + 1)
            whole = True
    return out, whole


def _unsaid(text: str) -> str:
    """Why a sentence doesn't say what its words say, as far as it tells itself."""
    end = text[-ENDING:]
    if _OTHERWISE.search(end) or (_OR_UNTRUE.search(end) and _LEFT_OPEN.search(text)):
        return "says it and its opposite"
    if _UNKNOWN.match(text):
        return "leaves open whether it is so"
    return "told as a mistake" if _REJECTED.match(text) or _CALLED.search(end) else ""


def order_faults(tokens: Sequence[Token], text: str) -> tuple[int, int]:
    """(impossible pairs, pairs judged) over the closed-class words of a sentence; `text` tells names (event A, the IS) from words.

    English seldom lets a determiner stand before a preposition, an auxiliary before a pronoun's object, and so on. Shuffled words
    break such pairs about every second time; prose, even hurried or second-language prose, hardly ever.
    """
    faults = judged = 0
    shout = text.isupper()
    words = [token.text if shout or not _is_name(text[token.start : token.end], i) else "\0" for i, token in enumerate(tokens)]
    for a, b in zip(words, [*words[1:], ""], strict=True):
        if (a, b) in _SLIPS:
            continue
        if a in ("the", "a", "an", "its", "their", "every", "my", "our", "your"):
            judged += 1
            faults += b == "" or b in AUXILIARIES or b in CONJUNCTIONS or b in PRONOUNS - {"one"} or b in ("the", "a", "an", "its", "this", "to", "of",
                                                                                     "that", "than", "by", "in", "on", "at", "for", "from", "with", "not", "because", "if", "when")
        elif a in ("of", "from", "with", "into", "between", "at", "for", "by", "to", "in", "on"):
            judged += 1
            faults += b in ("", "of", "is", "are", "was", "were", "and", "or", "can", "will", "has", "does", "would", "may", "then") or (
                b in AUXILIARIES and a != "to") or (b in PREPOSITIONS and (a, b) not in _PAIRS and a not in ("from", "in", "on", "to", "by"))
        elif a in MODALS:
            judged += 1
            faults += b in DETERMINERS - {"no", "not", "both", "all", "this", "that", "the", "a", "each", "any", "these", "those", "an", "some", "every", "its", "their"} \
                or b in PREPOSITIONS - {"as", "like", "over", "in"} or (b in MODALS and b != "do") or b in ("is", "are", "was", "were", "and", "or")
        elif a in ("is", "are", "was", "were", "be", "been"):
            judged += 1
            faults += b in ("is", "are", "was", "were", "has", "have", "does", "do", "can", "will", "of", "and")
        elif a in ("and", "or", "but", "because", "if", "than", "that", "which"):
            judged += 1
            faults += b in ("", "of", "and", "or", "than") or (a not in ("that", "which") and b in ("is", "are", "was", "were")) or (
                a == "than" and b in AUXILIARIES)
        elif a in ("it", "they", "we"):
            judged += 1
            faults += b in DETERMINERS - {"all", "both", "each", "no", "neither", "either", "this", "that"} or b in ("of", "it", "they", "we")
    return faults, judged


def _is_name(word: str, place: int) -> bool:
    """Capitals that name something: a single letter (but "A" at the start and "I"), or a word of capitals."""
    return word.isupper() and word != "I" and (len(word) > 1 or place > 0 or word != "A")


_SLIPS = frozenset({("its", "a"), ("its", "the"), ("its", "an"), ("its", "not")})  # for "it's"
_PAIRS = frozenset({("of", "between"), ("into", "between"), ("for", "about"), ("at", "about"), ("for", "as"), ("with", "like"), ("of", "over"),
                    ("of", "about"), ("of", "under"), ("for", "over"), ("with", "about"), ("for", "up"), ("at", "above"), ("at", "below"), ("with", "over"),
                    ("of", "like"), ("for", "within"), ("for", "under"), ("with", "up"), ("between", "about"), ("of", "within"), ("of", "inside")})


def _verb_like(token: Token) -> bool:
    word = token.text
    return word in AUXILIARIES or word in MODALS or (token.content and len(word) > 3 and word.endswith(("s", "ed", "es", "en")) and not word.endswith("ss")) \
        or word in _VERBS


_VERBS = frozenset(["keep", "make", "take", "give", "get", "let", "run", "use", "need", "go", "come", "hold", "mean", "show", "say", "see", "send", "set", "put", "read", "write", "fill", "grow", "fall", "rise", "add", "cut", "hit", "cost", "lose", "lead", "leave", "cause", "help", "stop", "start", "wait", "pay", "move", "reduce", "increase", "allow", "require", "scale", "depend", "produce", "compute", "share", "accept", "reject", "sample", "verify", "become", "stay", "save", "bound", "limit", "avoid", "hide", "apply", "follow", "know", "think", "find", "call", "pick", "choose", "drop", "turn", "split", "fit", "won't", "can't", "don't", "kept", "made", "took", "gave", "got", "let", "ran", "went", "came", "held", "meant", "sent", "fell", "rose", "cost", "lost", "led", "left", "paid", "found", "chose", "I'd", "we'd", "use", "store", "load", "copy", "map", "free", "cache", "batch", "trade", "dominate", "match", "match", "measure", "compare", "check"])


# A closed-class word with a capital behind a word that ends no sentence stood at the start of another one.
_INNER_CAPITAL = re.compile(r"\b(?:the|an|a|of|in|on|at|by|for|from|with|into|to|and|or|is|are|was|were|can|will|it|its|this|that|than|as|per|which) (?:The|An|It|This|These|In|If|When|So|At|Because|We|They|But|And|Then|There|For|With|By|To|As|Each|On|Its|That)(?= [a-z])")


def wordlist(tokens: Sequence[Token], strict: bool = False) -> bool:
    """Whether a sentence is a bare list of words: hardly a function word and no verb. `strict` asks for a long one."""
    words = sum(token.text.isalpha() and len(token.text) > 1 for token in tokens)
    if words < 0.6 * len(tokens):
        return False  # a formula or a calculation
    if words < (14 if strict else 4):
        return False
    closed = sum(not token.content for token in tokens) / len(tokens)
    verbs = sum(map(_verb_like, tokens)) / len(tokens)
    return closed < 0.05 or (closed < 0.12 and verbs < 0.08)


def phrases(sentence: Clause, noted: bool) -> bool:
    """Whether a list is one of phrases ("no flow control, loss possible") and not of single words or of words without end.

    `noted`: the answer is made of several lists, so that a short one is a note, whatever separates it from the next."""
    parts = [len(re.findall(r"\w+", part)) for part in re.split(r"[,;:()/\n=→>]", sentence.text)]
    parts = [n for n in parts if n]
    return (noted and sum(parts) <= NOTE) or (len(parts) >= 3 and 1.6 <= sum(parts) / len(parts) <= 7.0)


def enumerated(sentence: Clause) -> tuple[int, tuple[str, ...]]:
    """How many words of a sentence stand in a run of three and more bare items, of one or two words each, and the words before the first such run:
    of "The pool uses pages, a cache, hashes and copies" 5, and "the pool uses"."""
    tokens, text = sentence.tokens, sentence.text
    cuts = [i for i in range(1, len(tokens)) if _SEPARATOR.search(text[tokens[i - 1].end : tokens[i].start]) or tokens[i].text in ("and", "or")]
    items = [sum(t.text not in ("and", "or") for t in tokens[a:b]) for a, b in pairwise([*cuts, len(tokens)])]
    total, run, opening = 0, list[int](), None
    for i, words in enumerate([*items, BARE + 1]):
        if words <= BARE:
            run.append(words)
            continue
        if sum(n > 0 for n in run) >= 2:
            total += sum(run) + 1  # and the word before the first comma, which is the first item
            if opening is None:
                opening = tuple(t.text for t in tokens[: cuts[i - len(run)] - 1])
        run = []
    return total, opening or ()


def frame(sentence: Clause) -> tuple[str, ...]:
    """The closed-class words of a sentence with gaps for the others; empty for a short one, or one without closed-class words."""
    words = tuple("_" if t.content else t.text for t in sentence.tokens)
    return words if len(words) >= 5 and any(word != "_" for word in words) else ()


def gate_prose(sentences: Sequence[Clause], by_chance: bool = False) -> list[Gate]:
    """One gate for each sentence. A verbless line in an answer of sentences is style; a long one, or an answer made of them, is a list.

    Word order is judged for each sentence and over the whole answer, which catches a shuffle across full stops, by the pairs of words that English
    hardly has. `by_chance` says that the words are known to stand in no order.
    """
    tokens = [len(s.tokens) for s in sentences]
    lists = [wordlist(s.tokens) for s in sentences]
    listed = sum(n for n, is_list in zip(tokens, lists, strict=True) if is_list)
    many = (listed >= 8 and listed >= 0.3 * sum(tokens)) or (listed >= 6 and listed >= 0.9 * sum(tokens))
    runs = [enumerated(s) for s in sentences]
    named = [n if n >= MOSTLY * len(s.tokens) else 0 for (n, _), s in zip(runs, sentences, strict=True)]
    texts = {s.text: opening for n, (_, opening), s in zip(named, runs, sentences, strict=True) if n and len(opening) > 1}
    openings = Counter(texts.values())
    throughout = sum(named) >= NAMED  # a count and no share, so that filler hides nothing
    listing = [throughout or openings[opening] >= SAME for _, opening in runs]
    frames = [frame(s) for s in sentences]
    filled = dict[tuple[str, ...], set[str]]()
    for sentence, words in zip(sentences, frames, strict=True):
        filled.setdefault(words, set()).add(sentence.text)
    orders = []
    for sentence in sentences:
        f, j = order_faults(sentence.tokens, sentence.text)
        inner = sum(1 for _ in _INNER_CAPITAL.finditer(sentence.text))
        orders.append((f + inner, j + inner))
    faults, judged = sum(f for f, _ in orders), sum(j for _, j in orders)
    shuffled = by_chance or (judged >= 4 and faults >= 2 and faults / judged >= 0.15) or (judged >= 40 and faults / judged >= 0.10)  # prose of 40 has 2, seldom 3
    out = []
    for sentence, is_list, names, in_list, words, (f, j) in zip(sentences, lists, named, listing, frames, orders, strict=True):
        if is_list and (many or wordlist(sentence.tokens, strict=True)):
            out.append(Gate(0.6, PHRASES) if phrases(sentence, sum(lists) > 1) else Gate(0.2, WORDS))
        elif names and in_list:
            out.append(Gate(0.2, WORDS))
        elif words and len(filled[words]) >= FRAMED:
            out.append(Gate(0.2, "one sentence many times over with other words in it"))
        elif shuffled or (j >= 3 and f >= 2 and f / j >= 0.25):
            out.append(Gate(0.2, "the words stand in no possible order"))
        else:
            out.append(OPEN)
    return out


def gibberish(document: Document, pieces: Callable[[str], int], known: Set[str] = frozenset()) -> bool:
    """Whether most words are no words: three or more word pieces for each six letters. `known`: words that are, such as those of a model answer."""
    words = _WORDLIKE.findall(document.text)[:400]
    if not words:
        return bool(document.text.strip()) and not re.search(r"\d", document.text) and not known & {*document.text.lower().split()}
    broken = sum(word.lower() not in known and (pieces(word.lower()) > 1 + len(word) / 3.5 or len(word) > 30) for word in words)
    return broken / len(words) > 0.5


def foreign(document: Document, pieces: Callable[[str], int]) -> bool:
    """Whether an answer is in another language than English: by script, by the share of English function words, and by how many of its words English has."""
    text = document.text
    letters = [char for char in text if char.isalpha()]
    if len(letters) >= 4 and sum(char.isascii() for char in letters) / len(letters) < 0.6:
        return True
    words = [token for sentence in document.sentences for token in sentence.tokens if token.text.isalpha()]
    if len(words) < 12:
        return False
    english = sum(not token.content for token in words) / len(words)
    other = sum(token.text in _OTHER for token in words) / len(words)
    if other > 0.12 and other > english:
        return True
    long = [token.text for token in words if len(token.text) >= 4][:400]
    return english < 0.15 and bool(long) and sum(pieces(word) > 1 for word in long) > STRANGE * len(long)


# Commonest words of the neighbours of English; those that are English words too (no, do, as, son ...) are left out.
_OTHER = frozenset(
    ["der", "das", "und", "ist", "nicht", "ein", "eine", "einen", "dem", "den", "des", "mit", "von", "zu", "auf", "für", "wird", "werden", "sich", "auch", "oder", "aber", "als", "bei", "nach", "wenn", "weil", "dass", "durch", "le", "la", "les", "est", "un", "une", "du", "de", "et", "que", "qui", "dans", "pour", "pas", "sur", "avec", "ne", "sont", "ce", "cette", "il", "elle", "aux", "ou", "mais", "si", "nous", "vous", "el", "los", "las", "es", "en", "por", "para", "una", "del", "se", "lo", "como", "más", "pero", "su", "al", "está", "cuando", "di", "che", "è", "non", "sono", "della", "dei", "gli", "da", "più", "anche", "nel", "questo", "uma", "em", "não", "com", "são", "ao"])


def echo_spans(tokens: Sequence[Token], prompt: frozenset[tuple[str, ...]], size: int = 4) -> list[bool]:
    """For each token whether it lies in a run of `size` words that stands in the prompt."""
    copied = [False] * len(tokens)
    texts = [token.text for token in tokens]
    for i in range(len(texts) - size + 1):
        if tuple(texts[i : i + size]) in prompt:
            copied[i : i + size] = [True] * size
    return copied


def ngrams(tokens: Sequence[Token], size: int = 4) -> frozenset[tuple[str, ...]]:
    texts = [token.text for token in tokens]
    return frozenset(tuple(texts[i : i + size]) for i in range(len(texts) - size + 1))
