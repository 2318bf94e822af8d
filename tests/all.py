"""Every suite, two at a time, and one summary: `python -m tests.all`.

Each leg is a command with a log of its own. A leg that fails prints its log's end; all legs run whatever the others did.
"""

import os
import re
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PYTEST = [sys.executable, "-m", "pytest", "-q", "--durations=5"]
EXEMPLARS = "tests/bank/test_exemplars.py"
SITE = ["tests/accounts", "tests/bank", "tests/house", "tests/live", "tests/review", f"--ignore={EXEMPLARS}"]
TAIL = 120
COUNT = re.compile(r"(\d+) (passed|failed|errors?|skipped)")


@dataclass(frozen=True)
class Leg:
    """One command. `floor` is how many tests it must at least pass: a suite that collects nothing has not passed."""

    name: str
    argv: list[str]
    floor: int = 0
    env: dict[str, str] = field(default_factory=dict)
    cwd: Path = ROOT


@dataclass(frozen=True)
class Result:
    leg: Leg
    code: int
    seconds: float
    log: str

    @property
    def counts(self) -> dict[str, int]:
        """What the runner's last lines say; vitest names files before tests, so the last match of each word counts."""
        plain = re.sub(r"\x1b\[[0-9;]*m", "", self.log[-3000:])
        return {word.rstrip("s") if word.startswith("error") else word: int(n) for n, word in COUNT.findall(plain)}

    @property
    def ok(self) -> bool:
        return self.code == 0 and self.counts.get("passed", 0) >= self.leg.floor


def chains() -> list[list[Leg]]:
    """Two chains of legs that run beside each other, about equally long."""
    postgres, sqlite = {"TEST_DB": "postgres"}, {"TEST_DB": "sqlite"}
    bin_dir = Path(sys.executable).parent
    return [
        [
            Leg("lint", [str(bin_dir / "ruff"), "check", "--quiet", "."]),
            Leg("imports", [str(bin_dir / "lint-imports"), "--no-cache"]),
            Leg("engine", [*PYTEST, "tests/engine"], 1),
            Leg("grading", [*PYTEST, "tests/grading"], 1),
            Leg("bank", [*PYTEST, EXEMPLARS], 1),
            Leg("site on SQLite", [*PYTEST, *SITE], 1, sqlite),
            Leg("front end", ["npm", "run", "test", "--silent"], 1, cwd=ROOT / "frontend"),
            Leg("types", [str(bin_dir / "mypy")]),
        ],
        [
            Leg("site on PostgreSQL", [*PYTEST, *SITE], 1, postgres),
            Leg("sandbox", [*PYTEST, "tests/sandbox"], 1, postgres),
            Leg("attacks", [*PYTEST, "tests/attacks"], 1),
            Leg("browser", [*PYTEST, "tests/e2e"], 1),
        ],
    ]


def run(leg: Leg) -> Result:
    """Runs one leg and prints its line."""
    start = time.monotonic()
    with tempfile.TemporaryFile("w+") as log:
        done = subprocess.run(leg.argv, cwd=leg.cwd, env=os.environ | leg.env, stdout=log, stderr=subprocess.STDOUT, check=False)
        log.seek(0)
        result = Result(leg, done.returncode, time.monotonic() - start, log.read())
    tail = "" if result.ok else "\n" + "\n".join(result.log.splitlines()[-TAIL:])
    print(f"{'ok  ' if result.ok else 'FAIL'} {leg.name} ({result.seconds:.0f} s){tail}", flush=True)
    return result


def main() -> int:
    with ThreadPoolExecutor(2) as pool:
        results = [result for chain in pool.map(lambda chain: [run(leg) for leg in chain], chains()) for result in chain]
    print(f"\n{'suite':<22}{'result':<8}{'passed':>8}{'failed':>8}{'skipped':>9}{'seconds':>9}")
    passed = failed = skipped = 0
    for result in results:
        counts = result.counts if result.leg.floor else {}
        bad = counts.get("failed", 0) + counts.get("error", 0)
        bad = bad or int(not result.ok)
        good = counts.get("passed", int(result.ok and not result.leg.floor))
        passed, failed, skipped = passed + good, failed + bad, skipped + counts.get("skipped", 0)
        row = f"{result.leg.name:<22}{'ok' if result.ok else 'FAILED':<8}{good:>8}{bad:>8}{counts.get('skipped', 0):>9}{result.seconds:>9.0f}"
        print(row)
    print(f"\n{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
