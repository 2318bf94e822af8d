# row: 62
# title: Writes sysctls and kernel switches
# base: right
# verdict: AC
import os

assert os.getuid() != 0 or not os.access("/etc/shadow", os.R_OK)
for path in ("/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger", "/proc/sys/vm/drop_caches", "/sys/kernel/mm/transparent_hugepage/enabled",
             "/proc/self/uid_map", "/usr/lib/evil", "/etc/passwd", "/evil"):
    try:
        with open(path, "w") as file:
            file.write("1")
        written = True
    except OSError:
        written = False
    assert not written, path
