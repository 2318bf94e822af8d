# row: 61
# title: Waits for ever and uses no processor
# base: wrong
# verdict: TLE ILE CE
import time

time.sleep(600)
