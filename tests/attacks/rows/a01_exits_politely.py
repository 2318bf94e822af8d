# row: 1
# title: sys.exit(0) at import
# base: wrong
# verdict: CE RTE
import sys

sys.exit(0)
