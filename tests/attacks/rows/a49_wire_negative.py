# row: 49
# title: A negative length
# base: wrong
# verdict: RTE SV CE TLE ILE
import os
import socket


class Early:
    def add(self, more):
        for fd in range(3, 32):
            try:
                socket.socket(fileno=os.dup(fd)).sendall(b"\x80\0\0\0" + b"{}")
            except OSError:
                pass
        return 7
