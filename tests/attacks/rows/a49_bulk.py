# row: 49
# title: Ten million numbers
# base: wrong
# verdict: RTE WA OLE MLE TLE


class Early:
    def add(self, more):
        return [0] * 10**7

    def sums(self, values):
        return [0] * 10**7
