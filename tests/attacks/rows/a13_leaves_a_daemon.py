# row: 13
# title: A double fork that lives on and answers later
# base: right
# verdict: AC RTE CE SV
import os
import time

if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        for _ in range(600):
            time.sleep(0.1)
            for fd in range(3, 16):
                try:
                    os.write(fd, b"\0\0\0\2{}")
                except OSError:
                    pass
    os._exit(0)
