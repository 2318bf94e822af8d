"""`python -m grading score RUBRIC ANSWER`: what an answer earns, and claim by claim why. `draft`: a rubric to start from."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import yaml

from grading import Question, Rubric, RubricError, Score, draft_yaml, score
from grading.folders import folders, read_answer_file, read_folder
from grading.variants import GENERATOR, PUBLISHED, files_of


def _show(result: Score, verbose: bool) -> None:
    also = f"   could be {', '.join(result.level_set)}" if len(result.level_set) > 1 else ""
    print(f"{result.total:g} of {result.max:g}   {result.level}   {result.state}{also}")
    if result.flags:
        print("flags:", ", ".join(result.flags))
    if result.reason:
        print(result.reason)
    for c in result.criteria:
        print(f"\n{c.points:g}/{c.max:g}  {c.id}: {c.reason}  (confidence {c.confidence:.2f})")
        for mark in c.marks:
            if mark.kind == "misconception" and not mark.met and not verbose and mark.score < 0.3:
                continue
            sign = {("claim", True): "+", ("misconception", True): "!"}.get((mark.kind, mark.met), "+" if mark.met else " ")
            parts = " ".join(f"{k[:3]} {v:.2f}" for k, v in mark.parts.items())
            print(f"  {sign} {mark.id:<28} {mark.score:.2f} / {mark.cut:.2f}  [{parts}]  {mark.why}")
            if mark.evidence and (mark.score > 0.15 or verbose):
                quote = " ".join(mark.evidence[0].text.split())
                print(f"        “{quote[:150]}{'…' if len(quote) > 150 else ''}”")


def _text(name: str) -> str:
    """What a file holds, or standard input for `-`."""
    return sys.stdin.read() if name == "-" else Path(name).read_text("utf-8")


def _score(args: argparse.Namespace) -> int:
    rubric, prompt = Path(args.rubric), Path(args.prompt) if args.prompt else Path(args.rubric).with_name("prompt.md")
    made = rubric.with_name(GENERATOR)
    raw = {"rubric.yaml": rubric.read_text("utf-8"), "prompt.md": prompt.read_text("utf-8") if args.prompt or prompt.exists() else ""}
    files = files_of(raw | ({GENERATOR: made.read_text("utf-8")} if made.exists() else {}), args.seed)
    text = _text(args.answer)
    if made.exists() and Path(args.answer).parent == rubric.parent / "answers":  # an exemplar is a template like the rubric
        text = files_of({"answer": text, GENERATOR: made.read_text("utf-8")}, args.seed)["answer"]
    _, answer = read_answer_file(text)
    result = score(Rubric.from_dict(yaml.safe_load(files["rubric.yaml"]), args.rubric), answer, Question(files["prompt.md"]))
    if args.json:
        print(json.dumps(result.to_dict(), ensure_ascii=False, indent=1))
    else:
        _show(result, args.verbose)
    return 0


def _draft(args: argparse.Namespace) -> int:
    _, answer = read_answer_file(_text(args.model_answer))
    print(draft_yaml(Path(args.prompt).read_text("utf-8"), answer.text, args.points), end="")
    return 0


def _pack(args: argparse.Namespace) -> int:
    """Mark every exemplar answer under a folder and compare with the level in its front matter. Code is for the sandbox to judge."""
    wrong = count = left_out = 0
    for published in folders(Path(args.folder)):
        if published.judged:
            left_out += 1
            continue
        for seed in (range(args.seeds) if published.varies else (PUBLISHED,)):
            folder = read_folder(published.path, seed) if seed else published
            for name, wanted, answer in folder.exemplars:
                result = score(folder.rubric, answer, folder.question)
                count += 1
                wrong += result.level != wanted
                points = " ".join(f"{c.points:g}" for c in result.criteria)
                label = f"{folder.path.name}/{name}" + (f" #{seed}" if seed else "")
                print(f"{'ok ' if result.level == wanted else 'BAD'} {label:<58} wanted {wanted:<6} got {result.level:<6} {result.total:>4g}  "
                      f"[{points}]  {result.state} {','.join(result.flags)}")
    if not count:
        raise ValueError(f"{args.folder}: no exemplar answers")
    print(f"{count - wrong} of {count} in their band; {left_out} questions with code are for tests/bank/test_exemplars.py, which runs it")
    return 1 if wrong else 0


def _evaluate(args: argparse.Namespace) -> int:
    from grading.evaluate import evaluate, load, table

    rubric = Rubric.from_dict(yaml.safe_load(Path(args.rubric).read_text("utf-8")), args.rubric) if args.rubric else None
    report, lines = evaluate(load(args.file, rubric), rubric, args.calibrate)
    if args.out:
        Path(args.out).write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    print(json.dumps(report, allow_nan=False) if args.json else table(report))
    return 0


def _attack(args: argparse.Namespace) -> int:
    from grading.attack import attack, attack_bank, bank_table, table
    from grading.evaluate import load

    if Path(args.file).is_dir():
        report = attack_bank(Path(args.file), args.limit)
        print(json.dumps(report, allow_nan=False) if args.json else bank_table(report))
    else:
        report = attack(load(args.file), args.limit)
        print(json.dumps(report, allow_nan=False) if args.json else table(report))
    return 0


def _marked(args: argparse.Namespace) -> int:
    from grading.fit import stripped
    from grading.marked import read_all, report, table

    questions = read_all(Path(args.folder), Path(args.bank))
    found = report([stripped(question) for question in questions] if args.draft else questions)
    print(json.dumps(found) if args.json else table(found))
    return 0


def _fit(args: argparse.Namespace) -> int:
    from grading.fit import cross_validated
    from grading.fusion import FILE
    from grading.marked import read_all, table

    weights, found, stripped = cross_validated(read_all(Path(args.folder), Path(args.bank)))
    print(json.dumps(weights.to_dict(), indent=1))
    print("\neach question with the weights that the others give:\n" + table(found))
    print("\nthe same by rubrics with one paraphrase for each claim, no terms and no contradictions:\n" + table(stripped))
    if args.write:
        FILE.write_text(json.dumps(weights.to_dict(), indent=1) + "\n", "utf-8")
    return 0


def _order(args: argparse.Namespace) -> int:
    from grading.order import shipped
    from grading.order_fit import keep, measure, sentences, teach, told

    lines, held = sentences(Path(args.bank), Path(args.folder))
    if args.write:
        made, kept = teach(lines)
        keep(kept)
    else:
        made = shipped()
    found = measure(made, held)
    print(json.dumps(found) if args.json else told(found))
    return 0


def _statements(args: argparse.Namespace) -> int:
    from grading.statements import measure, read_all, table

    open_, held = read_all(Path(args.folder)) if args.folder else read_all()
    found = measure(open_ if args.open else held)
    print(json.dumps(found) if args.json else table(found))
    return 0


def _speed(args: argparse.Namespace) -> int:
    from grading.speed import measure, told

    found = measure(read_folder(Path(args.folder)), args.words, args.rounds)
    print(json.dumps(found) if args.json else told(found))
    return 0


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m grading", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("score", help="mark one answer and show each claim's score against its cut")
    one.add_argument("rubric")
    one.add_argument("answer", help="a Markdown file, or - for standard input")
    one.add_argument("--prompt", help="the question; without it, prompt.md beside the rubric")
    one.add_argument("--seed", type=int, default=PUBLISHED, help="the variant, for a question with generated numbers")
    one.add_argument("--json", action="store_true")
    one.add_argument("-v", "--verbose", action="store_true", help="misconceptions and weak evidence too")
    one.set_defaults(do=_score)
    draft = commands.add_parser("draft", help="print a rubric.yaml to start from, with the statements of a model answer as claims")
    draft.add_argument("prompt", help="the question, a Markdown file")
    draft.add_argument("model_answer", help="a Markdown file, or - for standard input; front matter is left out")
    draft.add_argument("--points", type=float, default=28, help="what the rubric is worth (default 28)")
    draft.set_defaults(do=_draft)
    pack = commands.add_parser("pack", help="mark the exemplar answers of a bank folder and compare with their levels")
    pack.add_argument("folder")
    pack.add_argument("--seeds", type=int, default=3, metavar="N", help="variants to try of a question with generated numbers; the first is the published one")
    pack.set_defaults(do=_pack)
    agree = commands.add_parser("evaluate", help="agreement with marked answers (JSON lines)")
    agree.add_argument("file")
    agree.add_argument("--rubric", help="mark by this rubric instead of each line's reference")
    agree.add_argument("--json", action="store_true")
    agree.add_argument("--out", help="write the prediction of each line here")
    agree.add_argument("--calibrate", type=int, default=0, metavar="K", help="marked answers of each question that may be used")
    agree.set_defaults(do=_evaluate)
    attacks = commands.add_parser("attack", help="what cheating earns on marked answers (JSON lines), or on a bank's exemplars")
    attacks.add_argument("file", help="JSON lines of marked answers, or a folder of questions")
    attacks.add_argument("--limit", type=int, default=150, help="good answers, and bad ones, to work on; questions of a bank")
    attacks.add_argument("--json", action="store_true")
    attacks.set_defaults(do=_attack)
    marked = commands.add_parser("marked", help="agreement with the answers of a folder that were marked claim by claim")
    marked.add_argument("folder", nargs="?", default="interviews/bank/marked")
    marked.add_argument("--bank", default="interviews/bank/packs", help="where the rubrics are")
    marked.add_argument("--draft", action="store_true", help="by the rubrics as a first draft has them: one paraphrase a claim, no terms, no contradictions")
    marked.add_argument("--json", action="store_true")
    marked.set_defaults(do=_marked)
    fitted = commands.add_parser("fit", help="fit the weights of evidence to the marked folder, and measure them question by question")
    fitted.add_argument("folder", nargs="?", default="interviews/bank/marked")
    fitted.add_argument("--bank", default="interviews/bank/packs")
    fitted.add_argument("--write", action="store_true", help="keep the weights for the scorer")
    fitted.set_defaults(do=_fit)
    ordered = commands.add_parser("order", help="how well the order of words tells prose from the same words shuffled, on the held-out statements")
    ordered.add_argument("folder", nargs="?", default="interviews/bank/marked")
    ordered.add_argument("--bank", default="interviews/bank/packs")
    ordered.add_argument("--write", action="store_true", help="teach the network anew from all other sentences first (minutes), and keep it")
    ordered.add_argument("--json", action="store_true")
    ordered.set_defaults(do=_order)
    stated = commands.add_parser("statements", help="how well signs of a contradiction tell right sentences from wrong ones, on the held-out statements")
    stated.add_argument("folder", nargs="?", help="without one, the statements of this repository")
    stated.add_argument("--open", action="store_true", help="on the others, which the rules were written with")
    stated.add_argument("--json", action="store_true")
    stated.set_defaults(do=_statements)
    speed = commands.add_parser("speed", help="how long a long answer takes, beside the encoder alone")
    speed.add_argument("folder", nargs="?", default="interviews/bank/packs/advanced-inference/high-performance-serving", help="a question of the bank")
    speed.add_argument("--words", type=int, default=800)
    speed.add_argument("--rounds", type=int, default=9)
    speed.add_argument("--json", action="store_true")
    speed.set_defaults(do=_speed)
    args = parser.parse_args(argv)
    try:
        return int(args.do(args))
    except RubricError as error:
        print(f"error: {error}", file=sys.stderr)
    except (OSError, ValueError, yaml.YAMLError) as error:
        print(f"error: {error}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
