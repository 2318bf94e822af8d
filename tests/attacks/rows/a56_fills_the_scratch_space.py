# row: 56
# title: Writes until /tmp and /dev/shm are full
# base: right
# verdict: AC MLE RTE CE TLE
import os

for folder in ("/tmp", "/dev/shm", "."):
    try:
        with open(os.path.join(folder, "full"), "wb") as file:
            for _ in range(4096):
                file.write(b"\1" * (1 << 20))
        raise SystemError("four gigabytes were written")
    except OSError:
        pass
    finally:
        try:
            os.remove(os.path.join(folder, "full"))
        except OSError:
            pass
