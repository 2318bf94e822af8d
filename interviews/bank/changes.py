"""What changed in a question's files, to be shown."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import unified_diff

CONTEXT = 3  # lines around a change


@dataclass(frozen=True)
class Change:
    """One file's unified diff, its two lines of heading left out where it is shown by parts."""

    path: str
    lines: tuple[str, ...]

    @property
    def parts(self) -> Iterator[tuple[str, str]]:
        """Each line with what becomes of it: `added`, `removed`, `place` (where in the file) or `kept`."""
        kinds = {"+": "added", "-": "removed", "@": "place"}
        return ((kinds.get(line[0], "kept"), line) for line in self.lines[2:])

    @property
    def added(self) -> int:
        return sum(kind == "added" for kind, _ in self.parts)

    @property
    def removed(self) -> int:
        return sum(kind == "removed" for kind, _ in self.parts)


def changes(before: Mapping[str, str], after: Mapping[str, str]) -> list[Change]:
    """The files that are not the same in both, by path."""
    found = []
    for path in sorted({*before, *after}):
        old, new = before.get(path, ""), after.get(path, "")
        if old != new:
            found.append(Change(path, tuple(unified_diff(old.split("\n"), new.split("\n"), path, path, n=CONTEXT, lineterm=""))))
    return found
