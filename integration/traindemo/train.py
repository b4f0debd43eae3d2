"""Trains the model and publishes it after every step: the process with the optimizer.

usage: train.py REF TEXT STEPS HIDDEN WARM
"""

import json
import sys

import ingot
import numpy as np
from model import Adam, Text, digest, fresh, gradients, loss, rounded

RATE = 2e-3  # how far a step goes, of WARM steps until the weights are worth publishing
SLOW, TURNS = 2e-6, 4  # of those between two versions, as in reinforcement learning

ref, path, (steps, hidden, warm) = sys.argv[1], sys.argv[2], map(int, sys.argv[3:])
with open(path) as f:
    text = Text(f.read(), seed=7)
optimizer = Adam(fresh(len(text.letters), hidden))
held_back = text.batch(512)


def learn(turns, rate):
    for _ in range(turns):
        optimizer.step(gradients(optimizer.weights, *text.batch(64)), rate)


learn(warm, RATE)
before = None
for step in range(steps):
    if step:
        learn(TURNS, SLOW)
    now = rounded(optimizer.weights)
    said = {"step": step, "loss": loss(optimizer.weights, *held_back), "weights": digest(now)}
    publication = ingot.publish(now, ref, step=step, loss=said["loss"], run="demo")
    changed = sum(np.count_nonzero(now[n] != before[n]) for n in now) if before else sum(w.size for w in now.values())
    before, receipt = now, publication.result()  # so that each step is seen by itself
    said |= {"changed": changed / sum(w.size for w in now.values()), "pause": publication.paused, "receipt": receipt}
    print(json.dumps(said), flush=True)
