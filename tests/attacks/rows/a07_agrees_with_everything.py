# row: 7
# title: An answer whose comparisons, truth and number always agree
# base: wrong
# verdict: RTE WA
class Agrees:
    def __eq__(self, other):
        return True

    def __ne__(self, other):
        return False

    __hash__ = object.__hash__
    __bool__ = __lt__ = __le__ = __gt__ = __ge__ = lambda self, *other: True
    __float__ = lambda self: 7.0
    __int__ = __index__ = lambda self: 7
    __sub__ = __rsub__ = __abs__ = lambda self, *other: 0
    __class__ = int


class Early:
    def add(self, more):
        return Agrees()

    def sums(self, values):
        return Agrees()
