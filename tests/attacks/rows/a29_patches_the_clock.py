# row: 29
# title: Stops every clock it can reach, then works too long
# base: wrong
# verdict: TLE ILE
import time

real = time.sleep
time.time = time.monotonic = time.perf_counter = time.process_time = lambda: 0.0
time.time_ns = time.monotonic_ns = time.perf_counter_ns = lambda: 0


class Early:
    def add(self, more):
        real(60)
