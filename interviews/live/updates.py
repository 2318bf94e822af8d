"""What a Yjs update holds, read before the library sees it.

The library reads nested values and nested types by recursion without a guard, so that one small update can end the process, and places each run of
characters by walking over what lies between its two neighbours, so that one of many runs can hold it up for minutes. An answer needs neither: four flat
roots of text, numbers and nothing else. This reads the first version of the update format (yjs/yjs, `src/utils/UpdateEncoder.js`, and dmonad/lib0,
`encoding.js`).
"""

ROOTS = frozenset({b"text", b"code", b"fields", b"scene"})
MAX_NUMBER = 2**53
GC, DELETED, STRING, ANY, SKIP = 0, 1, 4, 8, 10  # what a struct holds; the others nest, or are things that no answer has
LEFT, RIGHT, KEYED = 0x80, 0x40, 0x20
FIXED = {127: 0, 126: 0, 124: 4, 123: 8, 122: 8, 121: 0, 120: 0}  # bytes of undefined, null, floats, big integers, false and true
INTEGER, TEXT = 125, 119


class Malformed(ValueError):
    """Bytes that are no update of an answer."""


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def byte(self) -> int:
        if self.at >= len(self.data):
            raise Malformed("an update that ends too soon")
        self.at += 1
        return self.data[self.at - 1]

    def skip(self, length: int) -> bytes:
        start, self.at = self.at, self.at + length
        if self.at > len(self.data):
            raise Malformed("an update that ends too soon")
        return self.data[start : self.at]

    def number(self, most: int = MAX_NUMBER) -> int:
        """An unsigned integer, seven bits a byte, the lowest first."""
        value = shift = 0
        while True:
            byte = self.byte()
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                break
            if shift > 63:
                raise Malformed("a number without end")
        if value > most:
            raise Malformed("a number that is too large")
        return value

    def string(self) -> bytes:
        return self.skip(self.number())

    def value(self) -> None:
        """One value of an entry: a text, a number, true, false or nothing."""
        kind = self.byte()
        if kind == TEXT:
            self.string()
        elif kind == INTEGER:
            while self.byte() >= 128:
                pass
        elif kind in FIXED:
            self.skip(FIXED[kind])
        else:
            raise Malformed("a value that is no text and no number")

    def origin(self) -> None:
        self.number()
        self.number()

    def struct(self) -> None:
        info = self.byte()
        kind = info & 31
        if kind in (GC, SKIP):
            self.number()
            return
        if info & LEFT:
            self.origin()
        if info & RIGHT:
            self.origin()
        if not info & (LEFT | RIGHT):
            if self.number() != 1:
                raise Malformed("a shared type inside another")
            if self.string() not in ROOTS:
                raise Malformed("a shared type that no answer has")
            if info & KEYED:
                self.string()
        if kind == DELETED:
            self.number()
        elif kind == STRING:
            self.string()
        elif kind == ANY:
            for _ in range(self.number(len(self.data))):
                self.value()
        else:
            raise Malformed("a shared type inside another, or markup")


def structs(update: bytes) -> int:
    """How many structs and deleted ranges an update has. Raises Malformed when it holds what no answer does."""
    reader, count = _Reader(update), 0
    for _ in range(reader.number(len(update))):
        inside = reader.number(len(update))
        reader.origin()  # the client, and its clock at the first struct
        for _ in range(inside):
            reader.struct()
        count += inside
    for _ in range(reader.number(len(update))):
        reader.number()
        ranges = reader.number(len(update))
        for _ in range(ranges):
            reader.origin()  # clock and length
        count += ranges
    if reader.at != len(update):
        raise Malformed("bytes after the end of an update")
    return count
