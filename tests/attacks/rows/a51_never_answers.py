# row: 51
# title: Holds the connection open and sends half a frame
# base: wrong
# verdict: TLE ILE RTE SV
import os
import socket
import time


class Early:
    def add(self, more):
        for fd in range(3, 16):
            try:
                socket.socket(fileno=os.dup(fd)).send(b"\0\0\0")
            except OSError:
                pass
        time.sleep(60)
