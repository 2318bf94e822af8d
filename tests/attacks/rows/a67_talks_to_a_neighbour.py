# row: 67
# title: Looks for neighbours: abstract sockets, shared memory, processes
# base: right
# verdict: AC
import os
import socket

with open("/proc/net/unix") as file:
    names = [line.split()[7:] for line in file.readlines()[1:]]
assert not [name for name in names if name and name[0].startswith("@")], names
assert not os.path.exists("/dev/shm") or not os.listdir("/dev/shm")
for path in ("/proc/sysvipc/shm", "/proc/sysvipc/msg", "/proc/sysvipc/sem"):
    if os.path.exists(path):
        with open(path) as file:
            assert len(file.readlines()) == 1, path
pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
assert len(pids) <= 8 and max(pids) < 1000, pids
try:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind("\0neighbour")
    bound = True
except OSError:
    bound = False
assert not bound
