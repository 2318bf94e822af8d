# row: 6
# title: dup2 of a pipe over every descriptor, to sit between harness and judge
# base: wrong
# verdict: RTE TLE ILE CE SV WA
import os

reader, writer = os.pipe()
for fd in range(32):
    if fd not in (reader, writer):
        try:
            os.fstat(fd)
            os.dup2(writer, fd)
        except OSError:
            pass
