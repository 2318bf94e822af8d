# row: 4
# title: Walks the frames to the harness and looks for tests, expectations and verdicts
# base: right
# verdict: AC
import sys

frame = sys._getframe()
while frame is not None:
    for name, value in {**frame.f_globals, **frame.f_locals}.items():
        told = f"{name} {type(value).__module__}.{type(value).__qualname__}".lower()
        assert not any(word in told for word in ("hidden", "verdict", "expected", "sandbox.checks", "sandbox.judging")), told
    frame = frame.f_back
