"""Who uses an image, and who waits for it: on the fake driver."""

import threading

import pytest
from attached import OTHER, REF, attach, holds, holds_within, swapped

import ingot


def test_a_use_is_not_paused(gpu, weights, variant):
    agent = gpu((REF, weights[0]), (OTHER, variant[0]))
    model = attach(agent)
    asked = threading.Event()
    model.on_pause(lambda pause: pause.reason == "swap" and asked.set())
    with model.use() as same_model:
        assert same_model is model
        agent.command(f"swap {REF} {OTHER} 600 place")
        assert asked.wait(60)
        with model.use():  # who is within gets in again
            assert holds(model, weights[1])
        assert holds(model, weights[1])
    assert agent.expect("swapped")["ok"]
    with model.use():
        assert holds(model, variant[1])


def test_a_use_of_many_threads(gpu, weights, variant):
    """A swap waits for all who are within, and all who come wait for the swap."""
    agent = gpu((REF, weights[0]), (OTHER, variant[0]))
    model = attach(agent)
    asked, leave, within = threading.Event(), threading.Event(), threading.Barrier(4)
    model.on_pause(lambda pause: asked.set())
    seen, late = [], []

    def first():
        with model.use():
            within.wait()
            leave.wait()
            seen.append(model["one"].numpy().item())

    def second():
        with model.use():
            late.append(model["one"].numpy().item())

    threads = [threading.Thread(target=first) for _ in range(3)]
    for t in threads:
        t.start()
    within.wait()
    agent.command(f"swap {REF} {OTHER} 600 place")
    assert asked.wait(60)
    more = [threading.Thread(target=second) for _ in range(3)]
    for t in more:
        t.start()
    assert late == []  # nobody gets in before the others are out
    leave.set()
    for t in threads + more:
        t.join()
    assert seen == [weights[1]["one"].item()] * 3
    assert late == [variant[1]["one"].item()] * 3
    assert agent.expect("swapped")["ok"]


def test_a_pause_that_nobody_has_time_for(gpu, weights, variant):
    """The agent gives the swap up, and the image stays what it is, for all."""
    agent = gpu((REF, weights[0]), (OTHER, variant[0]))
    busy, idle = attach(agent), attach(agent)
    with busy.use():
        assert not swapped(agent, f"swap {REF} {OTHER} 0.2 place")["ok"]
        with idle.use():
            assert holds(idle, weights[1])
        newcomers = []
        t = threading.Thread(target=lambda: newcomers.append(holds_within(busy, weights[1])))
        t.start()
        t.join()
        assert newcomers == [True]
    with busy.use():
        assert holds(busy, weights[1])
    assert swapped(agent, f"swap {REF} {OTHER} 600 place")["ok"]
    with busy.use(), idle.use():
        assert holds(busy, variant[1])
        assert holds(idle, variant[1])


def test_a_pause_that_is_late(gpu, weights, variant, monkeypatch):
    """A client that stops only after the agent has gone on gets its image all the same."""
    agent = gpu((REF, weights[0]), (OTHER, variant[0]))
    model = attach(agent)
    device, slow = model._session.device, threading.Event()
    wait = type(device).synchronize

    def synchronize():
        slow.wait()
        wait(device)

    monkeypatch.setattr(device, "synchronize", synchronize)
    assert not swapped(agent, f"swap {REF} {OTHER} 0.2")["ok"]
    slow.set()
    agent.expect("late")
    with model.use():
        assert holds(model, weights[1])
    assert swapped(agent, f"swap {REF} {OTHER} 60")["ok"]
    with model.use():
        assert holds(model, variant[1])


def test_room_for_others(gpu, weights):
    agent = gpu((REF, weights[0]))
    model = attach(agent, share=True, priority=2)
    assert agent.expect("lease")["yield"] is True
    address = model.address("big")
    agent.command(f"room {REF} 600")
    assert agent.expect("parked")["ok"]
    assert model.parked
    with pytest.raises(ingot.NotMapped):
        model["big"]
    with model.use(priority=5, timeout=60):
        told = agent.expect("acquired")
        assert (told["priority"], told["deadline"]) == (5, 60)
        assert model.address("big") == address
        assert holds(model, weights[1])
    agent.command(f"room {REF} 600")
    agent.expect("parked")
    model.reattach()
    assert agent.expect("acquired") == {"event": "acquired", "priority": 2, "deadline": 0}


