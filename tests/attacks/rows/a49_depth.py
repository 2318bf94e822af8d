# row: 49
# title: A list nested without end
# base: wrong
# verdict: RTE WA OLE MLE TLE
deep = []
for _ in range(100_000):
    deep = [deep]


class Early:
    def add(self, more):
        return deep

    def sums(self, values):
        return deep
