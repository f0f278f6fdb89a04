// Small Python programs of the kernel's side that chapters share, besides those in examples/.
#pragma once

namespace adieu::cli {

// Accepts, reads to the end of each stream, and says nothing until it is told to on its standard input: "speak" (a line
// to everybody), "close" (everybody). Arguments: the port.
inline constexpr const char* kQuietServer = R"(
import socket, sys, threading
connections = []
def hear(connection):
    try:
        while connection.recv(65536): pass
        print("end of stream from", connection.getpeername()[0], flush=True)
    except OSError as error: print("ended:", error.strerror, flush=True)
def accept(listener):
    while True:
        connections.append(listener.accept()[0])
        threading.Thread(target=hear, args=connections[-1:], daemon=True).start()
listener = socket.create_server(("0.0.0.0", int(sys.argv[1])))
threading.Thread(target=accept, args=(listener,), daemon=True).start()
print("listening", flush=True)
for word in sys.stdin:
    for connection in connections:
        try:
            if word == "speak\n": connection.sendall(b"still here\n")
            else: connection.close()
        except OSError as error: print("cannot speak:", error.strerror, flush=True)
)";

// Sends octets, at a pace, to a server that echoes them, and prints both hashes. Arguments: host, port, octets, pause
// in ms after every 64 KiB.
inline constexpr const char* kEchoClient = R"(
import hashlib, os, socket, sys, threading, time
host, port, total, pause = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]) / 1000
connection = socket.create_connection((host, port))
print("connected", connection.getsockname()[1], flush=True)
sent = hashlib.sha256()
def speak():
    left = total
    while left > 0:
        block = os.urandom(min(left, 65536))
        sent.update(block)
        connection.sendall(block)
        left -= len(block)
        time.sleep(pause)
    connection.shutdown(socket.SHUT_WR)
speaker = threading.Thread(target=speak)
speaker.start()
heard, octets = hashlib.sha256(), 0
while data := connection.recv(1 << 18):
    heard.update(data)
    octets += len(data)
speaker.join()
print("octets", octets, "sent", sent.hexdigest(), "heard", heard.hexdigest(), flush=True)
)";

}  // namespace adieu::cli
