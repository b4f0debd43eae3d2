"""Agents of a GPU that lose what they gave, go away and come back: on the fake driver."""

import threading

import pytest
from attached import REF, attach, holds, until
from conftest import same

import ingot


def test_an_image_that_is_lost(gpu, weights, caplog):
    agent = gpu((REF, weights[0]))
    model = attach(agent)
    big = model["big"]
    with model.use():
        agent.command(f"lose {REF}")
    until(lambda: model.parked)
    with pytest.raises(ingot.NotMapped):
        big.numpy()
    with model.use():
        assert holds(model, weights[1])
        assert same(big.numpy(), weights[1]["big"])
    assert "the GPU has failed" in caplog.text


@pytest.mark.parametrize("follow", [False, True])
def test_a_restart(gpu, weights, follow):
    folder, want = weights
    agent = gpu((REF, folder))
    model = attach(agent, follow=follow)
    agent.expect("lease")
    address, changes = model.address("big"), []
    model.on_change(changes.append)
    for _ in range(3):
        with model.use():
            agent.kill()
            assert holds(model, want)  # while there is no agent
            agent.start()
            told = agent.expect("lease")
            assert told["ref"] == (REF if follow else f"acme/tiny@{model.version}")
            assert holds(model, want)  # what the former one gave
        until(lambda: model.held)
        with model.use():
            assert holds(model, want)
            assert model.address("big") == address
    assert changes == []  # it is what it was
    assert model.ref == REF
    model.detach()
    agent.expect("detached")


def test_a_restart_while_parked(gpu, weights):
    agent = gpu((REF, weights[0]))
    model = attach(agent)
    model.detach()
    agent.kill()
    done = threading.Thread(target=lambda: model.reattach(60))
    done.start()  # waits for an agent
    agent.start()
    done.join()
    assert holds(model, weights[1])


def test_an_agent_that_forgets(gpu, weights, caplog):
    agent = gpu((REF, weights[0]))
    model = attach(agent)
    agent.kill()
    agent.start()
    agent.expect("lease")
    until(lambda: model.held)
    agent.kill()
    agent._arguments[-1] = f"acme/else:x={weights[0]}"
    agent.start()
    agent.expect("lease")
    until(lambda: "is not renewed" in caplog.text)
    assert holds(model, weights[1])
    assert not model.held
    model.detach()
    with pytest.raises(ingot.AgentError, match="no such version"):
        model.reattach()


def test_an_agent_that_hangs_up(gpu, weights, caplog):
    """It lives and has let go of the lease, so the memory may be given to others."""
    agent = gpu((REF, weights[0]))
    model = attach(agent)
    agent.expect("lease")
    with model.use():
        agent.command("kick")
        agent.expect("lease")
        assert holds(model, weights[1])
    with model.use():
        assert holds(model, weights[1])
    assert "is lost: acme/tiny:prod: the agent has ended the lease" in caplog.text


def test_what_crosses_a_detach(gpu, weights):
    """What was on its way when the client let go is nothing to it."""
    agent = gpu((REF, weights[0]))
    model = attach(agent)
    agent.command("cross")
    for _ in range(3):
        model.detach()
        assert model.parked
        with model.use():
            assert holds(model, weights[1])


def test_moves_are_told(gpu, weights):
    agent = gpu((REF, weights[0]))
    model = attach(agent)
    heard, last = [], threading.Event()
    model.on_moved(lambda version: 1 / 0)
    model.on_moved(heard.append)
    model.on_moved(lambda version: version == "two" and last.set())
    agent.command(f"move {REF} one")
    agent.command(f"move {REF} two")
    assert last.wait(60)
    assert heard == ["one", "two"]
    late = []
    model.on_moved(late.append)
    assert late == ["two"]
