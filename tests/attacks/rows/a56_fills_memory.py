# row: 56
# title: Allocates until it is stopped
# base: wrong
# verdict: MLE RTE CE TLE
held = []
while True:
    held.append(bytearray(1 << 26))
