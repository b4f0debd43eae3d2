"""What an agent that is broken, or hostile, may send instead of a lease."""

import os


LENGTH = 1 << 20


def memfd(size=LENGTH):
    fd = os.memfd_create("fault")
    os.truncate(fd, size)
    return fd


def run_of(runs=None, size=LENGTH, tensor=None, segment=1):
    """Returns a layout of one file with one tensor."""
    runs = [[segment, 0, size]] if runs is None else runs
    t = {"name": "t", "dtype": "U8", "shape": [size], "offset": 0, "bytes": size, **(tensor or {})}
    file = {"path": "f", "size": size, "format": "opaque", "runs": runs, "tensors": [t]}
    return {"type": "layout", "layout": {"ref": "a/b:c", "version": "0" * 64, "files": [file]}}


def with_layout(**fault):
    def send(agent, conn, ref):
        conn.write({"type": "segments", "segments": [{"id": 1, "size": LENGTH}]}, [memfd()])
        conn.write(run_of(**fault))
        conn.read()

    return send


def with_segments(segments, *fds):
    def send(agent, conn, ref):
        conn.write({"type": "segments", "segments": segments}, [memfd(size) for size in fds])
        conn.read()

    return send


def with_bytes(data):
    def send(agent, conn, ref):
        conn.raw(data)
        conn.read()

    return send


def frame(body):
    return len(body).to_bytes(4, "big") + body


def dies(agent, conn, ref):
    conn.write({"type": "waiting", "bytes": 0, "bytes_total": 5})


def dies_in_frame(agent, conn, ref):
    conn.raw(b"\x00\x00\x10\x00{\"type\":")


def refuses(agent, conn, ref):
    conn.write({"type": "error", "error": {"code": "busy", "message": "it is held by x"}})


def files_with_layout(agent, conn, ref):
    conn.write(run_of(), [memfd()])
    conn.read()


def sends_twice(agent, conn, ref):
    for _ in range(2):
        conn.write({"type": "segments", "segments": [{"id": 1, "size": LENGTH}]}, [memfd()])
    conn.read()


def silent(agent, conn, ref):
    conn.read()


def regrets(agent, conn, ref):
    conn.write({"type": "segments", "segments": [{"id": 1, "size": LENGTH}]}, [memfd()])
    conn.write(run_of())
    agent.go.wait()
    refuses(agent, conn, ref)
    conn.read()


# Those that fail the load, and those that fail the tensor.
LOADS = {
    "dies": dies,
    "dies in a frame": dies_in_frame,
    "refuses": refuses,
    "too long": with_bytes(b"\xff\xff\xff\xff"),
    "empty": with_bytes(b"\x00\x00\x00\x00"),
    "no JSON": with_bytes(frame(b"{]")),
    "no UTF-8": with_bytes(frame(b'{"type":"\xff"}')),
    "deep": with_bytes(frame(b"[" * 100_000)),
    "list": with_bytes(frame(b'["layout"]')),
    "no type": with_bytes(frame(b'{"ref":"x"}')),
    "no layout": with_bytes(frame(b'{"type":"layout","layout":3}')),
    "files with a layout": files_with_layout,
    "segment twice": sends_twice,
    "segment without a file": with_segments([{"id": 1, "size": LENGTH}]),
    "file without a segment": with_segments([], LENGTH),
    "segment too short": with_segments([{"id": 1, "size": LENGTH + 1}], LENGTH),
    "segment of no number": with_segments([{"id": True, "size": LENGTH}], LENGTH),
    "segment negative": with_segments([{"id": 1, "size": -1}], LENGTH),
    "segment of text": with_segments(["x"], LENGTH),
}
TENSORS = {
    "unknown segment": with_layout(segment=7),
    "run leaves its segment": with_layout(runs=[[1, 4096, LENGTH]]),
    "run negative": with_layout(runs=[[1, -4096, LENGTH]]),
    "run of nothing": with_layout(runs=[[1, 0, 0]]),
    "run enormous": with_layout(runs=[[1, 0, 1 << 70]]),
    "run of two": with_layout(runs=[[1, 0]]),
    "run of floats": with_layout(runs=[[1, 0, float(LENGTH)]]),
    "runs too short": with_layout(runs=[[1, 0, LENGTH - 1]]),
    "runs too long": with_layout(runs=[[1, 0, LENGTH], [1, 0, 1]]),
    "no runs": with_layout(runs=[]),
    "tensor leaves its file": with_layout(tensor={"offset": 1}),
    "tensor negative": with_layout(tensor={"offset": -1}),
    "shape too large": with_layout(tensor={"shape": [LENGTH + 1]}),
    "shape negative": with_layout(tensor={"shape": [-1]}),
    "shape of text": with_layout(tensor={"shape": ["1"]}),
    "type without a name": with_layout(tensor={"dtype": None}),
}
FAULTS = {**LOADS, **TENSORS, "silent": silent, "regrets": regrets}
