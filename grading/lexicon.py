"""Closed word classes of English, negators, and the opposites of this field. Written for this scorer; no word list is copied."""

from __future__ import annotations

from functools import lru_cache

DETERMINERS = frozenset(["a", "an", "the", "this", "that", "these", "those", "its", "their", "his", "her", "our", "your", "my", "every", "each", "any", "some", "no", "both", "either", "neither"])
PREPOSITIONS = frozenset(
    ["of", "in", "on", "at", "by", "for", "from", "with", "without", "into", "onto", "per", "between", "among", "across", "over", "under", "through", "during", "within", "against", "via", "as", "to", "about", "above", "below", "before", "after", "until", "than", "like", "upon", "toward", "towards", "beyond", "along", "inside", "outside", "near", "despite"])
AUXILIARIES = frozenset(
    ["is", "are", "was", "were", "be", "been", "being", "am", "has", "have", "had", "having", "do", "does", "did", "can", "could", "will", "would", "shall", "should", "may", "might", "must", "cannot", "isn't", "aren't", "wasn't", "weren't", "hasn't", "haven't", "hadn't", "doesn't", "don't", "didn't", "can't", "couldn't", "won't", "wouldn't", "shouldn't", "mustn't", "it's", "that's", "there's", "let's"])
MODALS = frozenset(["can", "could", "will", "would", "shall", "should", "may", "might", "must", "cannot", "can't", "couldn't", "won't", "wouldn't", "shouldn't", "mustn't", "do", "does", "did", "doesn't", "don't", "didn't"])
PRONOUNS = frozenset(["i", "you", "he", "she", "it", "we", "they", "them", "us", "me", "him", "itself", "themselves", "one", "who", "whom", "what", "which", "there", "here"])
CONJUNCTIONS = frozenset(["and", "or", "but", "nor", "so", "yet"])
SUBORDINATORS = frozenset(["because", "if", "when", "while", "since", "although", "though", "whereas", "unless", "whether", "that", "which", "where", "how", "why", "once", "therefore", "thus", "hence", "however", "then"])
ADVERBS = frozenset(["also", "only", "just", "even", "still", "already", "again", "very", "more", "most", "less", "least", "much", "many", "too", "quite", "rather", "often", "always", "usually", "never", "not", "all", "such", "same", "other", "another", "own", "few", "several", "else", "up", "down", "out", "off", "etc", "ie", "eg", "instead", "both", "first"])
FUNCTION = (DETERMINERS | PREPOSITIONS | AUXILIARIES | PRONOUNS | CONJUNCTIONS | SUBORDINATORS | ADVERBS
            ) - {"before", "after", "up", "down", "more", "less", "above", "below", "without", "not", "never", "no", "inside", "outside",
                 "over", "under", "all", "only", "most", "least", "first", "same", "between", "neither", "cannot", "many", "few"}

NEGATORS = frozenset(["not", "no", "never", "none", "neither", "nor", "without", "cannot", "can't", "couldn't", "won't", "wouldn't", "shouldn't", "mustn't", "isn't", "aren't", "wasn't", "weren't", "hasn't", "haven't", "hadn't", "doesn't", "don't", "didn't", "hardly", "barely", "scarcely", "nothing"])
NOT_NEGATING = frozenset(["only", "just", "merely", "simply", "necessarily"])  # "not only"
# Words that say that something isn't there, isn't so, or stands apart, as a denial would ("in different states" for "not in the same one").
ABSENCE = NEGATORS | frozenset(
    ["different", "differs", "differ", "separate", "separated", "separates", "gap", "gaps", "open", "apart", "lack", "lacks", "lacking", "missing", "absent", "broken", "damaged", "incomplete", "disconnected", "off", "except", "excludes", "exclude", "excluded", "lose", "loses", "lost", "loss", "empty", "fail", "fails", "failed", "prevent", "prevents", "prevented", "avoid", "avoids", "forbid", "forbids", "forbidden", "impossible", "unable", "independent", "independently", "isolated", "unlike", "instead", "only", "removed", "removes", "dropped", "drops", "stops", "unreliable", "invalid", "useless"])

# Rejection: what says of a statement that it is not so. Parts of regular expressions, for any case; none of them captures.
UNTRUE = (r"(?:(?:all|just|simply|plainly|completely|entirely|quite|also|always|still|of course) ){0,2}(?:false|wrong|untrue|incorrect|mistaken|nonsense"
          r"|(?:not|never) (?:true|correct|right|so|the case)|an? (?:\w+ )?(?:myth|lie|misconception|misunderstanding|fallacy|mistake|error))\b")
