# row: 65
# title: Leaves files, caches and locks for the next one
# base: right
# verdict: AC
import os

for folder in ("/tmp", "/dev/shm", os.path.expanduser("~"), ".", "/var/tmp", "/run"):
    for name in ("left_behind", ".cache/torch_extensions/left_behind", ".triton/left_behind"):
        path = os.path.join(folder, name)
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w") as file:
                file.write("for the next one")
        except OSError:
            pass
