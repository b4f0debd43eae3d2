"""A small language model in NumPy: which character follows the last sixteen.

Its weights are bfloat16, as they are published; the optimizer has them in float32.
"""

import hashlib

import ml_dtypes
import numpy as np

CONTEXT, WIDTH = 16, 32
BF16 = ml_dtypes.bfloat16


class Text:
    """Characters as numbers, and pieces of them to learn from."""

    def __init__(self, text, seed):
        self.letters = sorted(set(text))
        numbers = {letter: n for n, letter in enumerate(self.letters)}
        self.data = np.array([numbers[letter] for letter in text])
        self._rng = np.random.default_rng(seed)

    def batch(self, size):
        at = self._rng.integers(0, len(self.data) - CONTEXT - 1, size)
        return self.data[at[:, None] + np.arange(CONTEXT)], self.data[at + CONTEXT]


def fresh(letters, hidden, seed=1):
    rng = np.random.default_rng(seed)
    shapes = {
        "embed.weight": (letters, WIDTH),
        "layer.0.weight": (CONTEXT * WIDTH, hidden),
        "layer.0.bias": (hidden,),
        "layer.1.weight": (hidden, hidden),
        "layer.1.bias": (hidden,),
        "head.weight": (hidden, letters),
        "head.bias": (letters,),
    }
    return {
        name: rng.standard_normal(shape, np.float32) * np.float32(0 if len(shape) == 1 else shape[0] ** -0.5)
        for name, shape in shapes.items()
    }


def forward(w, contexts):
    """Returns the scores of the next letter, and what the way back needs."""
    x = w["embed.weight"][contexts].reshape(len(contexts), -1)
    a = np.maximum(x @ w["layer.0.weight"] + w["layer.0.bias"], 0)
    b = np.maximum(a @ w["layer.1.weight"] + w["layer.1.bias"], 0)
    return b @ w["head.weight"] + w["head.bias"], (x, a, b)


def loss(w, contexts, targets):
    """Returns how badly the weights foretell, in nats for each letter."""
    chances = _chances(forward(w, contexts)[0])
    return float(-np.log(chances[np.arange(len(targets)), targets]).mean())


def _chances(scores):
    chances = np.exp(scores - scores.max(1, keepdims=True))
    return chances / chances.sum(1, keepdims=True)


def gradients(w, contexts, targets):
    """Returns how the loss changes with each weight."""
    scores, (x, a, b) = forward(w, contexts)
    d = _chances(scores)
    d[np.arange(len(targets)), targets] -= 1
    d /= len(targets)
    g = {"head.weight": b.T @ d, "head.bias": d.sum(0)}
    d = (d @ w["head.weight"].T) * (b > 0)
    g |= {"layer.1.weight": a.T @ d, "layer.1.bias": d.sum(0)}
    d = (d @ w["layer.1.weight"].T) * (a > 0)
    g |= {"layer.0.weight": x.T @ d, "layer.0.bias": d.sum(0)}
    d = (d @ w["layer.0.weight"].T).reshape(-1, WIDTH)
    g["embed.weight"] = np.zeros_like(w["embed.weight"])
    np.add.at(g["embed.weight"], contexts.reshape(-1), d)
    return g


class Adam:
    def __init__(self, weights):
        self.weights = weights
        self._means = {name: np.zeros_like(w) for name, w in weights.items()}
        self._squares = {name: np.zeros_like(w) for name, w in weights.items()}
        self._steps = 0

    def step(self, g, rate):
        self._steps += 1
        rate *= (1 - 0.99**self._steps) ** 0.5 / (1 - 0.9**self._steps)
        for name, w in self.weights.items():
            self._means[name] += 0.1 * (g[name] - self._means[name])
            self._squares[name] += 0.01 * (g[name] ** 2 - self._squares[name])
            w -= np.float32(rate) * self._means[name] / (np.sqrt(self._squares[name]) + np.float32(1e-8))


def rounded(weights):
    """Returns weights as they are published."""
    return {name: w.astype(BF16) for name, w in weights.items()}


def digest(weights):
    """Names the bits of weights."""
    total = hashlib.sha256()
    for name in sorted(weights):
        total.update(name.encode() + weights[name].tobytes())
    return total.hexdigest()