IS_UNTRUE = rf"(?:(?:['’]s| is| are| was| were| would be|['’]d be) {UNTRUE}| (?:is|are|was)n['’]t (?:true|correct|right|so|the case)\b)"
_CONTRARY = r"the (?:(?:very|exact|direct) )?(?:contrary|opposite|reverse)"
_OTHER_WAY = r"the other way (?:a?round|about)"
IN_FACT = r"in (?:fact|reality|truth)"
# A clause that only says that what stands before it is not so.
REJECTION = (rf"\W*(?:(?:but|and|yet|or|actually|however|{IN_FACT}|of course|sorry|wait|now|clearly|well|no|maybe|perhaps)\b\W+){{0,3}}"
             rf"(?:(?:that|this|it|they|these|the (?:last|previous|preceding) (?:sentence|statement|claim))(?: (?:statement|claim|idea|view|belief))?{IS_UNTRUE}"
             r"|(?:wrong|false|untrue|incorrect|nonsense|not so|not true|not correct|not right|nope|(?:scratch|strike) that)\b"
             rf"|(?:it|that|this)(?:['’]s| is) (?:just |exactly )?(?:{_OTHER_WAY}|{_CONTRARY})\b"
             rf"|{_CONTRARY} (?:is|holds)(?: (?:the case|true|right|correct|so)\b)?|(?:they|he|she|people|who(?:ever)? (?:says|thinks) so) errs?\b)")
# The other horn of "either S, or this is not so" at the end of a sentence; the first kind only behind a word that leaves it open, for "S, or it is wrong" says S.
OR_UNTRUE = rf"\bor (?:maybe |perhaps |possibly )?(?:this|that|it){IS_UNTRUE}\W*$"
LEFT_OPEN = r"\b(?:either|maybe|perhaps|possibly)\b"
OTHERWISE = (r"\bor (?:maybe |perhaps |possibly )?(?:(?:this|that|it)(?:['’]s| is) (?:just |exactly )?)?"
             rf"(?:the (?:opposite|contrary|reverse)|{_OTHER_WAY})(?: (?:is|holds)(?: (?:true|right|correct|the case))?)?\W*$")
UNKNOWN = r"\W*(?:is it (?:true|so|right|correct) that|i(?: am|['’]m) not (?:at all |quite )?sure (?:whether|if)|i (?:do not|don['’]t) know (?:whether|if))\b"
_THINK = r"(?:think|thought|believe[ds]?|assume[ds]?|say|said|claim(?:ed)?|conclude[ds]?|suppose[ds]?|expect(?:ed)?)\b"
_OTHERS = r"(?:(?:some|many|most|few)(?: (?:people|of us|engineers|candidates|beginners))?|people|one|others|engineers|candidates|beginners)\b"
_PEOPLE = rf"(?:{_OTHERS}|(?:you|we|it)\b)"
_QUOTED = r"[“\"«‘](?:[^“”\"«»]){12,600}[”\"»’]"
# What is quoted or said to be believed in order to reject it, at the start of a sentence.
REJECTED = (rf"\W*(?:(?:myth|misconception|fallacy|false)\s*:|{_PEOPLE}(?: \w+){{0,3}}? (?:wrongly|mistakenly|falsely|erroneously|incorrectly) {_THINK}"
            r"|(?:(?:it|here) is )?(?:an?|the|one|another)(?: [\w-]+){0,3}? (?:(?:error|mistake|misconception|myth|misunderstanding|fallacy) (?:is|was|would be) to "
            rf"{_THINK}|(?:misconception|myth|misunderstanding|fallacy) (?:is|was|would be)\b)"
            rf"|(?:wrong|false|incorrect|untrue) (?:is|would be)\b|not (?={_QUOTED}))")
BELIEVED = rf"\W*{_OTHERS}(?: (?:might|may|could|would|often|still|also|will|people|then)){{0,2}} {_THINK}"  # rejected where "but" follows
QUOTE_REJECTED = rf"\W{{0,8}}{_QUOTED}\W{{0,8}}(?:(?:that|this|it|which)\b)?(?:{IS_UNTRUE}|\W*{UNTRUE})"

