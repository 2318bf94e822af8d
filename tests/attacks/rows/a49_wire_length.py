# row: 49
# title: A frame of four gigabytes, announced
# base: wrong
# verdict: RTE SV CE TLE ILE
import os
import socket


class Early:
    def add(self, more):
        for fd in range(3, 32):
            try:
                socket.socket(fileno=os.dup(fd)).sendall(b"\xff" * 16)
            except OSError:
                pass
        return 7
