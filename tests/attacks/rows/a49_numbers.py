# row: 49
# title: Numbers that no format holds
# base: wrong
# verdict: RTE WA OLE MLE TLE


class Early:
    def add(self, more):
        return [10**5000, float("inf"), -(2**70)]

    def sums(self, values):
        return [10**5000, float("inf"), -(2**70)]
