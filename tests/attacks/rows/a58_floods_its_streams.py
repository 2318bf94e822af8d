# row: 58
# title: Writes without end to stdout and stderr
# base: wrong
# verdict: OLE TLE RTE CE
import os

while True:
    os.write(1, b"x" * 65536)
    os.write(2, b"y" * 65536)
