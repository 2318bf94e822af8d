# row: 49
# title: Lone surrogates, NUL and a megabyte of text
# base: wrong
# verdict: RTE WA OLE MLE TLE


class Early:
    def add(self, more):
        return "\ud800\0" * 1000

    def sums(self, values):
        return "\ud800\0" * 1000
