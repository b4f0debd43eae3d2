"""A strict agent for tests: the lease protocol over a unix socket, in a process of its own.

usage: fake_agent.py SOCKET [--way WAY] [--fault FAULT] REF=FOLDER ...

It prints a line of JSON for everything that happens, a "fault" for whatever a client
may not do, and takes commands on its standard input: "move REF VERSION", "put REF
FOLDER", "patch REF FOLDER", "slow" and "go".
"""

import argparse
import array
import contextlib
import hashlib
import json
import os
import socket
import sys
import threading

import places

PROTOCOL = "ingot-lease/1"
REQUEST = {"ref": str, "mode": str, "deadline": (int, float), "first": list, "client": str}
DECLARE = {"ref": str, "version": str, "segments": list, "client": str}


class Fault(Exception):
    """A client does what it may not."""


def say(event, **more):
    os.write(1, json.dumps({"event": event, **more}).encode() + b"\n")  # whole, whoever else does


class Conn:
    """Frames over a socket, from the agent's side."""

    def __init__(self, sock):
        self.sock = sock

    def write(self, frame, fds=()):
        body = json.dumps(frame).encode()
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        # The worst that a stream may do: the first byte alone, then odd parts.
        self.raw(len(body).to_bytes(4, "big") + body, rights)

    def raw(self, data, rights=()):
        self.sock.sendmsg([data[:1]], rights)
        self.sock.sendall(data[1:7])
        self.sock.sendall(data[7:])

    def read(self):
        """Returns the next frame and its descriptors; None at the end."""
        fds, header = [], b""
        while len(header) < 4:
            try:
                got, rights, _, _ = self.sock.recvmsg(4 - len(header), socket.CMSG_SPACE(256 * 4), socket.MSG_CMSG_CLOEXEC)
            except ConnectionError:
                return None
            for _, _, content in rights:
                fds.extend(array.array("i", content))
            if not got:
                if header:
                    raise Fault("half a frame")
                return None
            header += got
        length = int.from_bytes(header, "big")
        body = b""
        while len(body) < length:
            got = self.sock.recv(length - len(body))
            if not got:
                raise Fault("half a frame")
            body += got
        return json.loads(body), fds


