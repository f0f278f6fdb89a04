#!/usr/bin/env python3
"""A server that never has enough of talking.

It accepts connections and sends "xxxxx" to each of them, without end. It does not read.
"""
import argparse
import socket
import threading
import time

arguments = argparse.ArgumentParser(description=__doc__)
arguments.add_argument("--pace", type=int, default=200, metavar="MS", help="milliseconds between two words (200)")
arguments.add_argument("--shut-receive", action="store_true", help="shut down the receiving side first")
arguments.add_argument("address", help="where to listen")
arguments.add_argument("port", type=int)
arguments = arguments.parse_args()


def talk(connection):
    if arguments.shut_receive:
        connection.shutdown(socket.SHUT_RD)  # nothing on the wire, and no change of state
    try:
        while True:
            connection.sendall(b"xxxxx")
            time.sleep(arguments.pace / 1000)
    except OSError as error:
        print(f"the connection ended: {error.strerror}", flush=True)


family = socket.AF_INET6 if ":" in arguments.address else socket.AF_INET
listener = socket.create_server((arguments.address, arguments.port), family=family)
print(f"listening on {arguments.address} {arguments.port}", flush=True)
while True:
    threading.Thread(target=talk, args=listener.accept()[:1], daemon=True).start()
