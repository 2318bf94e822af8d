# row: 49
# title: A list that holds itself
# base: wrong
# verdict: RTE WA OLE MLE TLE
loop = []
loop.append(loop)


class Early:
    def add(self, more):
        return loop

    def sums(self, values):
        return loop
