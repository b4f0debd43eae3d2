"""A strict agent for tests of leases on a GPU, in a process of its own, over the fake driver.

usage: fake_gpu.py SOCKET [--fault FAULT] [--reserve BYTES] REF=FOLDER ...

It prints a line of JSON for everything that happens, a "fault" for whatever a client
may not do, and takes commands on its standard input, each of which it does behind the
answer: "swap FROM TO SECONDS [place|part]", "room REF SECONDS", "lose REF", "kick",
"deny CODE", "hold", "allow", "cross", "move REF VERSION".
"""

import argparse
import contextlib
import hashlib
import os
import socket
import sys
import threading

import places
from fake_agent import PROTOCOL, Conn, Fault, check, run, say
from fake_slabs import SLAB, Driver

REQUEST = {
    "ref": str,
    "tier": str,
    "device": str,
    "priority": int,
    "yield": bool,
    "follow": bool,
    "deadline": (int, float),
    "client": str,
}
ACQUIRE = {"priority": int, "deadline": (int, float)}


class Version:
    """A model as it lies in an image."""

    def __init__(self, folder):
        self.digest = hashlib.sha256(folder.encode()).hexdigest()
        self.folder = folder
        self.content, self.tensors = bytearray(), []
        for path in sorted(os.listdir(folder)):
            with open(os.path.join(folder, path), "rb") as f:
                data = f.read()
            for t in places.tensors_of(path, data)[1]:
                self.content += bytes(-len(self.content) % 512)
                told = {**t, "file": path, "offset": len(self.content)}
                self.content += data[t["offset"] : t["offset"] + t["bytes"]]
                self.tensors.append(told)
        self.content += bytes(-len(self.content) % SLAB)

    def parts(self):
        return [bytes(self.content[at : at + SLAB]) for at in range(0, len(self.content), SLAB)]


class Lease:
    def __init__(self, agent, conn, told):
        self.agent, self.conn, self.ref = agent, conn, told["ref"]
        self.told = told
        self.has = []  # slabs by place; None where it has unmapped
        self.state = "coming"
        self.pause = None  # (ident, unmap, reason) that waits for an answer
        self.late = {}  # those that the agent has given up
        self.answered = threading.Event()

    def send(self, version, slabs, pause=0):
        """Sends what the client lacks, then the image."""
        known = {s.ident for s in self.has if s}
        new = {s.ident: s for s in slabs if s.ident not in known}
        for ident in new:  # one at a time, to have several frames
            fd = new[ident].export()
            self.conn.write({"type": "slabs", "slabs": [{"id": ident, "size": SLAB}]}, [fd])
            os.close(fd)
        image = {
            "ref": self.told["asked"],
            "version": version.digest,
            "device": self.agent.driver.name,
            "size": len(slabs) * SLAB,
            "reserve": self.agent.reserve,
            "slabs": [{"id": s.ident, "size": SLAB} for s in slabs],
            "tensors": version.tensors,
        }
        self.has, self.state = list(slabs), "mapped"
        self.conn.write({"type": "image", "image": image, **({"id": pause} if pause else {})})

    def ask(self, reason, unmap, seconds):
        ident = self.agent.next_ident()
        self.pause, self.state = (ident, unmap, reason), "pausing"
        self.answered.clear()
        pause = {"id": ident, "reason": reason, "unmap": unmap, "deadline": seconds}
        self.conn.write({"type": "pause", "pause": pause})

    def expire(self):
        """Gives a pause up; the client that has not answered keeps what it has."""
        if self.pause:
            self.late[self.pause[0]] = self.pause
            self.pause, self.state = None, "mapped"

    def take(self, frame):
        kind, rest = frame["type"], {k: v for k, v in frame.items() if k != "type"}
        if kind == "paused" and self.pause and rest == {"id": self.pause[0]}:
            ident, unmap, reason = self.pause
            self.unmapped(unmap)
            self.pause, self.state = None, "paused" if reason == "swap" else "parked"
            self.answered.set()
        elif kind == "paused" and rest.get("id") in self.late:
            ident, unmap, _ = self.late.pop(rest["id"])
            self.unmapped(unmap)
            say("late")
            self.send(*self.agent.images[self.ref], pause=ident)
        elif kind == "detach" and not rest and self.state in ("mapped", "pausing", "coming"):
            self.unmapped(range(len(self.has)))
            self.void()
            self.pause, self.state = None, "parked"
            self.answered.set()
            say("detached", ref=self.ref)
        elif kind == "acquire" and self.state == "parked":
            told = check(rest.pop("acquire"), ACQUIRE)
            self.void()
            self.state = "coming"
            self.agent.acquired(self, told)
        else:
            raise Fault(f"{frame} from a client whose lease is {self.state}")

    def void(self):
        """Says that the client has been heard, after whatever was on its way to it."""
        if self.agent.crossing and self.ref in self.agent.images:
            self.conn.write({"type": "pause", "pause": {"id": 1, "reason": "swap", "unmap": [], "deadline": 60}})
            self.conn.write({"type": "denied", "error": {"code": "busy", "message": "of another time"}})
            self.send(*self.agent.images[self.ref])
            self.conn.write({"type": "lost", "error": {"code": "internal", "message": "of another time"}})
        self.has = [None] * len(self.has)
        self.conn.write({"type": "detached"})

    def unmapped(self, unmap):
        """Checks that a client has nothing left of the slabs at some places."""
        gone = [self.has[n] for n in unmap]
        for n in unmap:
            self.has[n] = None
        rest = {s.ident for s in self.has if s}
        with open(f"/proc/{self.conn.pid}/maps") as f:
            mapped = {line.split()[4] for line in f}
        for s in gone:
            if s and s.ident not in rest and str(s.inode) in mapped:
                raise Fault(f"slab {s.ident} is still mapped")


