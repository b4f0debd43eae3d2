"""Tensors in the order in which they come, through streams and windows."""

import numpy as np
import pytest
from conftest import mapping_of, same

import ingot
from ingot.streamer import SafetensorsStreamer

REF = "acme/tiny:prod"


@pytest.mark.parametrize("way", ["together", "scattered", "crooked"])
def test_a_stream_brings_every_tensor(fake, weights, way):
    folder, want = weights
    agent = fake((REF, folder), way=way)
    got = dict(ingot.stream(REF, agent=agent.socket))
    assert got.keys() == want.keys()
    assert [name for name in want if not same(got[name], want[name])] == []
    got.clear()
    agent.expect("end")


def test_a_stream_copies_nothing(fake, weights):
    folder, want = weights
    agent = fake((REF, folder), way="scattered")
    with ingot.stream(REF, agent=agent.socket) as stream:
        for name, array in stream:
            if name == "big":
                assert same(array, want["big"])
                assert mapping_of(array)["Anonymous"] == "0"
        assert stream.stats.copied == 0
        with pytest.raises(StopIteration):
            next(stream)


def test_first(fake, weights):
    agent = fake((REF, weights[0]))
    names = [name for name, _ in ingot.stream(REF, agent=agent.socket, first=["one", "wide"])]
    assert names[:2] == ["one", "wide"]
    assert agent.expect("lease")["first"] == ["one", "wide"]


@pytest.mark.parametrize("keep", [True, False])
def test_a_window(fake, weights, keep):
    folder, want = weights
    agent = fake((REF, folder))
    stream, kept, seen = ingot.stream(REF, agent=agent.socket, window=True), {}, set()
    while True:
        got = next(stream, None)
        if got is None:
            break
        name, array = got
        del got
        assert same(array, want[name])
        seen.add(name)
        if keep:
            kept[name] = array
        del array
    assert seen == want.keys()
    # What is kept is what it was, though its place holds another tensor now.
    assert [name for name in kept if not same(kept[name], want[name])] == []
    assert stream.stats.copied == sum(a.nbytes for a in kept.values())


def test_what_is_kept_of_a_window_can_be_written(fake, weights):
    folder, want = weights
    agent = fake((REF, folder))
    stream = ingot.stream(REF, agent=agent.socket, window=True, first=["big"])
    _, array = next(stream)
    array[0, 0] = 5
    next(stream)
    assert array[0, 0] == 5
    assert same(array[1:], want["big"][1:])
    array[0, 0] = want["big"][0, 0]
    assert same(array, want["big"])


def test_a_stream_that_is_left(fake, weights):
    folder, want = weights
    agent = fake((REF, folder))
    for window in (False, True):
        stream = ingot.stream(REF, agent=agent.socket, window=window)
        name, array = next(stream)
        stream.close()
        assert next(stream, None) is None
        assert same(array, want[name])
        del array
        agent.expect("end")


def test_an_agent_that_dies(fake, weights):
    folder, want = weights
    agent = fake((REF, folder))
    stream = ingot.stream(REF, agent=agent.socket, window=True)
    name, array = next(stream)
    agent.kill()
    with pytest.raises(ingot.AgentError, match="the lease has ended"):
        while True:
            next(stream)
    assert same(array, want[name])


def test_numpy_files_come_last(fake, tmp_path):
    want = np.arange(12, dtype=np.float32).reshape(3, 4)
    np.save(tmp_path / "a.npy", np.asfortranarray(want))
    agent = fake((REF, tmp_path))
    ((name, array),) = ingot.stream(REF, agent=agent.socket)
    assert np.array_equal(array, want)
    with pytest.raises(ingot.AgentError, match="a window does not tell the order"):
        next(ingot.stream(REF, agent=agent.socket, window=True))


def test_the_interface_of_the_model_streamer(fake, weights):
    folder, want = weights
    agent = fake((REF, folder))
    with SafetensorsStreamer(agent=agent.socket, framework="numpy") as streamer:
        streamer.stream_file(REF)
        got = dict(streamer.get_tensors())
        assert got.keys() == want.keys()
        streamer.stream_files([REF, REF])
        assert len(list(streamer.get_tensors())) == 2 * len(want)
