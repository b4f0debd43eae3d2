"""What an agent that is broken, or hostile, may send instead of an image."""

import os
import time

from fake_slabs import SLAB

BYTES = 1 << 20


def image(agent, **fault):
    """Returns a frame with an image of one slab and one tensor."""
    tensor = {"name": "t", "file": "f", "dtype": "U8", "shape": [BYTES], "offset": 512, "bytes": BYTES}
    tensor.update(fault.pop("tensor", {}))
    told = {
        "ref": "a/b:c",
        "version": "0" * 64,
        "device": agent.driver.name,
        "size": SLAB,
        "reserve": 4 * SLAB,
        "slabs": [{"id": 1, "size": SLAB}],
        "tensors": [tensor],
    }
    return {"type": "image", "image": {**told, **fault}}


def slab(agent, conn, *told):
    """Sends a slab, or says of it what is told."""
    fds = [agent.driver.create(b"\1" * SLAB).export() for _ in (told or [0])]
    conn.write({"type": "slabs", "slabs": list(told) or [{"id": 1, "size": SLAB}]}, fds)
    for fd in fds:
        os.close(fd)


def with_image(**fault):
    def send(agent, conn, _):
        slab(agent, conn)
        conn.write(image(agent, **fault))
        conn.read()

    return send


def with_slabs(*told):
    def send(agent, conn, _):
        slab(agent, conn, *told)
        conn.write(image(agent))
        conn.read()

    return send


def after_image(*frames):
    """Sends a good image, then what is wrong with it gone."""

    def send(agent, conn, _):
        slab(agent, conn)
        conn.write(image(agent))
        for frame in frames:
            conn.write(frame)
        conn.read()

    return send


def fails_late(agent, conn, _):
    slab(agent, conn)
    conn.write(image(agent))
    while not agent.denial:
        time.sleep(0.01)
    conn.write({"type": "error", "error": {"code": "not_found", "message": "it is deleted"}})
    conn.read()


def descriptors(agent, conn, _):
    slab(agent, conn)
    fd = os.open("/dev/null", os.O_RDONLY)
    conn.write(image(agent), [fd])
    os.close(fd)
    conn.read()


def no_file(agent, conn, _):
    conn.write({"type": "slabs", "slabs": [{"id": 1, "size": SLAB}]})
    conn.write(image(agent))
    conn.read()


def no_memory(agent, conn, _):
    fd = os.open("/dev/null", os.O_RDONLY)
    conn.write({"type": "slabs", "slabs": [{"id": 1, "size": SLAB}]}, [fd])
    os.close(fd)
    conn.write(image(agent))
    conn.read()


def short(agent, conn, _):
    """A slab that is not as large as it says, which only the driver sees."""
    slab(agent, conn, {"id": 1, "size": 2 * SLAB})
    conn.write(image(agent, size=2 * SLAB, slabs=[{"id": 1, "size": 2 * SLAB}]))
    conn.read()


def twice(agent, conn, _):
    slab(agent, conn)
    slab(agent, conn, {"id": 1, "size": SLAB // 2})
    with_image()(agent, conn, _)


def pause(**fault):
    told = {"id": 1, "reason": "swap", "unmap": [0], "deadline": 60, **fault}
    return after_image({"type": "pause", "pause": told})


ONE = {"id": 1, "size": SLAB}

# Those that fail what is attached.
IMAGES = {
    "descriptors with an image": descriptors,
    "slab without a file": no_file,
    "slab without memory": no_memory,
    "slab too short": short,
    "slab of two sizes": twice,
    "slab of no size": with_slabs({"id": 1, "size": 0}),
    "slab of odd size": with_slabs({"id": 1, "size": SLAB + 4096}),
    "slab enormous": with_slabs({"id": 1, "size": 1 << 62}),
    "slab negative": with_slabs({"id": 1, "size": -SLAB}),
    "slab without a number": with_slabs({"size": SLAB}),
    "slab of text": with_slabs("x"),
    "no image": with_image(slabs=None),
    "unknown slab": with_image(slabs=[{"id": 2, "size": SLAB}]),
    "slab of another size": with_image(slabs=[{"id": 1, "size": SLAB // 2}], size=SLAB // 2),
    "size too small": with_image(size=SLAB // 2),
    "size too large": with_image(size=2 * SLAB),
    "size of text": with_image(size="4"),
    "reserve too small": with_image(reserve=SLAB // 2),
    "reserve odd": with_image(reserve=SLAB + 1),
    "reserve enormous": with_image(reserve=1 << 60),
    "another device": with_image(device="GPU-00000000-0000-0000-0000-000000000000"),
    "device of text": with_image(device="cuda:0"),
    "no version": with_image(version=None),
    "tensors of text": with_image(tensors="t"),
    "tensor of text": with_image(tensors=["t"]),
    "two of one name": with_image(tensors=[{"name": "t", "file": "f", "dtype": "U8", "shape": [1], "bytes": 1}] * 2),
    "tensor leaves": with_image(tensor={"offset": SLAB - 512}),
    "tensor beyond": with_image(tensor={"offset": 2 * SLAB}),
    "tensor crooked": with_image(tensor={"offset": 8}),
    "tensor negative": with_image(tensor={"offset": -512}),
    "bytes negative": with_image(tensor={"bytes": -1}),
    "bytes of a float": with_image(tensor={"bytes": 1.0}),
    "shape too large": with_image(tensor={"shape": [BYTES + 1]}),
    "shape too small": with_image(tensor={"shape": [BYTES - 1]}),
    "shape negative": with_image(tensor={"shape": [-1, -BYTES]}),
    "shape of text": with_image(tensor={"shape": ["1"]}),
    "type without a name": with_image(tensor={"dtype": None}),
}
# Those after which the connection is of no use.
PAUSES = {
    "no pause": after_image({"type": "pause"}),
    "pause without a number": pause(id=0),
    "pause without a reason": pause(reason="lunch"),
    "pause beyond": pause(unmap=[1]),
    "pause negative": pause(unmap=[-1]),
    "pause twice": pause(unmap=[0, 0]),
    "pause of text": pause(unmap="0"),
    "deadline of text": pause(deadline="soon"),
    "deadline negative": pause(deadline=-1),
    "deadline enormous": pause(deadline=1e300),
    "image of an unknown slab": after_image({"type": "image", "image": {"slabs": [{"id": 7, "size": SLAB}]}}),
    "slabs without files": after_image({"type": "slabs", "slabs": [{"id": 7, "size": SLAB}]}),
}
FAULTS = {**IMAGES, **PAUSES, "fails late": fails_late}
