# row: 60
# title: Ignores every signal, leaves its session, and hangs
# base: wrong
# verdict: TLE ILE RTE CE SV
import os
import signal
import time

for number in range(1, 65):
    try:
        signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError):
        pass
if os.fork():
    time.sleep(60)
os.setsid()
if os.fork():
    os._exit(0)
time.sleep(60)
