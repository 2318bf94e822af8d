"""The commands that measure the scorer."""

import json

import numpy as np
import pytest

from grading.__main__ import main
from grading.attack import RELATED, attack_bank, negated, stamped
from grading.evaluate import DataError, load
from grading.metrics import agreement, auc, bootstrap, numbered, pearson, per_question_r, qwk, smd

LINES = [{"question_id": "q1", "question": "What is a cache?", "reference": "A cache is a small fast memory that keeps recently used data.", "answer": a,
          "score": s, "max_score": 5} for a, s in (
    ("A cache is a small and fast memory which keeps the data that was used recently.", 5), ("It keeps data that was recently used.", 4),
    ("It is a kind of memory in the machine.", 2), ("fine", 0), ("", 0), ("The sun is very warm in the summer months.", 0))]


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "marked.jsonl"
    path.write_text("\n".join(json.dumps(line) for line in LINES), "utf-8")
    return path


def test_evaluate_prints_one_object_and_keeps_short_answers_apart(file, tmp_path, capsys):
    assert main(["evaluate", str(file), "--json", "--out", str(tmp_path / "out.jsonl")]) == 0
    report = json.loads(capsys.readouterr().out)
    assert {"n", "r", "qwk", "rmse", "smd", "bands"} <= set(report)
    assert (report["n"], report["short_answers"]["n"], report["scale"]) == (4, 2, 5)
    assert report["r"] > 0.7
    predicted = [json.loads(line)["predicted"] for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert predicted[0] > predicted[2] > predicted[5] == 0
    assert predicted[3] == predicted[4] == 0


def test_attack_prints_the_table(file, capsys):
    assert main(["attack", str(file), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["attacks"]
    assert found["keyword list"]["of_good"] < 0.15
    assert found["with injection"]["change_of_28"] == 0
    assert found["with injection"]["flagged"] == 1
    assert found["blank"]["mean"] == found["gibberish"]["mean"] == found["fine"]["mean"] == 0


def test_a_bad_line_is_named(tmp_path, capsys):
    path = tmp_path / "bad.jsonl"
    path.write_text('{"question_id": "a", "answer": "x", "score": 1, "max_score": 1, "reference": "y"}\n{"question_id": 1}\n')
    assert main(["evaluate", str(path)]) == 2
    assert f"{path}:2: lacks answer, score, max_score" in capsys.readouterr().err


@pytest.mark.parametrize("line", ["[" * 100_000, '{"score": ' + "1" * 5000 + "}", "{"])
def test_a_line_that_is_no_json_is_named_however_deep_or_long(tmp_path, line):
    path = tmp_path / "bad.jsonl"
    path.write_text(json.dumps(LINES[0]) + "\n" + line, "utf-8")
    with pytest.raises(DataError, match=r"bad\.jsonl:2: not JSON"):
        load(str(path))


@pytest.mark.parametrize("words", ["", "the bandwidth", "memory bandwidth", "memory bandwidth limits decode"])
def test_a_frame_is_filled_from_however_few_words(words):
    assert stamped(words, None).count("{") == 0


def test_odd_lines_are_read_or_named(tmp_path, capsys):
    def load_line(**row):
        path = tmp_path / "one.jsonl"
        path.write_text("\ufeff" + json.dumps({**LINES[0], **row}, ensure_ascii=False) + "\r\n", "utf-8", errors="surrogatepass")
        return load(str(path))[0]

    assert load_line(answer="one\u2028two")["answer"] == "one\u2028two"
    assert (load_line(answer=0)["answer"], load_line(answer=None)["answer"]) == ("0", "")
    assert load_line(reference=[None, " ", "x"])["references"] == ["x"]
    assert load_line(question=7, raters=[None, 3])["raters"] == [3.0]
    assert load_line(rubric={})["rubric"] is None
    for row, why in (({"max_score": float("inf")}, "max_score must be finite"), ({"score": "x"}, "score is a number, not 'x'"),
                     ({"reference": " "}, "lacks a reference"), ({"raters": [1, float("nan")]}, "a rater's mark must be finite"),
                     ({"max_score": 10**400}, "max_score is too large"), ({"rubric": "text"}, "a rubric is an object"),
                     ({"rubric": {"criteria": []}}, "a rubric that can't be used: rubric: ")):
        with pytest.raises(DataError, match=f"one.jsonl:1: {why}"):
            load_line(**row)


def test_lines_need_no_reference_beside_a_rubric_for_all(tmp_path, capsys):
    path, rubric = tmp_path / "one.jsonl", tmp_path / "rubric.yaml"
    path.write_text(json.dumps({k: v for k, v in LINES[0].items() if k != "reference"}))
    rubric.write_text("criteria: [{id: a, title: A, points: 4, claims: [{id: b, text: A cache is a small fast memory.}], rule: {1: 4}}]")
    assert main(["evaluate", str(path), "--rubric", str(rubric), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["n"] == 1
    rubric.write_text("criteria: [{id: a, title: A, points: 4, tests: [x]}]")
    assert main(["evaluate", str(path), "--rubric", str(rubric)]) == 2
    assert "question q1: Not scored" in capsys.readouterr().err


def test_what_does_not_vary_has_no_correlation():
    same = np.array([0.1] * 6)
    assert pearson(same, np.arange(6.0)) is None
    assert smd(same, same + 0.2) is None
    rising = np.arange(6) / 6
    assert agreement(["a"] * 6 + ["b"] * 6, np.r_[rising, same], np.r_[rising, rising], 1.0, 10)["r_within_questions"] == pytest.approx(1.0)


def test_r_within_questions_is_that_of_each_by_the_number_of_its_answers():
    rng = np.random.default_rng(3)
    asked, a, b = rng.integers(0, 40, 300), rng.integers(0, 4, 300) / 3, rng.integers(0, 4, 300) / 3
    found = [(pearson(a[asked == q], b[asked == q]), int((asked == q).sum())) for q in range(40)]
    kept = [(r, n) for r, n in found if r is not None and n >= 5]
    assert 20 < len(kept) < 40
    assert per_question_r(asked, a, b) == pytest.approx(np.average([r for r, _ in kept], weights=[n for _, n in kept]))


def test_questions_are_drawn_again_whole():
    asked = numbered(["a", "b", "a", "c", "b"])
    assert asked.tolist() == [0, 1, 0, 2, 1]
    seen = []
    bootstrap(asked, lambda i: seen.append(i) or 1.0, rounds=20)
    assert all(np.sum(drawn == 0) == np.sum(drawn == 2) and np.sum(drawn == 1) == np.sum(drawn == 4) for drawn in seen)
    assert len({tuple(drawn) for drawn in seen}) > 1


def test_scores_out_of_range_and_half_points_are_told(tmp_path, capsys):
    path = tmp_path / "odd.jsonl"
    path.write_text("\n".join(json.dumps({**line, "score": score}) for line, score in zip(LINES, (7, 4.5, 2, 0, 0, -1), strict=True)))
    assert main(["evaluate", str(path)]) == 0
    assert "2 scores lay outside" in capsys.readouterr().out
    short = [{**line, "answer": "yes"} for line in LINES]
    path.write_text("\n".join(map(json.dumps, short)))
    assert main(["evaluate", str(path)]) == 0
    assert "all (none has four words)" in capsys.readouterr().out


@pytest.mark.parametrize(("said", "denied"), [("UDP is not reliable.", "UDP is reliable."), ("You can't do it.", "You can do it."),
                                              ("It is fast.", "It is not fast."), ("Blocks move.", "It is not true that blocks move.")])
def test_a_sentence_is_denied_once(said, denied):
    assert negated(said, None) == denied


def test_the_measures_agree_with_hand_counts():
    a = np.array([0.0, 0.5, 1.0, 1.0])
    assert qwk(a, a, 2) == 1.0
    assert qwk(a, a[::-1].copy(), 2) == pytest.approx(1 - 10 / 5.5)  # squared distances: 10 seen, 22 / 4 expected
    assert auc(np.array([1.0, 2.0]), np.array([0.0, 1.0])) == pytest.approx(0.875)
    assert agreement(["x"] * 4, a, a - 0.1, 5.0, 10)["rmse"] == pytest.approx(0.5)


def test_attacking_a_bank_counts_what_reaches_the_l5_line(tmp_path, capsys):
    folder = tmp_path / "cache"
    (folder / "answers").mkdir(parents=True)
    claims = ["A cache keeps recently used data in fast memory.", "The slow memory is read only when the cache does not have the data.",
              "When the cache is full, the line that was used least recently is evicted."]
    rubric = {"bands": {"L5": 2, "L6": 4, "L7": 5}, "criteria": [
        {"id": f"c{i}", "title": "C", "points": 2, "claims": [{"id": "a", "text": text, "terms": terms}]}
        for i, (text, terms) in enumerate(zip(claims, ([["keeps"], ["fast"]], [["slow"], ["only"]], [["full"], ["evicted"]]), strict=True))]}
    (folder / "rubric.yaml").write_text(json.dumps(rubric))
    (folder / "prompt.md").write_text("Explain how a processor's cache works.\n")
    (folder / "answers/l7.md").write_text("---\nlevel: L7\n---\n" + " ".join(claims) + "\n")
    (folder / "answers/wrong-disk.md").write_text("---\nlevel: below\n---\nA cache is a part of the hard disk. "
                                                 "It makes the screen brighter when the room is dark.\n")
    assert main(["attack", str(tmp_path), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["questions"] == 1
    assert report["attacks"]["genuine good"] == {"n": 1, "mean": 1.0, "of_good": 1.0, "reaches_l5": 1.0, "flagged": 0.0, "change_of_28": None}
    for name in ("keyword list", "words shuffled", "question echoed", "blank", "wrong exemplar", "good, then taken back"):
        assert report["attacks"][name]["reaches_l5"] == 0, name
    assert report["reaching_l5"] == len(report["reached"]) == round(report["share_reaching_l5"] * report["tried"])
    assert not {r["attack"] for r in report["reached"]} & {"genuine good", "padded", "three times"}
    assert main(["attack", str(tmp_path)]) == 0
    assert f"{report['reaching_l5']} of {report['tried']} attacks reach the L5 line" in capsys.readouterr().out
    assert main(["attack", str(tmp_path / "cache/answers")]) == 2
    assert "no prose question" in capsys.readouterr().err


def test_an_answer_to_a_related_question_is_no_attack(tmp_path):
    for name, topics, text in (("a-stack", "stacks", "A stack gives back the item that was put in last."),
                               ("b-stack", "stacks", "A stack returns the newest item first."),
                               ("c-soup", "kitchen", "A soup is boiled until the carrots are soft.")):
        folder = tmp_path / name
        (folder / "answers").mkdir(parents=True)
        claim = {"bands": {"L5": 1}, "criteria": [{"id": "c", "title": "C", "points": 1, "claims": [{"id": "a", "text": text}]}]}
        (folder / "rubric.yaml").write_text(json.dumps(claim))
        (folder / "question.yaml").write_text(f"topics: [{topics}]\n")
        (folder / "prompt.md").write_text("What is it?\n")
        (folder / "answers/l7.md").write_text(f"---\nlevel: L7\n---\n{text}\n")
    report = attack_bank(tmp_path)
    related = report["attacks"][RELATED]
    assert related["n"] == 2  # the soup has no relation
    assert related["reaches_l5"] > 0
    assert report["attacks"]["off topic"]["n"] == 3
    assert report["attacks"]["off topic"]["mean"] == 0
    assert [(report["attacks"][name]["n"], report["attacks"][name]["mean"]) for name in ("crib sheet", "everything")] == [(3, 0), (3, 0)]
    assert RELATED not in {r["attack"] for r in report["reached"]}
