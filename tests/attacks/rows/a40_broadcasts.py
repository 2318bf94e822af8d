# row: 40
# title: A scalar, and a column, where a vector is due
# base: wrong
# verdict: WA
class Early:
    def sums(self, values):
        return values.sum(dim=1, keepdim=True)
