"""The interface of safetensors.safe_open, compared with safe_open itself."""

import pytest
from conftest import same
from safetensors import safe_open

import ingot

REF = "acme/tiny:prod"


def test_as_safe_open(fake, weights):
    folder, tensors = weights
    agent = fake((REF, folder), way="scattered")
    with ingot.open(REF, agent=agent.socket) as got, safe_open(folder / "model.safetensors", framework="np") as want:
        assert got.keys() == sorted(want.keys())
        assert got.offset_keys() == want.offset_keys()
        assert got.metadata() == want.metadata()
        for name in want.keys():
            # safe_open itself cannot give NumPy the floats of 8 bits.
            expected = tensors[name] if name.startswith("small") else want.get_tensor(name)
            assert same(got.get_tensor(name), expected), name
            g, w = got.get_slice(name), want.get_slice(name)
            assert (g.get_shape(), g.get_dtype()) == (w.get_shape(), w.get_dtype())
        g, w = got.get_slice("big"), want.get_slice("big")
        for part in (slice(1, 2), (slice(None), slice(5, 700)), (slice(2), slice(9))):
            assert same(g[part], w[part])
        with pytest.raises(KeyError):
            got.get_slice("absent")
