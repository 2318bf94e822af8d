# row: 42
# title: Hard-coded answers of the public tests
# base: wrong
# verdict: WA
class Early:
    def add(self, more):
        return 7
