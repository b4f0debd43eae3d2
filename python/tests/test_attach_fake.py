"""Tensors on a GPU: the fake driver's, which says nothing of speed."""

import gc
import os

import numpy as np
import pytest
from attached import OTHER, REF, attach, holds, leases_end, swapped
from conftest import open_files, same
from safetensors.numpy import save_file

import ingot
from ingot import driver


def test_tensors_are_the_files(gpu, weights):
    folder, want = weights
    agent = gpu((REF, folder))
    with attach(agent, timeout=60, priority=3) as model:
        told = agent.expect("lease")
        assert (told["deadline"], told["priority"], "yield" in told) == (60, 3, False)
        assert holds(model, want)
        assert (model.ref, len(model.version), model.mapped, model.parked, model.held) == (REF, 64, True, False, True)
        assert "acme/tiny" in repr(model)
    agent.expect("end")
    with pytest.raises(ValueError, match="is closed"), model.use():
        pass


def test_what_a_tensor_says(gpu, weights):
    folder, want = weights
    model = attach(gpu((REF, folder)))
    big, wide = model["big"], model["wide"]
    said = big.__cuda_array_interface__
    assert (said["shape"], said["typestr"], said["data"]) == ((3, 700_001), "<f4", (big.data_ptr, False))
    assert big.data_ptr == model.address("big")
    assert big.data_ptr % 512 == 0
    assert wide.__cuda_array_interface__["typestr"] == "|u1"  # the interface has no bfloat16
    assert (wide.dtype.name, wide.shape, wide.nbytes) == ("bfloat16", (1024, 1024), 2 << 20)
    assert model["none"].__cuda_array_interface__["data"] == (0, False)
    assert model["big"] is big
    assert model.info("wide").dtype == "BF16"
    with pytest.raises(KeyError, match="no tensor 'absent' in version"):
        model["absent"]
    assert "absent" not in model
    assert "big" in model


def test_clones_are_private(gpu, weights):
    folder, want = weights
    model = attach(gpu((REF, folder)))
    copy = model.clone("half")
    address = copy.data_ptr
    model.close()
    assert same(copy.numpy(), want["half"])
    assert copy.data_ptr == address


def test_the_address_stays(gpu, weights):
    folder, want = weights
    agent = gpu((REF, folder))
    model = attach(agent)
    before = {name: model.address(name) for name in model}
    kept = model["wide"]
    for _ in range(3):
        model.detach()
        agent.expect("detached")
        assert model.parked
        for use in (lambda: model["big"], kept.numpy, lambda: len(model), lambda: list(model)):
            with pytest.raises(ingot.NotMapped, match="not on the GPU now"):
                use()
        model.reattach()
        assert {name: model.address(name) for name in model} == before
        assert holds(model, want)
        assert same(kept.numpy(), want["wide"])


def test_detach_twice(gpu, weights):
    model = attach(gpu((REF, weights[0])))
    model.detach()
    model.detach()
    model.reattach()
    model.reattach()
    assert holds(model, weights[1])


@pytest.mark.parametrize("way", ["place", "part"])
def test_a_swap_to_a_variant(gpu, weights, variant, way):
    agent = gpu((REF, weights[0]), (OTHER, variant[0]))
    model = attach(agent)
    before = {name: model.address(name) for name in model}
    held, old = model["one"], model.version
    heard = []
    model.on_change(heard.append)
    told = swapped(agent, f"swap {REF} {OTHER} 60 {way}")
    assert (told["ok"], told["leases"]) == (True, 1)
    model.reattach()  # waits until it is mapped
    assert holds(model, variant[1])
    assert {name: model.address(name) for name in model} == before
    assert model["one"] is held  # the same place, with what is there now
    assert same(held.numpy(), variant[1]["one"])
    assert heard == [model.version]
    assert model.version != old


def test_swaps_to_other_layouts(gpu, weights, larger):
    """Larger and smaller images come to the same address, and old tensors say that they are old."""
    agent = gpu((REF, weights[0]), (OTHER, larger[0]), ("acme/third:x", weights[0]))
    model = attach(agent)
    start = model._session.current()[1]
    wide, one = model["wide"], model["one"]
    assert swapped(agent, f"swap {REF} {OTHER} 60")["ok"]
    model.reattach()
    assert holds(model, larger[1])
    assert model._session.current()[1] == start
    with pytest.raises(KeyError, match="no tensor 'wide'"):
        model["wide"]
    for old in (wide, one):  # one has another place now
        for use in (old.numpy, lambda: old.__cuda_array_interface__, lambda: old.data_ptr, old.clone):
            with pytest.raises(ingot.Stale, match="not at its place any more"):
                use()
    assert swapped(agent, f"swap {REF} acme/third:x 60")["ok"]
    model.reattach()
    assert holds(model, weights[1])
    assert same(wide.numpy(), weights[1]["wide"])  # which is what it was
    assert model._session.current()[1] == start


def test_a_change_while_names_are_gone_through(gpu, weights, variant):
    agent = gpu((REF, weights[0]), (OTHER, variant[0]))
    model = attach(agent)
    names = iter(model)
    next(names)
    swapped(agent, f"swap {REF} {OTHER} 60 place")
    model.reattach()
    with pytest.raises(RuntimeError, match="has changed"):
        list(names)