def test_room_is_not_given_back(gpu, weights):
    agent = gpu((REF, weights[0]))
    model = attach(agent, share=True)
    agent.command(f"room {REF} 600")
    agent.expect("parked")
    agent.command("deny busy")
    for _ in range(2):
        with pytest.raises(ingot.AgentError, match="others have it") as caught, model.use(timeout=60):
            pass
        assert caught.value.code == "busy"
        assert model.parked
    agent.command("allow")
    with model.use():
        assert holds(model, weights[1])


def test_who_asks_in_vain_lets_go(gpu, weights, monkeypatch):
    monkeypatch.setattr("ingot.uses._GRACE", 0.0)
    agent = gpu((REF, weights[0]))
    model = attach(agent)
    model.detach()
    agent.command("hold")
    for ask in (model.reattach, lambda timeout: model.use(timeout=timeout).__enter__()):
        with pytest.raises(ingot.AgentError, match="has not come to the GPU in time"):
            ask(timeout=0.05)
        assert not model.parked  # it may come yet
        model.detach()
        assert model.parked
    agent.command("allow")
    with model.use():
        assert holds(model, weights[1])


def test_uses_that_make_no_sense(gpu, weights):
    model = attach(gpu((REF, weights[0])))
    with model.use():
        for call in (model.detach, model.close):
            with pytest.raises(RuntimeError, match="within a use"):
                call()
    leave, within = threading.Event(), threading.Event()

    def use():
        with model.use():
            within.set()
            leave.wait()

    t = threading.Thread(target=use)
    t.start()
    within.wait()
    with pytest.raises(ingot.AgentError, match="still in use"):
        model.detach(timeout=0.05)
    with model.use():  # as if nothing had been
        assert holds(model, weights[1])
    leave.set()
    t.join()
    model.detach()


def test_a_loop_that_pauses_by_itself(gpu, weights, variant):
    agent = gpu((REF, weights[0]), (OTHER, variant[0]))
    model = attach(agent, share=True)
    address, seen = model.address("one"), []
    with model.pauses() as pauses:
        assert list(pauses) == []
        agent.command(f"swap {REF} {OTHER} 600 place")
        assert pauses.wait(60)
        assert holds(model, weights[1])
        for pause in pauses:
            seen.append(pause.reason)
            assert holds(model, weights[1])  # until the body ends
        assert holds(model, variant[1])
        agent.command(f"room {REF} 600")
        assert pauses.wait(60)
        for pause in pauses:
            seen.append(pause.reason)
            pause.release()
            agent.expect("parked")
            assert model.parked
        assert holds(model, variant[1])
        assert model.address("one") == address
    assert seen == ["swap", "room"]
    agent.command(f"room {REF} 600")
    assert agent.expect("parked")["ok"]


def test_many_things_at_a_time(gpu, weights, variant):
    """Threads use what is swapped, given up and taken back, and never see half of it."""
    agent = gpu((REF, weights[0]), (OTHER, variant[0]))
    model = attach(agent, share=True)
    whole = [(t["one"].item(), t["big"][0, 0].item()) for t in (weights[1], variant[1])]
    seen, stop = set(), threading.Event()

    def use():
        while not stop.is_set():
            with model.use():
                seen.add((model["one"].numpy().item(), model["big"].numpy()[0, 0].item()))

    threads = [threading.Thread(target=use) for _ in range(3)]
    for t in threads:
        t.start()
    for n in range(12):
        with model.use():  # it is there, so that somebody has to pause
            agent.command(f"swap {REF} {(OTHER, REF)[n % 2]} 600 {('place', 'part', '')[n % 3]}")
        assert agent.expect("swapped")["ok"]
        if n % 3 == 0:
            agent.command(f"room {REF} 600")
            assert agent.expect("parked")["ok"]
        if n % 4 == 0:
            model.detach()
    stop.set()
    for t in threads:
        t.join()
    assert seen == set(whole)
