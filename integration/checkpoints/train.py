"""Trains a real model a little and keeps checkpoints: train.py MODEL TEXTS FOLDER STEPS EVERY.

MODEL is the folder of a BERT. It learns to find a line of the Markdown files below TEXTS
again when other units are dropped out (SimCSE), by AdamW at a rate of 2e-5, in F32. Every
so many steps FOLDER gets weights/N/model.safetensors, rounded to BF16, and
moments/N/optimizer.safetensors, what AdamW keeps, in F32.
"""

import pathlib
import sys

import torch
from safetensors.torch import save_file
from transformers import AutoModel, AutoTokenizer

BATCH = 16
LENGTH = 32


def lines(texts):
    return sorted({s.strip() for p in texts.rglob("*.md") for s in p.read_text().splitlines() if len(s.split()) > 12})


def embed(model, batch):
    return torch.nn.functional.normalize(model(**batch).last_hidden_state[:, 0], dim=1)


def keep(model, optimizer, folder, n):
    weights, moments = (folder / kind / f"{n:03}" for kind in ("weights", "moments"))
    named = dict(model.named_parameters())
    weights.mkdir(parents=True)
    save_file({k: v.detach().to(torch.bfloat16).contiguous() for k, v in named.items()}, weights / "model.safetensors")
    if state := {f"{key}.{k}": optimizer.state[v][key] for k, v in named.items() if v in optimizer.state for key in ("exp_avg", "exp_avg_sq")}:
        moments.mkdir(parents=True)
        save_file(state, moments / "optimizer.safetensors")


def main():
    source, texts, folder = map(pathlib.Path, sys.argv[1:4])
    steps, every = map(int, sys.argv[4:])
    torch.manual_seed(1)
    model, tokenizer = AutoModel.from_pretrained(source, dtype=torch.float32).train(), AutoTokenizer.from_pretrained(source)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-5)
    corpus = lines(texts)
    keep(model, optimizer, folder, 0)
    for step in range(1, steps + 1):
        chosen = [corpus[i] for i in torch.randint(len(corpus), (BATCH,))]
        batch = tokenizer(chosen, padding=True, truncation=True, max_length=LENGTH, return_tensors="pt")
        likeness = embed(model, batch) @ embed(model, batch).T / 0.05
        loss = torch.nn.functional.cross_entropy(likeness, torch.arange(BATCH))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % every == 0:
            keep(model, optimizer, folder, step)


if __name__ == "__main__":
    main()
