# row: 49
# title: Noise on the wire
# base: wrong
# verdict: RTE SV CE TLE ILE
import os
import socket


class Early:
    def add(self, more):
        for fd in range(3, 32):
            try:
                socket.socket(fileno=os.dup(fd)).sendall(os.urandom(4096))
            except OSError:
                pass
        return 7
