# row: 48
# title: Answers with an object whose unpickling runs code
# base: wrong
# verdict: RTE WA
import os


class Bomb:
    def __reduce__(self):
        return os.system, ("touch /tmp/unpickled",)


class Early:
    def add(self, more):
        return Bomb()

    def sums(self, values):
        return [Bomb()]
