# row: 7
# title: A subclass of int that says it equals everything
# base: wrong
# verdict: WA RTE
class Agrees(int):
    def __eq__(self, other):
        return True

    def __ne__(self, other):
        return False

    __hash__ = int.__hash__


class Early:
    def add(self, more):
        return Agrees(5)