class Agent:
    def __init__(self, options):
        self.fault = options.fault
        self.folders = dict(m.split("=", 1) for m in options.models)
        self.memory = places.Memory(options.way)
        self.go = threading.Event()
        self.go.set()
        self.leases = {}  # connection: ref
        self.patched = set()  # connections whose memory is to have another version
        self.ended = threading.Condition()
        self.files = {ref: places.layout(folder, self.memory) for ref, folder in self.folders.items()}

    def version(self, ref):
        return hashlib.sha256(self.folders[ref].encode()).hexdigest()

    def command(self, line):
        word, *rest = line.split()
        if word == "slow":
            self.go.clear()
        elif word == "go":
            self.go.set()
        elif word == "move":
            for conn, ref in list(self.leases.items()):
                if ref == rest[0]:
                    conn.write({"type": "moved", "ref": ref, "version": rest[1]})
        elif word in ("put", "patch"):
            self.put(*rest, {"patch": True} if word == "patch" else {})
        say("done")

    def put(self, ref, folder, more):
        """Moves a reference to the version of a folder; to patch, its memory is made free first."""
        holders = [conn for conn, of in list(self.leases.items()) if of == ref]
        self.folders[ref] = folder
        self.files[ref] = places.layout(folder, self.memory)
        if more:
            self.patched.update(holders)
        for conn in holders:
            conn.write({"type": "moved", "ref": ref, "version": self.version(ref), **more})

    def serve(self, sock):
        try:
            with sock:
                self.request(sock)
        except Fault as e:
            say("fault", why=str(e))
        except (BrokenPipeError, ConnectionResetError):
            pass  # a client may leave at any time

    def request(self, sock):
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            got = sock.recv(1)
            if not got:
                return
            head += got
        first, *lines = head.decode().strip().split("\r\n")
        headers = {k.lower(): v.strip() for k, v in (line.split(":", 1) for line in lines)}
        if "host" not in headers or not first.endswith(" HTTP/1.1"):
            raise Fault(f"no request: {first}")
        body = sock.recv(int(headers.get("content-length", 0)))
        if first.startswith("POST /v1/lease "):
            if headers.get("connection", "").lower() != "upgrade" or headers.get("upgrade") != PROTOCOL:
                raise Fault(f"no upgrade: {headers}")
            sock.sendall(f"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: {PROTOCOL}\r\n\r\n".encode())
            self.first(Conn(sock))
        elif first.startswith("GET /v1/status "):
            self.answer(sock, "200 OK", {"name": "fake", "models": [], "leases": len(self.leases)})
        elif first.startswith(("POST /v1/load ", "POST /v1/swap ", "POST /v1/unload ", "POST /v1/pin ")):
            self.answer(sock, "200 OK", json.loads(body))
        else:
            self.answer(sock, "404 Not Found", {"error": {"code": "not_found", "message": "no such thing"}})

    def answer(self, sock, status, body):
        content = json.dumps(body).encode()
        sock.sendall(f"HTTP/1.1 {status}\r\nContent-Length: {len(content)}\r\n\r\n".encode() + content)

    def first(self, conn):
        got = conn.read()
        if got is None:
            return
        frame, fds = got
        if frame.get("type") == "declare":
            self.declared(conn, frame, fds)
        elif frame.get("type") == "lease" and not fds:
            self.leased(conn, frame)
        else:
            raise Fault(f"first frame {frame}")

    def declared(self, conn, frame, fds):
        told = check(frame.get("declare"), DECLARE)
        for s in told["segments"][len(fds) :]:
            if not fds:
                raise Fault("declared without descriptors")
        segments = list(told["segments"])
        while len(fds) < len(segments):
            more, extra = conn.read()
            if more["type"] != "segments" or len(more["segments"]) != len(extra):
                raise Fault(f"{more} while segments are missing")
            fds += extra
        sizes = [os.fstat(fd).st_size for fd in fds]
        if [s["size"] for s in segments] != sizes:
            raise Fault(f"declared {segments}, which are {sizes}")
        for fd in fds:
            os.close(fd)
        if self.fault == "forgets":
            conn.write({"type": "error", "error": {"code": "not_found", "message": "never seen"}})
            say("refused")
            return
        self.leases[conn] = told["ref"]
        conn.write({"type": "held"})
        say("declared", ref=told["ref"], version=told["version"], segments=len(segments))
        with self.ending(conn, told["ref"]):
            self.hold(conn)

    def leased(self, conn, frame):
        told = check(frame.get("lease"), REQUEST)
        ref, mode = told["ref"], told.get("mode", "")
        if ref not in self.files:
            conn.write({"type": "error", "error": {"code": "not_found", "message": f"{ref}: no such version"}})
            return
        if self.fault and self.fault != "forgets":
            import faults

            self.leases[conn] = ref
            with self.ending(conn, ref):
                faults.FAULTS[self.fault](self, conn, ref)
            return
        with self.ended:
            if not self.ended.wait_for(lambda: not self.patched, 60):
                raise Fault("another lease while one stands in its way")
        if not self.go.is_set():
            conn.write({"type": "waiting", "ref": ref, "bytes": 1, "bytes_total": 2})
            self.go.wait()
        self.leases[conn] = ref
        say("lease", ref=ref, mode=mode, first=told.get("first", []), deadline=told.get("deadline", 0))
        with self.ending(conn, ref):
            {"": self.whole, "stream": self.stream, "window": self.window}[mode](conn, ref, told.get("first", []))

    @contextlib.contextmanager
    def ending(self, conn, ref):
        """Notes that a lease ends, whenever that is."""
        try:
            yield
        except (BrokenPipeError, ConnectionResetError):
            pass
        finally:
            del self.leases[conn]
            with self.ended:
                self.patched.discard(conn)
                self.ended.notify_all()
            say("end", ref=ref)

    def whole(self, conn, ref, _):
        self.segments(conn, self.files[ref], set())
        conn.write(self.layout(ref))
        self.hold(conn)

    def layout(self, ref):
        return {"type": "layout", "layout": {"ref": ref, "version": self.version(ref), "files": self.files[ref]}}

    def segments(self, conn, files, sent):
        """Sends the segments that are used and not sent yet."""
        new = sorted({run[0] for f in files for run in f["runs"]} - sent)
        for n in range(0, len(new), 2):  # few at a time, to have several frames
            some = new[n : n + 2]
            fds = [self.memory.reopened(i) for i in some]
            conn.write({"type": "segments", "segments": [{"id": i, "size": places.SEGMENT} for i in some]}, fds)
            for fd in fds:
                os.close(fd)
        sent.update(new)

    def arrivals(self, ref, first):
        """Yields the tensors of a version in the order that is asked for."""
        every = [(f, t) for f in self.files[ref] for t in f["tensors"]]
        rank = {name: i for i, name in enumerate(first)}
        yield from sorted(every, key=lambda x: rank.get(x[1]["name"], len(rank)))

    def stream(self, conn, ref, first):
        sent = set()
        for f, t in self.arrivals(ref, first):
            runs = places.part(f["runs"], t["offset"], t["bytes"])
            self.segments(conn, [{"runs": runs}], sent)
            conn.write({"type": "tensor", "file": f["path"], "tensor": {**t, "runs": runs}})
        conn.write({"type": "done"})
        self.segments(conn, self.files[ref], sent)
        conn.write(self.layout(ref))
        self.hold(conn)

    def window(self, conn, ref, first):
        """Passes the tensors through one place, which each but the last leaves at an ack."""
        fd = os.memfd_create("window")
        os.truncate(fd, places.SEGMENT)
        read_only = os.open(f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_CLOEXEC)
        conn.write({"type": "segments", "segments": [{"id": 9, "size": places.SEGMENT}]}, [read_only])
        before = 0
        for f, t in self.arrivals(ref, first):
            with open(os.path.join(self.folders[ref], f["path"]), "rb") as source:
                source.seek(t["offset"])
                content = source.read(t["bytes"])
            if len(content) > places.SEGMENT:
                raise Fault("the window is too small for this test")
            os.pwrite(fd, content + b"\xff" * max(0, before - len(content)), 0)  # what was there is gone
            before = len(content)
            runs = [[9, 0, len(content)]] if content else []
            conn.write({"type": "tensor", "file": f["path"], "tensor": {**t, "runs": runs}})
            got = conn.read()
            if got is None:
                return
            if got != ({"type": "ack"}, []):
                raise Fault(f"{got} where an ack belongs")
        conn.write({"type": "done"})
        self.hold(conn)

    def hold(self, conn):
        """Waits until the client lets go."""
        got = conn.read()
        if got is not None:
            raise Fault(f"{got} from a client that has its lease")


def check(told, known):
    """Refuses what the contract does not know."""
    if not isinstance(told, dict):
        raise Fault(f"{told!r} where an object belongs")
    for key, value in told.items():
        if key not in known or not isinstance(value, known[key]):
            raise Fault(f"{key}: {value!r}")
    return told


def run(agent, path):
    """Serves an agent on a socket, and does what standard input says until that ends."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    if os.path.exists(path):
        os.unlink(path)
    listener.bind(path)
    listener.listen(64)

    def accept():
        while True:
            sock, _ = listener.accept()
            threading.Thread(target=agent.serve, args=(sock,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    say("ready")
    for line in sys.stdin:
        agent.command(line)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("socket")
    parser.add_argument("models", nargs="*")
    parser.add_argument("--way", default="together")
    parser.add_argument("--fault", default="")
    options = parser.parse_intermixed_args()
    run(Agent(options), options.socket)


if __name__ == "__main__":
    main()
