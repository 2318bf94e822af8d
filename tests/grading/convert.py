"""Turn a folder of a public marked set into the lines that `python -m grading evaluate` reads.

    python tests/grading/convert.py saf FOLDER > saf.jsonl
    python tests/grading/convert.py beetle FOLDER > beetle.jsonl

SAF (Filighera et al. 2022): XML per question under */english/. Beetle (SemEval-2013 task 7): answers.tsv and the gold label files.
"""

import argparse
import csv
import json
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path

LABEL_SCORE = {"correct": 1.0, "partially_correct_incomplete": 0.5, "contradictory": 0.0, "irrelevant": 0.0, "non_domain": 0.0}


def saf(folder: Path, language: str = "english") -> Iterator[dict[str, object]]:
    for path in sorted(folder.glob(f"*/{language}/*.xml")):
        root = ElementTree.parse(path).getroot()
        question = " ".join((root.findtext("questionText") or "").split())
        reference = "\n".join(r.text.strip() for r in root.iter("referenceAnswer") if r.text)
        for answer in root.iter("studentAnswer"):
            yield {"question_id": path.stem, "question": question, "reference": reference,
                   "answer": (answer.findtext("response") or "").strip(), "score": float(answer.findtext("score") or 0), "max_score": 1,
                   "split": path.parent.parent.name}


def beetle(folder: Path) -> Iterator[dict[str, object]]:
    rows: dict[str, dict[str, object]] = {}
    with (folder / "answers.tsv").open(encoding="utf-8") as lines:
        for row in csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE):
            if len(row) >= 4:
                known = rows.setdefault(row[0], {"question": row[1], "answer": row[2], "references": []})
                if row[3].strip() and row[3] not in known["references"]:  # type: ignore[operator]
                    known["references"].append(row[3])  # type: ignore[attr-defined]
    for name in ("trainingGold.txt", "testGold-UA.txt", "testGold-UQ.txt"):
        with (folder / name).open(encoding="utf-8") as lines:
            for gold in csv.DictReader(lines, delimiter="\t"):
                if gold["id"] in rows:
                    row = rows[gold["id"]]
                    label = gold["accuracy"]
                    yield {"question_id": gold["qid"], "question": row["question"], "reference": row["references"], "answer": row["answer"],
                           "score": LABEL_SCORE[label], "max_score": 1, "label": label, "split": name.removesuffix(".txt")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set", choices=["saf", "beetle"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--split", help="only this part, such as testGold-UQ")
    args = parser.parse_args()
    for line in (saf if args.set == "saf" else beetle)(args.folder):
        if not args.split or line.pop("split") == args.split:
            sys.stdout.write(json.dumps(line, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
