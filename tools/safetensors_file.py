"""Reads and writes safetensors files with nothing but PyTorch: the package `safetensors` is not
everywhere, and does not keep the order of the tensors."""
import ctypes
import json
import math
import struct

import torch

TYPES = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16,
         "I64": torch.int64, "I32": torch.int32, "U8": torch.uint8, "BOOL": torch.bool}
NAMES = {dtype: name for name, dtype in TYPES.items()}


def save(path, tensors, metadata):
    """tensors: {name: tensor}; metadata: {name: text}."""
    header, data, at = {"__metadata__": metadata}, [], 0
    for name, tensor in tensors.items():
        whole = tensor.detach().cpu().contiguous()
        raw = ctypes.string_at(whole.data_ptr(), whole.numel() * whole.element_size())
        header[name] = {"dtype": NAMES[tensor.dtype], "shape": list(tensor.shape),
                        "data_offsets": [at, at + len(raw)]}
        data.append(raw)
        at += len(raw)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for raw in data:
            file.write(raw)


def load(path):
    """{name: tensor}, {name: text} of the metadata."""
    with open(path, "rb") as file:
        length, = struct.unpack("<Q", file.read(8))
        header, data = json.loads(file.read(length)), bytearray(file.read())
    metadata, tensors = header.pop("__metadata__", None) or {}, {}
    for name, entry in header.items():
        begin, _ = entry["data_offsets"]
        count = math.prod(entry["shape"])
        dtype = TYPES[entry["dtype"]]
        tensors[name] = (torch.frombuffer(data, dtype=dtype, count=count, offset=begin).clone()
                         if count else torch.empty(0, dtype=dtype)).reshape(entry["shape"])
    return tensors, metadata
