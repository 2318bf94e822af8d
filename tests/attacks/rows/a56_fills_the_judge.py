# row: 56
# title: Has the judge's engine hold thousands of sequences that share their tokens, and a test take notes of them in pass after pass
# base: wrong
# verdict: WA RTE TLE
# lab: speculative-decoder
from roofline import EngineError


class SpeculativeDecoder:
    def __init__(self, target, draft, k):
        self.target = target

    def verify(self, tokens, p, q, u):
        raise ValueError

    def generate(self, prompt, max_new_tokens, temperature, stop):
        if not temperature:
            raise ValueError
        long = self.target.open("long")
        self.target.forward([(long, [1] * 240)])
        writer = self.target.open("writer", long, 240)
        try:
            for number in range(4090):
                self.target.open(str(number), long, 240)
        except EngineError:
            pass
        while True:
            self.target.forward([(writer, [1])])
            self.target.truncate(writer, 240)
