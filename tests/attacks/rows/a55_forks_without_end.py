# row: 55
# title: A fork bomb
# base: wrong
# verdict: RTE TLE ILE CE MLE WA OLE SV
import os

while True:
    try:
        os.fork()
    except OSError:
        pass
