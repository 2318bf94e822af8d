# row: 61
# title: Computes for ever
# base: wrong
# verdict: TLE CE
while True:
    pass
