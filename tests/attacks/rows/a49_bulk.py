# row: 49
# title: A hundred million numbers
# base: wrong
# verdict: RTE WA OLE MLE TLE
loop = []
loop.append(loop)
deep = []
for _ in range(100_000):
    deep = [deep]


class Early:
    def add(self, more):
        return [0] * 10**7

    def sums(self, values):
        return [0] * 10**7
