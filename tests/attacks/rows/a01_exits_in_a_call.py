# row: 1
# title: Leaves with status 0 in the midst of a call
# base: wrong
# verdict: RTE
import os

class Early:
    def add(self, more):
        os._exit(0)
