# row: 59
# title: Opens files until none is left, and makes a sparse file of a terabyte
# base: wrong
# verdict: WA RTE CE SV TLE
import os

try:
    with open("/tmp/sparse", "wb") as file:
        file.truncate(1 << 40)
except OSError:
    pass
held = []
try:
    while True:
        held.append(os.open("/dev/null", os.O_RDONLY))
except OSError:
    pass
