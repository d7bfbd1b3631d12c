"""Layers that join values and change shapes, in PyTorch, for torch_net.py and torch_reference.py."""
import functools
import operator
import re

import torch
from torch import nn


class Call(nn.Module):
    """A function of the inputs."""

    def __init__(self, function, text):
        super().__init__()
        self.function, self.text = function, text

    def forward(self, *values):
        return self.function(*values)

    def extra_repr(self):
        return self.text


NUMBER = r"-?\d+(\.\d*)?(e-?\d+)?"


def number_of(text):
    return None if text == "none" else int(text) if re.fullmatch(r"-?\d+", text) else float(text)


def numbers_of(text):
    """"3" -> 3, "1x2.5" -> (1, 2.5), "nonex1" -> (None, 1); other text as it is."""
    parts = text.split("x")
    if not all(part == "none" or re.fullmatch(NUMBER, part) for part in parts):
        return text
    values = tuple(number_of(part) for part in parts)
    return values if len(values) > 1 else values[0]


def join(function):
    return lambda *values: functools.reduce(function, values)


# class: function of all inputs
JOINS = {"add": join(operator.add), "sub": join(operator.sub), "mul": join(operator.mul),
         "concat": lambda *values: torch.cat(values, 1)}


class Scale(nn.Module):
    """Times a number, or a learned factor for each channel."""

    def __init__(self, factor=1, learned=False, channels=None):
        super().__init__()
        self.factor = factor
        if learned:
            self.weight = nn.Parameter(torch.full((channels,), float(factor)))

    def forward(self, x):
        weight = getattr(self, "weight", None)
        if weight is None:
            return x * self.factor
        return x * weight.reshape(1, -1, *[1] * (x.dim() - 2))


def flatten(x, start_dim=1, end_dim=-1):
    """What has three dimensions is C x 1 x L in trainer."""
    x = torch.flatten(x, start_dim, end_dim)
    return x.unsqueeze(2) if x.dim() == 3 else x


def sizes_of(sizes):
    """"3,1,1" or [3.0, 1.0, 1.0]"""
    return tuple(int(n) for n in (sizes.split(",") if isinstance(sizes, str) else sizes))


def upsample(a):
    """align_corners=false is no argument of the mode nearest."""
    return nn.Upsample(**{key: value for key, value in a.items()
                          if value is not None and value is not False})


def adaptive(cls):
    """None alone is no size in PyTorch."""
    return lambda a, shape: cls(a["output_size"] or (None, None))


def pad(cls):
    return lambda a, shape: cls(a["padding"])


# class: module of (arguments, shape of the first input without the batch)
ONE_INPUT = {
    "scale": lambda a, shape: Scale(**a, channels=shape[0]),
    "slice": lambda a, shape: Call(lambda x: x[:, a.get("start", 0):a.get("end")], f"slice {a}"),
    "flatten": lambda a, shape: Call(lambda x: flatten(x, **a), f"flatten {a}"),
    "unflatten": lambda a, shape: nn.Unflatten(a.get("dim", 1), sizes_of(a["unflattened_size"])),
    "adaptive_avg_pool2d": adaptive(nn.AdaptiveAvgPool2d),
    "adaptive_max_pool2d": adaptive(nn.AdaptiveMaxPool2d),
    "upsample": lambda a, shape: upsample(a),
    "zero_pad2d": pad(nn.ZeroPad2d),
    "reflection_pad2d": pad(nn.ReflectionPad2d),
    "replication_pad2d": pad(nn.ReplicationPad2d),
    "pixel_shuffle": lambda a, shape: nn.PixelShuffle(**a),
    # nn.ChannelShuffle has no derivative in PyTorch 1.13.
    "channel_shuffle": lambda a, shape: Call(
        lambda x: x.unflatten(1, (a["groups"], -1)).transpose(1, 2).flatten(1, 2),
        f"channel_shuffle groups={a['groups']}"),
}
KEYS = {
    "scale": ("factor", "learned"),
    "slice": ("start", "end"),
    "flatten": ("start_dim", "end_dim"),
    "unflatten": ("dim", "unflattened_size"),
    "adaptive_avg_pool2d": ("output_size",),
    "adaptive_max_pool2d": ("output_size",),
    "upsample": ("size", "scale_factor", "mode", "align_corners", "recompute_scale_factor"),
    "zero_pad2d": ("padding",),
    "reflection_pad2d": ("padding",),
    "replication_pad2d": ("padding",),
    "pixel_shuffle": ("upscale_factor",),
    "channel_shuffle": ("groups",),
}
