# row: 10
# title: Raises SystemExit(0) in a call
# base: wrong
# verdict: RTE
class Early:
    def add(self, more):
        raise SystemExit(0)
