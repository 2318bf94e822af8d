# row: 55
# title: Starts threads until something breaks
# base: wrong
# verdict: RTE TLE ILE CE MLE WA
import threading
import time

try:
    while True:
        threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
except RuntimeError:
    pass
