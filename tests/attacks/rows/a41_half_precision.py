# row: 41
# title: Computes in half precision under the tolerance
# base: wrong
# verdict: WA
class Early:
    def sums(self, values):
        return values.bfloat16().sum(dim=1).float()
