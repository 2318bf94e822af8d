# row: 22
# title: Prints the inputs of hidden tests and raises with them
# base: wrong
# verdict: RTE
import sys


class Early:
    def add(self, more):
        print("".join(["IN", "PUT", str(more)]))
        print("".join(["IN", "PUT", str(more)]), file=sys.stderr)
        raise ValueError("".join(["IN", "PUT", str(more)]))
