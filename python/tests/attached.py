"""What tests of leases on a GPU have in common."""

import gc
import threading

from conftest import same

import ingot

REF, OTHER = "acme/tiny:prod", "acme/other:prod"


def attach(agent, ref=REF, **more):
    return ingot.attach(ref, agent=agent.socket, **more)


def holds(model, want):
    """Tells whether a model is what it should be, to the last bit."""
    return model.keys() == want.keys() and [n for n in want if not same(model[n].numpy(), want[n])] == []


def holds_within(model, want):
    with model.use():
        return holds(model, want)


def until(true):
    """Waits for what a thread does; a test that waits in vain is ended from outside."""
    step = threading.Event()
    while not true():
        step.wait(0.005)


def leases_end():
    """Waits for the threads of leases that nobody has any more."""
    gc.collect()
    for thread in threading.enumerate():
        if thread.name.startswith("ingot lease"):
            thread.join()


def swapped(agent, command):
    agent.command(command)
    return agent.expect("swapped")
