# fails: sums_a_tensor
class Counter:
    def __init__(self, start):
        self.total = start

    def add(self, more):
        self.total += more
        return self.total

    def sums(self, values):
        return values.double().sum(dim=1)

    def chime(self, bell, depth):
        return bell.ring(depth)

    def tone(self, bell):
        return bell.tone
