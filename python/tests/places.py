"""Puts the files of a folder into memfds as an agent does, in the way a test wants it."""

import json
import mmap
import os
import random

PAGE = mmap.PAGESIZE
CHUNK = 2 << 20
SEGMENT = 16 << 20
LEAST = 256 << 10  # bytes of a tensor that starts a chunk


def tensors_of(path, content):
    """Reads the tensors of a safetensors file; other files have none, but for NumPy's."""
    if path.endswith(".npy"):
        return "npy", [npy(content)]
    if not path.endswith(".safetensors"):
        return "opaque", []
    size = int.from_bytes(content[:8], "little")
    found = []
    for name, t in json.loads(content[8 : 8 + size]).items():
        if name != "__metadata__":
            begin, end = t["data_offsets"]
            found.append(
                {"name": name, "dtype": t["dtype"], "shape": t["shape"], "offset": 8 + size + begin, "bytes": end - begin}
            )
    return "safetensors", sorted(found, key=lambda t: (t["offset"], t["name"]))


def npy(content):
    start = 10 + int.from_bytes(content[8:10], "little")
    head = eval(content[10:start], {"__builtins__": {}})  # a test wrote it
    return {
        "name": "array",
        "dtype": head["descr"],
        "shape": list(head["shape"]),
        "offset": start,
        "bytes": len(content) - start,
    }


def cuts(size, tensors):
    """Yields the chunks of a file: a tensor that is large enough starts one."""
    edges = {0, size}
    for t in tensors:
        if t["bytes"] >= LEAST:
            edges |= {t["offset"], t["offset"] + t["bytes"]}
            edges |= set(range(t["offset"], t["offset"] + t["bytes"], CHUNK))
    edges = sorted(edges)
    for a, b in zip(edges, edges[1:]):
        yield from ((at, min(CHUNK, b - at)) for at in range(a, b, CHUNK))


class Memory:
    """Segments, and where the next chunk goes.

    way is "together": behind each other as long as it lasts; "scattered": wherever;
    "crooked": where no two pages can be mapped behind each other.
    """

    def __init__(self, way):
        self.way = way
        self.segments = {}  # id: writable descriptor
        self._random = random.Random(4)
        self._free = []
        self._at = SEGMENT
        self._crooked = 0

    def place(self, content):
        """Stores a chunk and returns its run."""
        room = -(-len(content) // PAGE) * PAGE
        if self.way == "scattered":
            if not self._free:
                ident = self._grow()
                self._free = [(ident, at) for at in range(0, SEGMENT, CHUNK)]
                self._random.shuffle(self._free)
            segment, offset = self._free.pop()
        else:
            if self._at + room + PAGE > SEGMENT:
                self._grow()
                self._at = 0
            segment, offset = len(self.segments), self._at
            if self.way == "crooked":
                self._crooked = (self._crooked + 8) % 64
                offset += 8 + self._crooked
                room += PAGE
            self._at += room
        os.pwrite(self.segments[segment], content, offset)
        return [segment, offset, len(content)]

    def _grow(self):
        ident = len(self.segments) + 1
        self.segments[ident] = os.memfd_create(f"segment {ident}")
        os.fchmod(self.segments[ident], 0o600)
        os.truncate(self.segments[ident], SEGMENT)
        return ident

    def reopened(self, ident):
        """Returns a descriptor to read only."""
        return os.open(f"/proc/self/fd/{self.segments[ident]}", os.O_RDONLY | os.O_CLOEXEC)


def fused(runs):
    """Merges runs that lie behind each other where the first is whole pages."""
    out = []
    for s, o, n in runs:
        if out and out[-1][0] == s and out[-1][1] + out[-1][2] == o and (out[-1][1] + out[-1][2]) % PAGE == 0:
            out[-1] = [s, out[-1][1], out[-1][2] + n]
        else:
            out.append([s, o, n])
    return out


def part(runs, offset, length):
    """Returns the runs of a part of a file."""
    out = []
    for s, o, n in runs:
        skip = min(offset, n)
        take = min(n - skip, length)
        if take > 0:
            out.append([s, o + skip, take])
        offset, length = offset - skip, length - take
    return out


def layout(folder, memory):
    """Places every file of a folder and returns the layout's files."""
    files = []
    for path in sorted(os.listdir(folder)):
        with open(os.path.join(folder, path), "rb") as f:
            content = f.read()
        format_, tensors = tensors_of(path, content)
        runs = [memory.place(content[a : a + n]) for a, n in cuts(len(content), tensors)]
        files.append({"path": path, "size": len(content), "format": format_, "runs": fused(runs), "tensors": tensors})
    return files
