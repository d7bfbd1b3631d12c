"""Layers that join values and change shapes, in PyTorch, for torch_net.py and torch_reference.py."""
import functools
import operator

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


def join(function):
    return lambda *values: functools.reduce(function, values)


# class: function of all inputs
JOINS = {"add": join(operator.add), "sub": join(operator.sub), "mul": join(operator.mul),
         "concat": lambda *values: torch.cat(values, 1)}


def joining(cls):
    return lambda name, a, shape: Call(JOINS[cls], cls)


# class: module of (name, arguments, shape of the first input without the batch)
LAYERS = {cls: joining(cls) for cls in JOINS}
