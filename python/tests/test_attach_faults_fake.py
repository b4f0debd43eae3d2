"""GPUs that fail, agents that lie, clients that die: on the fake driver."""

import os
import subprocess
import sys
import textwrap

import gpu_faults
import pytest
from attached import REF, attach, holds, leases_end, until
from conftest import HERE, open_files

import ingot


@pytest.mark.parametrize("fault", gpu_faults.IMAGES)
def test_images_that_fail(gpu, fault, weights):
    agent = gpu((REF, weights[0]), fault=fault)
    leases_end()
    before = open_files()
    with pytest.raises(ingot.AgentError) as caught:
        attach(agent)
    assert caught.value.code in ("unavailable", "internal")
    del caught
    leases_end()
    agent.expect("end")
    assert open_files() == before


@pytest.mark.parametrize("fault", gpu_faults.PAUSES)
def test_pauses_that_fail(gpu, fault, weights):
    """Nothing is unmapped for them; the client looks for an agent that speaks as it should."""
    agent = gpu((REF, weights[0]), fault=fault)
    model = attach(agent)
    agent.expect("lease")
    assert agent.expect("lease")["ref"] == f"a/b@{'0' * 64}"
    agent.kill()
    agent._arguments[agent._arguments.index("--fault") + 1] = ""
    agent._arguments[-1] = f"a/b:c={weights[0]}"
    agent.start()
    model.detach()
    with pytest.raises(ingot.AgentError, match="no such version"):
        model.reattach()


def test_a_lease_that_fails_late(gpu, weights):
    agent = gpu((REF, weights[0]), fault="fails late")
    model = attach(agent)
    agent.command("deny not_found")
    until(lambda: model.parked)
    with pytest.raises(ingot.NotMapped):
        model["t"]


# A client in a process of its own, which the test ends in some way.
PROGRAM = """
    import os, sys, threading
    sys.path[:0] = [{source!r}, {here!r}]
    import ingot
    model = ingot.attach({ref!r}, agent={socket!r}, share=True)
    print(model["one"].numpy(), flush=True)
"""


class Client:
    def __init__(self, agent, more="", **environment):
        names = {"source": str(HERE.parent / "src"), "here": str(HERE), "ref": REF, "socket": agent.socket}
        program = textwrap.dedent(PROGRAM).format(**names) + textwrap.dedent(more)
        self.process = subprocess.Popen(
            [sys.executable, "-c", program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
        )

    def line(self):
        return self.process.stdout.readline()

    def ends(self):
        """Returns its status and what it has said."""
        out, err = self.process.communicate(timeout=100)
        return self.process.returncode, out + err


@pytest.mark.parametrize(
    "end",
    ["", "model.close()", "model.detach()", "del model", "model.use().__enter__()", "x = dict(model)", "sys.exit(0)"],
)
def test_an_interpreter_ends(gpu, weights, end):
    agent = gpu((REF, weights[0]))
    assert Client(agent, end).ends() == (0, "2.5\n")
    agent.expect("end")


@pytest.mark.parametrize("signal", [9, 15])
def test_a_client_dies(gpu, weights, signal):
    agent = gpu((REF, weights[0]))
    client = Client(agent, "with model.use(): sys.stdin.read()")
    other = attach(agent)
    assert client.line() == "2.5\n"
    agent.command(f"swap {REF} {REF} 600")
    client.process.send_signal(signal)
    client.ends()
    assert agent.expect("end")
    assert agent.expect("swapped")["ok"]  # nobody waits for the dead
    with other.use():
        assert holds(other, weights[1])


def test_weights_are_read_only(gpu, weights):
    """Who writes fails, and nobody else sees anything of it."""
    agent = gpu((REF, weights[0]))
    other = attach(agent)
    client = Client(agent, "import ctypes; ctypes.memset(model.address('one'), 0, 4); print('written')")
    code, said = client.ends()
    assert code == -11
    assert "written" not in said
    assert holds(other, weights[1])


CALLS = {
    "cuInit:1": 2,
    "cuDeviceGetCount:1": 2,
    "cuDeviceGet:1": 2,
    "cuDeviceGetUuid_v2:1": 2,
    "cuDevicePrimaryCtxRetain:1": 2,
    "cuCtxSetCurrent:1": 2,
    "cuMemImportFromShareableHandle:1": 2,
    "cuMemImportFromShareableHandle:3": 1,
    "cuMemAddressReserve:1": 2,
    "cuMemMap:1": 2,
    "cuMemMap:3": 2,
    "cuMemSetAccess:1": 2,
    "cuMemSetAccess:1#": 700,
    "cuMemMap:2": 700,
}


@pytest.mark.parametrize("call", CALLS)
def test_calls_that_fail(gpu, weights, call):
    """A driver that fails is told of, and leaves nobody waiting."""
    agent = gpu((REF, weights[0]))
    code, said = Client(agent, FAKECUDA_FAIL=f"{call.rstrip('#')}={CALLS[call]}").ends()
    assert code == 1, said
    error = said.strip().splitlines()[-1]
    assert error.startswith(("ingot.driver.DriverError: ", "ingot.errors.AgentError: ")), said
    assert f"({CALLS[call]})" in error
    with attach(agent) as other:
        assert holds(other, weights[1])


LATER = {
    "cuCtxSynchronize:2": 719,
    "cuMemUnmap:1": 1,
    "cuMemUnmap:2": 700,
    "cuMemRelease:1": 1,
}


@pytest.mark.parametrize("call", LATER)
def test_calls_that_fail_later(gpu, weights, call):
    """Who cannot unmap lets go of the lease altogether, and says why at the next use."""
    more = """
        sys.stdin.readline()
        try:
            with model.use(timeout=60): print("used")
        except ingot.AgentError as e:
            print(e)
    """
    agent = gpu((REF, weights[0]))
    client = Client(agent, more, FAKECUDA_FAIL=f"{call}={LATER[call]}")
    assert client.line() == "2.5\n"
    agent.command(f"room {REF} 600")
    agent.expect("end")
    client.process.stdin.write("\n")
    code, said = client.ends()
    assert (code, f"({LATER[call]})" in said, call.split(":")[0] in said) == (0, True, True), said
    assert "used" not in said


def test_a_second_map_fails(gpu, weights):
    """An image that cannot be mapped parks the lease, which can be asked for again."""
    more = """
        model.detach()
        for _ in range(2):
            try:
                with model.use(timeout=60): print(model["one"].numpy())
            except ingot.AgentError as e:
                print(e)
    """
    count = 4  # slabs, each of which is mapped once before
    agent = gpu((REF, weights[0]))
    code, said = Client(agent, more, FAKECUDA_FAIL=f"cuMemMap:{count + 2}=2").ends()
    assert code == 0, said
    assert said.splitlines()[0] == "2.5"
    assert "the image cannot be mapped: cuMemMap: " in said
    assert said.splitlines()[-1] == "2.5" or "2.5" in said.splitlines()[2:]
