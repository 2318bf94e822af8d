"""Text of one request as its tokens come: never half a character, never text that a stop string will take back."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Sequence


class StreamingDetokenizer:
    """See `engine.seams.Detokenizer`. The work per token is bounded by its own bytes and the longest stop string.

    `token_bytes`: the bytes that a token adds to the text. Bytes that can't be UTF-8 become U+FFFD, as `bytes.decode(errors="replace")` has it:
    as soon as that is certain, or at the end. `stops`: the text ends before the first of them to be complete (the longest, if several end
    there); with `include` it ends behind it. `skip`: bytes at the start that the prompt already holds (token healing). `quiet`: tokens during
    which no stop string counts (`min_tokens`).

    What may become a stop string is held back; hence the pieces that `feed` and `finish` give do not depend on how the tokens cut the text,
    but for where one piece ends and the next begins.
    """

    def __init__(
        self, token_bytes: Callable[[int], bytes], stops: Sequence[str] = (), include: bool = False, skip: int = 0, quiet: int = 0
    ):  # fmt: skip
        self.token_bytes, self.stops, self.include = token_bytes, tuple(stops), include
        self.stopped: str | None = None
        self.decoded = 0  # characters so far, those that are held back included
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._held = ""
        self._skip, self._quiet = skip, quiet

    def feed(self, tokens: Sequence[int]) -> str:
        """The text that is now certain. Sets `stopped` when a stop string is complete; what follows it is dropped."""
        out = []
        for token in tokens:
            if self.stopped is not None:
                break
            data = self.token_bytes(token)
            skipped, self._skip = min(self._skip, len(data)), max(0, self._skip - len(data))
            text = self._decoder.decode(data[skipped:])
            self.decoded += len(text)
            if self._quiet:
                self._quiet -= 1
                out.append(text)
            else:
                out.append(self._match(text))
        return "".join(out)

    def finish(self) -> str:
        """The rest, when the text ends for another reason than a stop string: what was held back and what is left of a broken character."""
        tail = self._match(self._decoder.decode(b"", final=True))
        rest, self._held = ("" if self.stopped is not None else self._held), ""
        return tail + rest

    def _match(self, text: str) -> str:
        self._held += text
        found = [(at + len(stop), at, stop) for stop in self.stops if (at := self._held.find(stop)) >= 0]
        if found:
            end, start, self.stopped = min(found)
            certain, self._held = self._held[: end if self.include else start], ""
            return certain
        keep = self._beginning()
        certain, self._held = self._held[: len(self._held) - keep], self._held[len(self._held) - keep :]
        return certain

    def _beginning(self) -> int:
        """How many of the last characters may be the beginning of a stop string."""
        longest = max((len(stop) for stop in self.stops), default=1) - 1
        return next((n for n in range(min(longest, len(self._held)), 0, -1) if any(stop.startswith(self._held[-n:]) for stop in self.stops)), 0)
