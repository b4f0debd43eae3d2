"""Teaches schemathesis the bodies of the registry's API that are not JSON.

The specification calls them binary. What they have to look like stands in its
text, so random ones are made here to that shape; real ones lie in the folder
INGOT_BODIES: manifest, chunk and chunks.
"""

import json
import os
import pathlib
import struct

import schemathesis
from hypothesis import strategies as st

real = pathlib.Path(os.environ["INGOT_BODIES"])
digest = st.binary(min_size=32, max_size=32)
some = st.binary(min_size=1, max_size=200)


def frame(parts):
    """Returns a frame of a batch: a digest, a length, and that many bytes."""
    name, encoded = parts
    return name + struct.pack("<I", len(encoded)) + encoded


frames = st.lists(st.tuples(digest, some).map(frame), min_size=1, max_size=4).map(b"".join)
digests = st.lists(digest, min_size=1, max_size=4).map(b"".join)

bodies = {
    "manifest": st.just((real / "manifest").read_bytes()) | some,
    "chunk": st.just((real / "chunk").read_bytes()) | some,
    "chunks": st.just((real / "chunks").read_bytes()) | frames,
    "digests": digests,
}
for name, strategy in bodies.items():
    schemathesis.openapi.media_type(f"application/vnd.ingot.{name}.v1", strategy)


@schemathesis.deserializer("application/x-ndjson")
def last_line(context, response):
    """Returns the last line of an answer, which every such answer ends with."""
    return json.loads(response.content.splitlines()[-1])


@schemathesis.hook
def filter_query(context, query):
    """Leaves out what the specification can only say in words to be wrong."""
    query = query or {}
    label = context.operation.label
    if label.endswith("/commit") and query.get("expect") and not query.get("tag"):
        return False  # an expectation needs a tag
    if label.endswith("/chunks"):
        return ascending(str(query.get("i", "")))
    return True


def ascending(ranges):
    """Tells whether no range ends before it begins."""
    for part in ranges.split(","):
        first, _, last = part.partition("-")
        if first.isdigit() and last.isdigit() and int(last) < int(first):
            return False
    return True