class Agent:
    def __init__(self, options):
        self.fault, self.reserve = options.fault, options.reserve
        self.driver = Driver()
        self.versions = {ref: Version(folder) for ref, folder in (m.split("=", 1) for m in options.models)}
        self.images = {}  # version and slabs by reference
        self.leases = []
        self.denial = None
        self.crossing = self.holding = False
        self.turn = threading.RLock()
        self._ident = 0

    def next_ident(self):
        self._ident += 1
        return self._ident

    def image(self, ref):
        if ref not in self.images:
            version = self.versions[ref]
            self.images[ref] = version, [self.driver.create(part) for part in version.parts()]
        return self.images[ref]

    def acquired(self, lease, told):
        if self.denial:
            lease.state = "parked"
            lease.conn.write({"type": "denied", "error": {"code": self.denial, "message": "others have it"}})
            return
        say("acquired", **told)
        lease.conn.write({"type": "waiting", "ref": lease.ref})
        if self.holding:
            return
        lease.send(*self.image(lease.ref))

    def command(self, line):
        word, *rest = line.split()
        if word in ("swap", "room"):
            threading.Thread(target=getattr(self, word), args=rest, daemon=True).start()
        else:
            with self.turn:
                getattr(self, word)(*rest)
        say("done")

    def mapped(self, ref):
        with self.turn:
            return [lease for lease in self.leases if lease.ref == ref and lease.state == "mapped"]

    def pause(self, leases, reason, unmap, seconds):
        """Has clients pause; tells whether all have."""
        with self.turn:
            leases = [lease for lease in leases if lease.state == "mapped"]
            for lease in leases:
                with contextlib.suppress(OSError):  # it has died, which its own thread sees
                    lease.ask(reason, unmap, seconds)
        for lease in leases:
            lease.answered.wait(seconds)
        with self.turn:
            late = [lease for lease in leases if lease.pause]
            for lease in late:
                lease.expire()
        return not late

    def swap(self, old, new, seconds, way=""):
        leases = self.mapped(old)
        was, slabs = self.image(old)
        version, parts = self.versions[new], self.versions[new].parts()
        differ = [n for n, part in enumerate(parts) if way and part != was.parts()[n]]
        unmap = {"": list(range(len(slabs))), "place": [], "part": differ}[way]
        ok = self.pause(leases, "swap", unmap, float(seconds))
        with self.turn:
            if ok and way == "place":
                for n in differ:
                    slabs[n].write(parts[n])
            elif ok and way == "part":
                slabs = [self.driver.create(part) if n in differ else slabs[n] for n, part in enumerate(parts)]
            elif ok:
                slabs = [self.driver.create(part) for part in parts]
            self.images[old] = image = (version if ok else was), slabs
            for lease in leases:
                if lease.state == "paused":
                    lease.send(*image, pause=self._ident)
        say("swapped", ok=ok, leases=len(leases), differ=len(differ))

    def room(self, ref, seconds):
        leases = self.mapped(ref)
        ok = self.pause(leases, "room", list(range(len(self.images[ref][1]))), float(seconds))
        say("parked", ok=ok, leases=len(leases))

    def lose(self, ref):
        for lease in self.leases:
            if lease.ref == ref:
                lease.has, lease.pause, lease.state = [], None, "parked"
                lease.conn.write({"type": "lost", "error": {"code": "unavailable", "message": "the GPU has failed"}})
        del self.images[ref]

    def kick(self):
        for lease in self.leases:
            lease.conn.sock.shutdown(socket.SHUT_RDWR)

    def deny(self, code):
        self.denial = code

    def allow(self):
        self.denial, self.holding = None, False

    def cross(self):
        self.crossing = True

    def hold(self):
        """Leaves those who ask without an answer."""
        self.holding = True

    def move(self, ref, version):
        for lease in self.leases:
            if lease.ref == ref:
                lease.conn.write({"type": "moved", "ref": ref, "version": version})

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
        if not head.startswith(b"POST /v1/lease "):
            raise Fault(f"no lease: {head}")
        sock.sendall(f"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: {PROTOCOL}\r\n\r\n".encode())
        conn = Conn(sock)
        conn.pid = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)[:4]
        conn.pid = int.from_bytes(conn.pid, sys.byteorder)
        got = conn.read()
        if got is None:
            return
        frame, fds = got
        if frame.get("type") != "lease" or fds:
            raise Fault(f"first frame {frame}")
        self.leased(conn, check(frame.get("lease"), REQUEST))

    def leased(self, conn, told):
        if told.get("tier") != "gpu" or told.get("device") != self.driver.name:
            raise Fault(f"{told}: want tier gpu, device {self.driver.name}")
        say("lease", **told)
        told["asked"], told["ref"] = told["ref"], self.known(told["ref"])
        if told["ref"] not in self.versions or self.denial:
            code = self.denial or "not_found"
            conn.write({"type": "error", "error": {"code": code, "message": f"{told['ref']}: no such version"}})
            return
        if self.fault:
            import gpu_faults

            try:
                gpu_faults.FAULTS[self.fault](self, conn, told)
            finally:
                say("end", ref=told["ref"])
            return
        lease = Lease(self, conn, told)
        conn.write({"type": "waiting", "ref": told["ref"], "bytes": 1, "bytes_total": 2})
        with self.turn:
            lease.send(*self.image(told["ref"]))
            self.leases.append(lease)
        with self.ending(lease):
            while (got := conn.read()) is not None:
                frame, fds = got
                if fds:
                    raise Fault("descriptors of a client")
                with self.turn:
                    lease.take(frame)

    def known(self, ref):
        """Finds the reference of a version that a client names by its digest."""
        repo, _, digest = ref.partition("@")
        return next((r for r, v in self.versions.items() if r.startswith(f"{repo}:") and v.digest == digest), ref)

    @contextlib.contextmanager
    def ending(self, lease):
        try:
            yield
        except (BrokenPipeError, ConnectionResetError):
            pass
        finally:
            with self.turn:
                self.leases.remove(lease)
                lease.pause, lease.state = None, "gone"
                lease.answered.set()
            say("end", ref=lease.ref)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("socket")
    parser.add_argument("models", nargs="*")
    parser.add_argument("--fault", default="")
    parser.add_argument("--reserve", type=int, default=64 << 20)
    options = parser.parse_intermixed_args()
    run(Agent(options), options.socket)


if __name__ == "__main__":
    main()
