# row: 10
# title: Raises what a test runner takes for a skip
# base: wrong
# verdict: RTE
import unittest


class Early:
    def add(self, more):
        raise unittest.SkipTest("nothing to see")

    def sums(self, values):
        raise KeyboardInterrupt
