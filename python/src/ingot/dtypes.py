"""What the element types of file formats are in NumPy and PyTorch.

Files spell their types each in its own way, and no two ways contradict each
other. A type that neither NumPy nor ml_dtypes has, such as the blocks of ggml or
anything of less than a byte, is given as the bytes that the file has.
"""

from __future__ import annotations

import re
from typing import Any, Sequence

import ml_dtypes
import numpy as np

_TYPES: dict[str, Any] = {
    # safetensors, and GGUF as far as it has them
    "BOOL": np.bool_,
    "U8": np.uint8,
    "I8": np.int8,
    "U16": np.uint16,
    "I16": np.int16,
    "U32": np.uint32,
    "I32": np.int32,
    "U64": np.uint64,
    "I64": np.int64,
    "F16": np.float16,
    "BF16": ml_dtypes.bfloat16,
    "F32": np.float32,
    "F64": np.float64,
    "C64": np.complex64,
    "F8_E4M3": ml_dtypes.float8_e4m3fn,
    "F8_E4M3FNUZ": ml_dtypes.float8_e4m3fnuz,
    "F8_E5M2": ml_dtypes.float8_e5m2,
    "F8_E5M2FNUZ": ml_dtypes.float8_e5m2fnuz,
    # ONNX
    "FLOAT": np.float32,
    "DOUBLE": np.float64,
    "FLOAT16": np.float16,
    "BFLOAT16": ml_dtypes.bfloat16,
    "FLOAT8E4M3FN": ml_dtypes.float8_e4m3fn,
    "FLOAT8E4M3FNUZ": ml_dtypes.float8_e4m3fnuz,
    "FLOAT8E5M2": ml_dtypes.float8_e5m2,
    "FLOAT8E5M2FNUZ": ml_dtypes.float8_e5m2fnuz,
    "UINT8": np.uint8,
    "INT8": np.int8,
    "UINT16": np.uint16,
    "INT16": np.int16,
    "UINT32": np.uint32,
    "INT32": np.int32,
    "UINT64": np.uint64,
    "INT64": np.int64,
    "COMPLEX64": np.complex64,
    "COMPLEX128": np.complex128,
}
if hasattr(ml_dtypes, "float8_e8m0fnu"):  # since 0.5
    _TYPES["F8_E8M0"] = _TYPES["FLOAT8E8M0"] = ml_dtypes.float8_e8m0fnu

# What safetensors has, by the names that NumPy and PyTorch share.
_SAFETENSORS = re.compile(r"BOOL|BF16|[UIFC]\d+|F8_\w+")
_WORDS = {np.dtype(t).name: word for word, t in _TYPES.items() if _SAFETENSORS.fullmatch(word)}

_NUMPY = re.compile(r"[<>|][biufc]\d{1,2}")


def numpy_dtype(word: str) -> np.dtype | None:
    """Returns the NumPy type that a file's word means, None if there is none."""
    if word in _TYPES:
        return np.dtype(_TYPES[word])
    if from_numpy(word):
        try:
            return np.dtype(word)
        except TypeError:  # a long double of another machine
            return None
    return None


def word(name: str) -> str | None:
    """Returns how safetensors spells a type of NumPy, ml_dtypes or PyTorch; None if it lacks it."""
    return _WORDS.get(name)


def from_numpy(word: str) -> bool:
    """Tells whether a word is as NumPy's own files spell types."""
    return _NUMPY.fullmatch(word) is not None


def shaped(flat: np.ndarray, word: str, shape: Sequence[int]) -> np.ndarray:
    """Gives a tensor's bytes their type and shape.

    A type that NumPy lacks stays bytes, in rows as they lie in the file if its last
    dimension alone is packed.
    """
    dtype = numpy_dtype(word)
    if dtype is not None:
        return flat.view(dtype).reshape(shape)
    return flat.reshape(packed(flat.size, shape))


def packed(nbytes: int, shape: Sequence[int]) -> tuple[int, ...]:
    """Returns the shape that the bytes of a tensor have whose type NumPy lacks."""
    rows = 1
    for n in shape[:-1]:
        rows *= n
    if len(shape) > 1 and rows and nbytes % rows == 0:
        return (*shape[:-1], nbytes // rows)
    return (nbytes,)


def to_torch(array: np.ndarray, device: Any) -> Any:
    """Returns a tensor over the memory of an array, moved if the device is not the CPU.

    PyTorch knows one byte order: an array in the other is copied.
    """
    import torch

    dtype = getattr(torch, array.dtype.name, None)
    if dtype is None:
        raise TypeError(f"PyTorch has no type like NumPy's {array.dtype}")
    if not array.size:
        return torch.empty(array.shape, dtype=dtype, device=device)
    if array.dtype.type.__module__ != "numpy":  # a type of ml_dtypes, which torch.from_numpy does not take
        return torch.from_numpy(array.reshape(-1).view(np.uint8)).view(dtype).reshape(array.shape).to(device)
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    return torch.from_numpy(array).to(device)
