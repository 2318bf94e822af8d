# row: 50
# title: Symbolic links, FIFOs and devices where a file may be expected
# base: right
# verdict: AC
import os
import stat

for folder in (".", "/tmp", "/dev/shm"):
    for n, make in enumerate((lambda p: os.symlink("/etc/passwd", p), lambda p: os.mkfifo(p), lambda p: os.mknod(p, stat.S_IFBLK | 0o666, os.makedev(8, 0)))):
        try:
            make(os.path.join(folder, f"answer{n}.json"))
        except OSError:
            continue
        assert n != 2, "a block device was made"
