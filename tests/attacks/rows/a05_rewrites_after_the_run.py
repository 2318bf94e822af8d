# row: 5
# title: atexit and a thread that answer once the harness is done
# base: wrong
# verdict: WA RTE SV
import atexit
import os
import threading
import time


def late():
    time.sleep(0.2)
    for fd in range(3, 32):
        try:
            os.write(fd, b"\0\0\0\2{}")
        except OSError:
            pass


atexit.register(late)
threading.Thread(target=late, daemon=True).start()
