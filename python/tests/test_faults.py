"""Agents that go away, come back, break off or lie."""

import gc
import pickle
import threading

import faults
import pytest
from conftest import open_files, same

import ingot

REF = "acme/tiny:prod"


@pytest.mark.parametrize("fault", faults.LOADS)
def test_loads_that_fail(fake, fault, weights):
    agent = fake((REF, weights[0]), fault=fault)
    before, threads = open_files(), set(threading.enumerate())
    with pytest.raises(ingot.AgentError) as caught:
        ingot.load(REF, agent=agent.socket)
    assert caught.value.code in ("busy", "unavailable", "internal")
    del caught
    agent.expect("end")
    for thread in set(threading.enumerate()) - threads:
        thread.join()
    assert open_files() == before


@pytest.mark.parametrize("fault", faults.TENSORS)
def test_tensors_that_fail(fake, fault, weights):
    agent = fake((REF, weights[0]), fault=fault)
    model = ingot.load(REF, agent=agent.socket)
    with pytest.raises(ingot.ProtocolError):
        model["t"]


def test_an_agent_that_says_nothing(fake, weights, monkeypatch):
    agent = fake((REF, weights[0]), fault="silent")
    monkeypatch.setattr(ingot.link, "_GRACE", 0.0)
    with pytest.raises(ingot.AgentError, match="does not answer in time"):
        ingot.load(REF, agent=agent.socket, timeout=0)


@pytest.mark.parametrize("way", ["together", "scattered"])
def test_a_restart(fake, weights, way):
    folder, want = weights
    agent = fake((REF, folder), way=way)
    model = ingot.load(REF, agent=agent.socket)
    before = model["big"]
    for _ in range(3):
        agent.kill()
        assert same(before, want["big"])
        assert same(model["wide"], want["wide"])  # mapped while no agent is there
        agent.start()
        declared = agent.expect("declared")
        assert (declared["ref"], declared["version"]) == (REF, model.version)
        assert declared["segments"] > 0
    moved = threading.Event()
    model.on_moved(lambda version: version == "1" and moved.set())
    agent.command(f"move {REF} 1")
    assert moved.wait(60)
    assert model.stats.held
    del model, before
    agent.expect("end")


def test_an_agent_that_ends_a_lease(fake, weights, caplog):
    """Its memory may be anybody's then, so that no more of it is given out."""
    agent = fake((REF, weights[0]), fault="regrets")
    agent.command("slow")
    model = ingot.load(REF, agent=agent.socket)
    agent.command("go")
    with pytest.raises(ingot.AgentError, match="it is held by x"):
        while True:
            model._lease.next()
    with pytest.raises(ingot.AgentError, match="has ended the lease"):
        model["t"]
    assert not model.stats.held
    assert "arrays of it may change" in caplog.text


def test_an_agent_that_forgets(fake, weights):
    folder, want = weights
    agent = fake((REF, folder))
    model = ingot.load(REF, agent=agent.socket)
    agent.kill()
    agent.start("--fault", "forgets")
    agent.expect("refused")
    assert same(model["big"], want["big"])
    assert not model.stats.held


def test_moves_are_told(fake, weights):
    agent = fake((REF, weights[0]))
    model = ingot.load(REF, agent=agent.socket)
    heard, last = [], threading.Event()

    def fails(version):
        raise ValueError("a callback that fails harms nobody else")

    def note(version):
        heard.append(version)
        if version == "two":
            last.set()

    model.on_moved(fails)
    model.on_moved(note)
    agent.command(f"move {REF} one")
    agent.command(f"move {REF} two")
    assert last.wait(60)
    assert heard == ["one", "two"]
    late = []
    model.on_moved(late.append)  # is told what it has missed
    assert late == ["two"]


def test_a_callback_keeps_nothing_alive(fake, weights):
    agent = fake((REF, weights[0]))
    model = ingot.load(REF, agent=agent.socket)
    model.on_moved(lambda version, model=model: None)
    del model
    gc.collect()
    agent.expect("end")


def test_errors_travel():
    for error in (ingot.AgentError("busy", "held"), ingot.NoAgent("nobody"), ingot.ProtocolError("what")):
        again = pickle.loads(pickle.dumps(error))
        assert (type(again), again.code, again.message) == (type(error), error.code, error.message)
