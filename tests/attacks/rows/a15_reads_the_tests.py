# row: 15
# title: Looks for tests, solutions, labs, histories and byte code
# base: right
# verdict: AC
import os

WORDS = ("hidden_tests", "public_tests", "wrong_", "judging", "oracle", "lab.yaml", ".git", "manage.py", "rubric")
found = []
for root, folders, files in os.walk("/"):
    folders[:] = [f for f in folders if os.path.join(root, f) not in ("/proc", "/sys") and f not in ("torch", "numpy", "sympy", "networkx")]
    found += [os.path.join(root, name) for name in (*folders, *files) if any(word in name for word in WORDS) and "site-packages" not in root
              and not root.startswith("/usr")]
assert not found, found[:5]
