"""Writes the same weights in every format that people keep models in.

Each format's own library writes its files; torchzip stands in for PyTorch.
weights.py says which weights go where.
"""

import json

import gguf
import ml_dtypes
import numpy as np
import onnx
from gguf import GGMLQuantizationType
from onnx import TensorProto, helper, numpy_helper

import torchzip

BIG = 256 << 10  # bytes from which a tensor has chunks of its own
SHARDS = 3


def finish(writer):
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def save_gguf(folder, tensors):
    """Writes numbers as they are; the gguf library does not know numpy's bfloat16."""
    writer = gguf.GGUFWriter(folder / "model.gguf", "bert")
    for name, value in tensors.items():
        if value.dtype == ml_dtypes.bfloat16:
            writer.add_tensor(name, value.view(np.uint8), raw_dtype=GGMLQuantizationType.BF16)
        else:
            writer.add_tensor(name, value)
    finish(writer)


def save_quantized(folder, tensors, kind):
    """Quantizes the matrices and keeps the vectors, as llama.cpp does."""
    writer = gguf.GGUFWriter(folder / "model.gguf", "bert")
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    for name, value in tensors.items():
        if value.dtype == np.float32 and value.ndim == 2:
            writer.add_tensor(name, gguf.quantize(value, kind), raw_dtype=kind)
        else:
            writer.add_tensor(name, value)
    finish(writer)


def save_q8_0(folder, tensors):
    save_quantized(folder, tensors, GGMLQuantizationType.Q8_0)


def save_q4_0(folder, tensors):
    save_quantized(folder, tensors, GGMLQuantizationType.Q4_0)


def save_onnx(folder, tensors, **where):
    """Writes a graph that looks up one embedding and lists all tensors as initializers."""
    table = next(name for name in tensors if name.endswith("word_embeddings.weight"))
    element = helper.np_dtype_to_tensor_dtype(tensors[table].dtype)
    graph = helper.make_graph(
        [helper.make_node("Gather", [table, "ids"], ["rows"])],
        "weights",
        [helper.make_tensor_value_info("ids", TensorProto.INT64, ["n"])],
        [helper.make_tensor_value_info("rows", element, ["n", tensors[table].shape[1]])],
        [numpy_helper.from_array(value, name) for name, value in tensors.items()],
    )
    model = helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 21)])
    onnx.save_model(model, folder / "model.onnx", **where)


def save_onnx_external(folder, tensors):
    save_onnx(folder, tensors, save_as_external_data=True, location="model.onnx.data")


def save_npz(folder, tensors):
    np.savez(folder / "weights.npz", **tensors)


def save_numpy(folder, tensors):
    """Writes a .npy for each big tensor, and the small ones compressed into one .npz."""
    small = {name: value for name, value in tensors.items() if value.nbytes < BIG}
    for name in tensors.keys() - small.keys():
        np.save(folder / f"{name}.npy", tensors[name])
    np.savez_compressed(folder / "small.npz", **small)


def save_torch(folder, tensors):
    torchzip.save(folder / "pytorch_model.bin", tensors)


def save_torch_shards(folder, tensors):
    save_shards(folder, tensors, "pytorch_model.bin.index.json", "pytorch_model-{:05}-of-{:05}.bin", torchzip.save)


def save_shards(folder, tensors, index, pattern, save):
    """Writes consecutive tensors into shards of about equal size, with the index."""
    total = sum(v.nbytes for v in tensors.values())
    shards = [{} for _ in range(SHARDS)]
    done = 0
    for name in sorted(tensors):
        shards[min(done * SHARDS // total, SHARDS - 1)][name] = tensors[name]
        done += tensors[name].nbytes
    where = {}
    for i, shard in enumerate(shards, 1):
        file = pattern.format(i, SHARDS)
        save(folder / file, shard)
        where |= dict.fromkeys(shard, file)
    contents = {"metadata": {"total_size": total}, "weight_map": where}
    (folder / index).write_text(json.dumps(contents, indent=2) + "\n")