# Opposites. Each row is one axis: the words of one pole, a bar, the words of the other.
_AXES = """
high large big great | low small little
increase increases increased increasing grow grows growing rise rises raise raises raised higher high improve improves improved | decrease decreases decreased decreasing reduce reduces reduced reducing shrink shrinks fall falls lower low lowers lowered worsen worsens
more greater larger bigger | less fewer few smaller small
long longer | short shorter
up | down
gain gains profit | loss losses
maximum maximal maximise maximize max most highest largest | minimum minimal minimise minimize min least lowest smallest
fast faster quick quicker quickly | slow slower slowly
cheap cheaper | expensive costly
before first earlier prior preceding early | after last later subsequent following late
start begin beginning | end finish ending
above over | below under
inside internal | outside external
always | never sometimes
all every | none some
accept accepts accepted accepting acceptance keep keeps kept | reject rejects rejected rejecting rejection discard discards discarded
allow allows enable enables permit permits | prevent prevents forbid forbids block prohibit prohibits disable disables
prefill prefilling | decode decoding
compute arithmetic flops | memory bandwidth
latency | throughput
logical virtual | physical
read reads load loads | write writes store stores
sender send sends transmit transmits | receiver receive receives
client | server
sequential serial sequentially serially | parallel concurrent concurrently parallelised
synchronous | asynchronous
static fixed constant | dynamic varying variable
same equal identical equals | different unequal differs differ
exact exactly lossless | approximate approximately lossy biased
correct right true valid | incorrect wrong false invalid untrue
positive | negative
linear linearly | quadratic quadratically exponential
contiguous consecutive | scattered fragmented noncontiguous
shared share | private exclusive
open | closed close
connected connect connects | disconnected separated separate gap
on lit | off unlit
complete full | incomplete partial empty
hit hits | miss misses
local | remote global
upper | lower
push | pull
success succeed succeeds | failure fail fails
input | output
row rows | column columns
draft drafter drafted | target verifier
dense | sparse
online | offline
add adds added | subtract subtracts remove removes removed
multiply multiplied multiplies | divide divided divides
numerator | denominator
source | destination
encode encoder | decoder
lossless | lossy
necessary required needed | unnecessary optional unneeded
possible | impossible
independent independently | dependent
deterministic | random stochastic
greedy | sampled
stateless | stateful
eager | lazy
strong stronger | weak weaker
hot hotter warm warmer | cold colder cool cooler
deep deeper | shallow shallower
near nearer closer | far farther further
old older oldest | new newer newest
wide wider | narrow narrower
left | right
horizontal horizontally | vertical vertically
public | private
unicast | broadcast multicast
wired | wireless
symmetric | asymmetric
reliable | unreliable
preemptive | nonpreemptive
causal | bidirectional
underflow | overflow
saturated saturates | idle underutilised underutilized
"""
# Words that stand in many senses: they take part only when the clauses are otherwise nearly the same.
LOOSE = frozenset(["first", "last", "right", "long", "short", "end", "start", "all", "some", "many", "few", "read", "write", "over", "under", "on", "off", "up", "down", "most", "least", "max", "min", "input", "output", "full", "complete", "close", "open", "block", "keep", "draft", "target", "row", "column", "source", "left"])


@lru_cache(maxsize=65536)
def stem(word: str) -> str:
    """A short common form of a word's inflections and commonest derivations; for matching only, never shown."""
    word = word.replace("’", "'").removesuffix("'s")
    if not word.isalpha() or len(word) <= 3:
        return word
    for long, short in (("isation", "ise"), ("ization", "ise"), ("izing", "ise"), ("ised", "ise"), ("ized", "ise"), ("izes", "ise"), ("ize", "ise")):
        if word.endswith(long) and len(word) - len(long) >= 3:
            word = word[: -len(long)] + short
            break
    for end in ("ications", "ication", "ically", "ations", "ation", "ments", "ment", "ances", "ance", "ences", "ence", "ities", "ity", "ions", "ion", "ively", "ive",
                "ingly", "ings", "ing", "edly", "ed", "ies", "ied", "ness", "ally", "ly", "ers", "er", "ors", "or", "als", "al", "ful", "es",
                "able", "ible", "ic", "s", "y", "e"):
        if word.endswith(end) and len(word) - len(end) >= (3 if len(end) < 4 else 4) and not (end == "s" and word.endswith("ss")):
            word = word[: -len(end)]
            break
    if len(word) > 3 and word[-1] == word[-2] and word[-1] not in "aeiouls":
        word = word[:-1]
    return word.removesuffix("e") if len(word) > 3 else word


AXES = tuple((tuple(left.split()), tuple(right.split())) for left, right in (line.split("|") for line in _AXES.strip().splitlines()))


def opposite(word: str) -> str | None:
    """The word on the other side of the first axis that holds `word`, in the like form: "increases" for "decreases"."""
    def alike(other: str) -> tuple[int, int]:
        shared = next((n for n in range(min(len(other), len(word)), 0, -1) if other[-n:] == word[-n:]), 0)
        return shared, -abs(len(other) - len(word))

    for left, right in AXES:
        for own, other in ((left, right), (right, left)):
            if word in own:
                return max(other, key=alike)
    return None


def _axes() -> dict[str, tuple[tuple[int, int], ...]]:
    poles: dict[str, list[tuple[int, int]]] = {}
    for number, sides in enumerate(AXES):
        for pole, side in enumerate(sides):
            for word in side:
                poles.setdefault(word, []).append((number, 1 if pole else -1))
    return {word: tuple(dict.fromkeys(places)) for word, places in poles.items()}


POLES = _axes()  # word -> its (axis, pole) places; pole is -1 or 1. Not by stem: the cost of a thing is not costly, and a fix is not fixed.


def poles(word: str) -> tuple[tuple[int, int], ...]:
    """The axes on which a word stands."""
    return POLES.get(word, ())