def test_two_clients(gpu, weights, variant):
    agent = gpu((REF, weights[0]), (OTHER, variant[0]))
    first, second = attach(agent), attach(agent, OTHER)
    assert holds(first, weights[1])
    assert holds(second, variant[1])
    assert first.address("big") != second.address("big")
    first.close()
    assert holds(second, variant[1])


def test_who_keeps_what(gpu, weights):
    agent = gpu((REF, weights[0]))
    model = attach(agent)
    big = model["big"]
    model.on_change(lambda version, model=model: None)
    del model
    gc.collect()
    assert same(big.numpy(), weights[1]["big"])
    del big
    agent.expect("end")


def test_nothing_is_left(gpu, weights, variant):
    agent = gpu((REF, weights[0]), (OTHER, variant[0]))
    attach(agent).close()
    leases_end()
    before = open_files()
    for n in range(10):
        model = attach(agent, (REF, OTHER)[n % 2])
        assert holds(model, (weights[1], variant[1])[n % 2])
        if n % 3 == 0:
            model.detach()
        if n % 3 == 1:
            model.close()
        del model
    leases_end()
    assert open_files() == before


def test_a_child_has_none(gpu, weights):
    agent = gpu((REF, weights[0]))
    model = attach(agent)
    big = model["big"]
    child = os.fork()
    if child == 0:
        refused = 0
        for call in (lambda: model["big"], big.numpy, model.detach, model.close, model.use().__enter__):
            try:
                call()
            except RuntimeError:
                refused += 1
        os._exit(refused)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 5
    assert holds(model, weights[1])
    child = os.fork()
    if child == 0:
        del model, big
        gc.collect()
        os.read(0, 1)  # outlives its parent's lease
        os._exit(0)
    model.close()
    agent.expect("end")
    os.kill(child, 9)
    os.waitpid(child, 0)


def test_devices(gpu, weights):
    agent = gpu((REF, weights[0]))
    ident = str(driver.load().devices[0])
    for device in ("cuda", "cuda:0", 0, ident, ident[4:].upper()):
        with attach(agent, device=device) as model:
            assert model.device == ident
    for device, why in (
        ("cuda:9", "no such GPU here; there are: GPU-"),
        (-1, "want a number"),
        ("cuda:x", "want a number"),
        (True, "no device"),
        ("tpu", "want .cuda:0., a number, or the UUID"),
        ("GPU-" + "0" * 32, "no such GPU"),
    ):
        with pytest.raises(ValueError, match=why):
            attach(agent, device=device)
    with pytest.raises(ValueError, match="framework 'jax'"):
        attach(agent, framework="jax")


def test_no_driver(gpu, weights, monkeypatch, tmp_path):
    agent = gpu((REF, weights[0]))
    monkeypatch.setenv("INGOT_LIBCUDA", str(tmp_path / "libcuda.so.1"))
    with pytest.raises(ingot.DriverError, match="no CUDA driver: .*cannot open shared object"):
        attach(agent)
    (tmp_path / "libcuda.so.1").write_bytes(b"\x7fELF")
    with pytest.raises(ingot.DriverError, match="no CUDA driver"):
        attach(agent)


def test_refusals(gpu, weights, tmp_path):
    agent = gpu((REF, weights[0]))
    with pytest.raises(ingot.AgentError, match="no such version") as caught:
        attach(agent, "acme/absent")
    assert caught.value.code == "not_found"
    with pytest.raises(ingot.NoAgent):
        ingot.attach(REF, agent=tmp_path / "nobody.sock")


def test_files(gpu, weights, tmp_path):
    save_file({"a": np.arange(3.0)}, tmp_path / "one.safetensors")
    save_file({"a": np.arange(4.0), "b": np.arange(2)}, tmp_path / "two.safetensors")
    np.save(tmp_path / "matrix.npy", np.zeros((2, 3)))
    agent = gpu((REF, tmp_path))
    with pytest.raises(ValueError, match="'a' in one.safetensors and in two.safetensors: choose with file="):
        attach(agent)
    with pytest.raises(FileNotFoundError, match="no file 'three'"):
        attach(agent, file="three")
    with attach(agent, file="two.safetensors") as model:
        assert holds(model, {"a": np.arange(4.0), "b": np.arange(2)})
    with attach(agent, file="matrix.npy") as model, pytest.raises(ingot.AgentError, match="does not tell the order"):
        model["array"]


def test_a_stream(gpu, weights):
    folder, want = weights
    agent = gpu((REF, folder))
    order, heard = [], []
    with ingot.stream(
        REF, agent=agent.socket, device="cuda:0", first=["wide", "one"], progress=lambda *told: heard.append(told)
    ) as stream:
        for name, tensor in stream:
            assert stream.info.name == name
            assert same(tensor.numpy(), want[name])
            order.append(name)
    assert order[:2] == ["wide", "one"]
    assert sorted(order) == sorted(want)
    assert heard == [(1, 2)]
    assert list(stream) == []
    del tensor
    agent.expect("end")
    with pytest.raises(ValueError, match="a window is of the host's memory"):
        ingot.stream(REF, agent=agent.socket, device="cuda:0", window=True)


def test_a_stream_that_is_left(gpu, weights):
    agent = gpu((REF, weights[0]))
    stream = ingot.stream(REF, agent=agent.socket, device=0)
    next(stream)
    agent.command(f"swap {REF} {REF} 600 place")
    stream.close()
    assert agent.expect("swapped")["ok"]
    del stream
    agent.expect("end")
