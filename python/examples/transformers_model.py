"""Loads a model with transformers from the agent on this machine, and no network.

    python transformers_model.py acme/minilm:prod "a sentence"

Configuration and tokenizer come as files, over the agent's socket. The weights are
views of the agent's memory, which every process on the machine shares. With --files
they are files too, as any program reads them. What the model makes of the sentence is
printed, one number a line.
"""

import argparse

import torch
from transformers import AutoConfig, AutoModel, AutoTokenizer

import ingot

WEIGHTS = ["*.safetensors", "*.bin", "*.gguf", "*.onnx"]


def from_memory(ref):
    folder = ingot.snapshot_download(ref, ignore_patterns=WEIGHTS)
    model = AutoModel.from_config(AutoConfig.from_pretrained(folder))
    weights = dict(ingot.load(ref, framework="torch"))
    missing, _ = model.load_state_dict(weights, strict=False, assign=True)  # no copy
    if missing:
        raise SystemExit(f"{ref} lacks {', '.join(missing)}")
    return folder, model


def from_files(ref):
    folder = ingot.snapshot_download(ref)
    return folder, AutoModel.from_pretrained(folder)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("ref")
    parser.add_argument("sentence")
    parser.add_argument("--files", action="store_true", help="read the weights as files")
    args = parser.parse_args()
    folder, model = from_files(args.ref) if args.files else from_memory(args.ref)
    words = AutoTokenizer.from_pretrained(folder)(args.sentence, return_tensors="pt")
    with torch.no_grad():
        state = model.eval()(**words).last_hidden_state
    print(*state.float().mean(1)[0].tolist(), sep="\n")


if __name__ == "__main__":
    main()
