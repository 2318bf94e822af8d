"""Signs of a contradiction, rule by rule and on statements that no rule was written with; and the files that hold these."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grading.encoder import encoder
from grading.evaluate import DataError
from grading.evidence import DENIED, weigh
from grading.lexicon import AXES, POLES
from grading.polarity import _nearest, denies, hedged, oppose
from grading.statements import measure, read_all, read_file
from grading.text import tokenise

ITEM = """= A stack removes the newest element first.
+ LIFO order
* The newest element is removed first by a stack.
- A stack removes the oldest element first.
! first come, first served
/ A stack removes elements one at a time.
~ A stack can be built on an array.
"""


def opposed(statement: str, line: str) -> bool:
    tokens = tokenise(statement)
    return oppose(tokenise(line), line, tokens, statement, weigh(encoder(), tokens, frozenset())).strength >= DENIED


STACK = "A stack removes the newest element first, while a queue removes the oldest element first."
WINDOW = "The window broke because the ball hit the glass."


@pytest.mark.parametrize(("statement", "right", "wrong"), [
    (STACK, "A queue removes the oldest element first, whereas a stack removes the newest one first.",
     "A queue removes the newest element first, while a stack removes the oldest element first."),
    (WINDOW, "Because the ball hit the glass, the window broke.", "The ball hit the glass because the window broke."),
    ("Drafting gains less under high load.", "Drafting gains more under low load.", "Drafting gains more under high load."),
    ("The motor stops without its belt.", "With no belt the motor stops.", "The motor does not stop without its belt."),
    ("Insertion sort takes linear time on sorted input.", "Insertion sort does not take quadratic time on sorted input.",
     "Insertion sort takes quadratic time on sorted input."),
    ("The handshake happens before any data is sent.", "The handshake happens before, not after, any data is sent.",
     "The handshake happens after any data is sent."),
    ("There are fewer predators than plant eaters.", "There are more plant eaters than predators.", "There are more predators than plant eaters."),
])  # fmt: skip
def test_what_turns_a_statement_round_is_told_from_what_says_it_otherwise(statement: str, right: str, wrong: str) -> None:
    assert not opposed(statement, statement)
    assert not opposed(statement, right)
    assert opposed(statement, wrong)


@pytest.mark.parametrize(("statement", "line"), [
    ("A match of blocks is cheap.", "The {cost|price} of a match of blocks is small."),
    ("The blocks are freed in a handler, with a dynamic count of them.", "The {fix|cure} is a count of the blocks that the handler has freed."),
    ("The output has exactly the distribution of the target.", "This removes the {bias|tilt}, and the output has the distribution of the target."),
    ("The shared tokenizer is required.", "One {option|way} is a shared tokenizer."),
    ("Physical blocks are scattered in the pool.", "The {logic|code} of the pool scatters its blocks."),
])  # fmt: skip
def test_a_word_of_the_same_root_is_no_opposite(statement: str, line: str) -> None:
    own, plain = line[line.index("{") + 1 : line.index("}")].split("|")
    said = [line.replace(f"{{{own}|{plain}}}", word) for word in (own, plain)]
    tokens = tokenise(statement)
    weights = weigh(encoder(), tokens, frozenset())
    assert [oppose(tokenise(text), text, tokens, statement, weights).strength for text in said] == [0.0, 0.0]


@pytest.mark.parametrize(("line", "wrong"), [
    ("Special tokens such as a header may be removed too.", True), ("Special tokens can be removed.", True), ("Special tokens can't be removed.", False),
    ("No special token may be removed.", False), ("Special tokens stay, nothing of them is ever removed.", False),
])  # fmt: skip
def test_who_allows_what_a_statement_forbids_contradicts_it(line: str, wrong: bool) -> None:
    assert opposed("Special tokens are never removed.", line) is wrong


@pytest.mark.parametrize(("statement", "line", "open_"), [
    ("Later tokens are discarded.", "Later tokens are either discarded or kept.", True),
    ("Later tokens are discarded.", "Later tokens are discarded/kept.", True),
    ("Later tokens are discarded.", "It is not known before the check whether later tokens are discarded or kept.", False),
    ("A token is either accepted or rejected.", "Each token is accepted or rejected.", False),
    ("The tokenizers must be the same.", "The tokenizers must or need not be the same.", True),
    ("The tokenizers must be the same.", "It matters whether or not the tokenizers are the same.", False),
    ("The floor is 10.4 ms.", "The floor is 10.4 or 20.8 ms.", True),
    ("The floor is 10.4 ms.", "The floor is 140 / 13.4, which is 10.4 ms.", False),
    ("Blocks hold sixteen tokens.", "Blocks hold either sixteen or forty tokens.", True),
    ("The draft proposes the tokens.", "Either the draft or the verifier proposes the tokens.", True),
    ("Blocks are found in a table.", "Blocks are found in a hash table or a dictionary.", False),
])  # fmt: skip
def test_an_or_leaves_open_what_a_statement_settles(statement: str, line: str, open_: bool) -> None:
    assert hedged(tokenise(line), line, [tokenise(statement)]) is open_


def test_every_word_in_the_table_of_opposites_was_put_there() -> None:
    assert set(POLES) == {word for sides in AXES for side in sides for word in side}


@pytest.mark.parametrize(("text", "denial"), [
    ("The cache is not divided into blocks.", True), ("It is not true that blocks are shared.", True), ("Blocks don't move.", True),
    ("Not only blocks are shared.", False), ("The cache is divided into blocks.", False), ("Blocks move without a copy.", False),
])  # fmt: skip
def test_a_denial_is_known_by_its_verb(text: str, denial: bool) -> None:
    assert denies(tokenise(text), text) is denial


def test_on_statements_held_out_the_signs_speak_up_against_wrong_lines_more_than_against_right_ones() -> None:
    report = measure(read_all()[1])
    share = {kind: row["opposed"] for kind, row in report["kinds"].items()}
    assert max(share["+"], share["*"]) < 0.10
    assert share["-"] > 1.6 * max(share["+"], share["*"])
    assert report["auc"]["other words right, same words wrong"] < 0.5  # the lines are made so that nearness misleads


def test_the_material_is_whole_and_no_line_stands_on_both_sides_of_an_item() -> None:
    open_, held = read_all()
    assert (len(open_), len(held)) == (791, 87)
    assert not {item.statement for item in open_} & {item.statement for item in held}
    for item in (*open_, *held):
        says, wrong = ({text for kind in kinds for text in item.lines[kind]} for kinds in ("+*", "-!"))
        assert not says & wrong
        assert item.statement not in wrong


@pytest.mark.parametrize(("text", "fault"), [
    ("+ a line without its statement\n", ":1:"), (ITEM + "? what is this\n", ":8:"), (ITEM + "-\n", ":8:"),
    (ITEM.replace("~ A stack can be built on an array.\n", ""), "begins with ~"),
])  # fmt: skip
def test_a_bad_file_is_refused_with_its_line(tmp_path: Path, text: str, fault: str) -> None:
    (tmp_path / "bad.txt").write_text(text)
    with pytest.raises(DataError, match=r"bad\.txt") as raised:
        read_file(tmp_path / "bad.txt")
    assert fault in str(raised.value)


def test_a_folder_without_statements_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="lacks statements"):
        read_all(tmp_path)


@given(st.dictionaries(st.integers(0, 40), st.sampled_from([-1, 1]), max_size=12), st.integers(0, 40))
def test_the_nearest_word_of_an_axis_is_found_and_of_two_the_later(poles: dict[int, int], at: int) -> None:
    places = sorted(poles.items())
    near = sorted((abs(i - at), i < at, pole) for i, pole in places if i != at)
    assert _nearest(places, at) == (near[0][2] if near else None)


def test_opposites_in_a_text_without_end_are_read_in_the_time_of_its_length() -> None:
    text = "if the draft accepts, " * 20_000  # each word against each was hours
    statement = "The draft proposes and the target accepts or rejects."
    tokens = tokenise(statement)
    assert oppose(tokenise(text), text, tokens, statement, weigh(encoder(), tokens, frozenset())).strength <= 1


def test_what_a_text_without_end_leaves_open_is_read_in_the_time_of_its_length() -> None:
    statement = tokenise("The draft proposes.")
    for text in ("it is or is not, " * 20_000, "either this or that " * 20_000, "one/two " * 40_000):
        assert not hedged(tokenise(text), text, [statement])
