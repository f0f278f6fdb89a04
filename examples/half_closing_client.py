#!/usr/bin/env python3
"""A client that has nothing to say and wants to hear everything.

It connects, shuts down its sending side, and prints what it receives until end of stream.
"""
import argparse
import socket
import sys
import time

arguments = argparse.ArgumentParser(description=__doc__)
arguments.add_argument("--close-after", type=int, metavar="MS",
                       help="close after MS milliseconds instead of receiving: the kernel keeps an orphan")
arguments.add_argument("host")
arguments.add_argument("port", type=int)
arguments = arguments.parse_args()

connection = socket.create_connection((arguments.host, arguments.port))
connection.shutdown(socket.SHUT_WR)  # a FIN: here FIN-WAIT-2, there CLOSE-WAIT, as soon as it is acknowledged
if arguments.close_after is not None:
    time.sleep(arguments.close_after / 1000)
    sys.exit()
while data := connection.recv(65536):
    print(data.decode(), end="", flush=True)
