# row: 25
# title: Every family of sockets that could carry tests out or answers in
# base: right
# verdict: AC
import socket

for family, kind, address in (
    (socket.AF_INET, socket.SOCK_STREAM, ("1.1.1.1", 53)), (socket.AF_INET, socket.SOCK_DGRAM, ("8.8.8.8", 53)),
    (socket.AF_INET6, socket.SOCK_STREAM, ("2606:4700:4700::1111", 53)), (socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 6379)),
    (socket.AF_INET, socket.SOCK_STREAM, ("169.254.169.254", 80)),
):
    try:
        with socket.socket(family, kind) as made:
            made.settimeout(0.5)
            made.connect(address)
            made.send(b"x")
            reached = True
    except OSError:
        reached = False
    assert not reached, address
for family in (getattr(socket, name) for name in ("AF_NETLINK", "AF_VSOCK", "AF_PACKET", "AF_ALG") if hasattr(socket, name)):
    try:
        socket.socket(family, socket.SOCK_RAW).close()
        opened = True
    except OSError:
        opened = False
    assert not opened, family
