# row: 40
# title: Right values of another dtype
# base: wrong
# verdict: WA
class Early:
    def sums(self, values):
        return values.double().sum(dim=1)
