#!/usr/bin/env python3
"""Builds a network of trainer in PyTorch, from what `trainer --dry-run --json NET.json` wrote.

    python3 tools/torch_net.py NET.json      prints the module, and checks names and shapes

As a module: read(path), build(net), loss_of(net), optimizer_of(net, parameters), step(net, ...).
Parameters and buffers have exactly the names that the file gives, "layer1.0.conv1.weight" by
submodules, and layers are made in the file's order and then get their weight_init and bias_init
(torch_init.py), so that torch.manual_seed(net["seed"]) gives what trainer starts from with
train.generator = torch. PyTorch 1.13 and 2.x.
"""
import json
import pathlib
import sys

import torch
import torch.nn.functional as F
from torch import nn

import torch_init
import torch_shapes

FORMAT = 1


class Subsample(nn.Module):
    """Every stride-th pixel."""

    def __init__(self, stride):
        super().__init__()
        self.stride = pair(stride)

    def forward(self, x):
        return x[:, :, ::self.stride[0], ::self.stride[1]]


class PadChannels(nn.Module):
    """Channels of zeros in front of and behind the image's own."""

    def __init__(self, before, after):
        super().__init__()
        self.pad = (0, 0, 0, 0, before, after)

    def forward(self, x):
        return F.pad(x, self.pad)


class DropPath(nn.Module):
    """torchvision.ops.StochasticDepth with mode="row"."""

    def __init__(self, p):
        super().__init__()
        self.p = p

    def forward(self, x):
        if not self.training or self.p == 0:
            return x
        kept = torch.rand(len(x), *[1] * (x.dim() - 1), dtype=x.dtype) >= self.p
        return x * kept / (1 - self.p) if self.p < 1 else x * 0


def pair(size):
    return (size, size) if isinstance(size, int) else tuple(size)


# ---- arguments ----

def value_of(value):
    """"3x1" -> (3, 1), "nonex1" -> (None, 1); a list -> a tuple; numbers and booleans as they are;
    "none", "kernel_size" for the stride of a pool, "input" -> None; other words as they are."""
    if isinstance(value, list):
        return tuple(value)
    if not isinstance(value, str):
        return value
    return None if value in ("kernel_size", "input") else torch_shapes.numbers_of(value)


# Keys that say how trainer treats a layer's parameters: they are no arguments of the layer.
OWN_KEYS = ("frozen", "weight_init", "bias_init")
# Keys whose words are PyTorch's.
WORD_KEYS = ("approximate",)


def arguments_of(described):
    return {key: value if key in WORD_KEYS else value_of(value)
            for key, value in described["arguments"].items() if key not in OWN_KEYS}


def take(arguments, name, *keys):
    """The arguments called so; an argument that none of the tools knows is an error."""
    unknown = set(arguments) - set(keys)
    if unknown:
        sys.exit(f"torch_net: '{name}': unknown arguments {', '.join(sorted(unknown))}")
    return {key: arguments[key] for key in keys if key in arguments}


POOL = ("kernel_size", "stride", "padding", "ceil_mode")
NORM = ("eps", "momentum", "affine", "track_running_stats")


CONV = ("out_channels", "kernel_size", "stride", "padding", "dilation", "groups", "bias",
        "padding_mode")


def conv(cls, *more):
    def make(name, a, shape):
        given = a.pop("in_channels", None)
        if given not in (None, shape[0]):
            sys.exit(f"torch_net: '{name}': in_channels={given}, but the input has {shape[0]}")
        return cls(shape[0], **take(a, name, *CONV, *more))
    return make


def norm(cls):
    return lambda name, a, shape: cls(shape[0], **take(a, name, *NORM))


def group_norm(name, a, shape):
    a = dict(a, num_channels=shape[0])
    return nn.GroupNorm(**take(a, name, "num_groups", "num_channels", "eps", "affine"))


def layer_norm(name, a, shape):
    given = a.get("normalized_shape") or shape  # None: the word "input"
    a = dict(a, normalized_shape=[int(n) for n in given])
    bias = a.pop("bias", True)
    module = nn.LayerNorm(**take(a, name, "normalized_shape", "eps", "elementwise_affine"))
    if not bias:  # an argument since PyTorch 2.1
        module.register_parameter("bias", None)
    return module


def instance_norm2d(name, a, shape):
    a = dict(a, num_features=shape[0])
    return nn.InstanceNorm2d(**take(a, name, "num_features", *NORM))


def plain(cls, *keys):
    return lambda name, a, shape: cls(**take(a, name, *keys))


def joining(cls):
    return lambda name, a, shape: torch_shapes.Call(torch_shapes.JOINS[cls], cls)


def shaping(cls):
    return lambda name, a, shape: torch_shapes.ONE_INPUT[cls](
        take(a, name, *torch_shapes.KEYS[cls]), shape)


LAYERS = {  # class: (name, arguments, shape of its first input) -> module
    "conv2d": conv(nn.Conv2d),
    "conv_transpose2d": conv(nn.ConvTranspose2d, "output_padding"),
    "linear": lambda name, a, shape: nn.Linear(shape[0], **take(a, name, "out_features", "bias")),
    "batch_norm1d": norm(nn.BatchNorm1d),
    "batch_norm2d": norm(nn.BatchNorm2d),
    "group_norm": group_norm,
    "layer_norm": layer_norm,
    "instance_norm2d": instance_norm2d,
    "local_response_norm": plain(nn.LocalResponseNorm, "size", "alpha", "beta", "k"),
    "max_pool2d": plain(nn.MaxPool2d, *POOL, "dilation"),
    "avg_pool2d": plain(nn.AvgPool2d, *POOL, "count_include_pad", "divisor_override"),
    "relu": plain(nn.ReLU),
    "relu6": plain(nn.ReLU6),
    "leaky_relu": plain(nn.LeakyReLU, "negative_slope"),
    "elu": plain(nn.ELU, "alpha"),
    "selu": plain(nn.SELU),
    "celu": plain(nn.CELU, "alpha"),
    "gelu": plain(nn.GELU, "approximate"),
    "silu": plain(nn.SiLU),
    "mish": plain(nn.Mish),
    "sigmoid": plain(nn.Sigmoid),
    "tanh": plain(nn.Tanh),
    "hard_swish": plain(nn.Hardswish),
    "hard_sigmoid": plain(nn.Hardsigmoid),
    "hard_tanh": plain(nn.Hardtanh, "min_val", "max_val"),
    "softplus": plain(nn.Softplus, "beta", "threshold"),
    "softsign": plain(nn.Softsign),
    "log_sigmoid": plain(nn.LogSigmoid),
    "threshold": plain(nn.Threshold, "threshold", "value"),
    "prelu": plain(nn.PReLU, "num_parameters", "init"),
    "softmax": plain(nn.Softmax, "dim"),
    "log_softmax": plain(nn.LogSoftmax, "dim"),
    "dropout": plain(nn.Dropout, "p"),
    "dropout2d": plain(nn.Dropout2d, "p"),
    "drop_path": plain(DropPath, "p"),
    "identity": lambda name, a, shape: nn.Identity(),
    "subsample": plain(Subsample, "stride"),
    "pad_channels": plain(PadChannels, "before", "after"),
    **{cls: joining(cls) for cls in torch_shapes.JOINS},
    **{cls: shaping(cls) for cls in torch_shapes.ONE_INPUT},
}


# ---- the network ----

# Layers whose gradients do not need what they put out: a relu may overwrite it.
OVERWRITTEN = ("conv2d", "conv_transpose2d", "linear", "batch_norm1d", "batch_norm2d", "add", "sub", "concat")


class Net(nn.Module):
    """The layers in their order; each reads the values that `inputs` names. inplace: a relu
    overwrites its input where nothing else needs that, as torchvision's networks do."""

    def __init__(self, net, inplace=False):
        super().__init__()
        shapes = {"input": net["input"]}
        classes = {layer["name"]: layer["class"] for layer in net["layers"]}
        reads = [name for layer in net["layers"] for name in layer["inputs"]]
        last_use = {name: i for i, layer in enumerate(net["layers"]) for name in layer["inputs"]}
        self.steps = []  # module, its inputs, its name, values that nothing reads after it
        for i, layer in enumerate(net["layers"]):
            name, inputs = layer["name"], layer["inputs"]
            if layer["class"] not in LAYERS:
                sys.exit(f"torch_net: '{name}': unknown layer {layer['class']}")
            module = LAYERS[layer["class"]](name, arguments_of(layer), shapes[inputs[0]])
            frozen = layer["arguments"].get("frozen") or ""
            for key in frozen.strip("()").split(","):
                if getattr(module, key.strip(), None) is not None:
                    getattr(module, key.strip()).requires_grad_(False)
            if inplace and isinstance(module, nn.ReLU):
                module.inplace = (reads.count(inputs[0]) == 1
                                  and classes.get(inputs[0]) in OVERWRITTEN)
            shapes[name] = layer["output"]
            self.place(name, module)
            self.steps.append((module, inputs, name,
                               [used for used in set(inputs) if last_use[used] == i]))

    def place(self, name, module):
        """As a submodule: self.layer1.0.conv1, whatever a part of the name is called."""
        parent, (*parts, last) = self, name.split(".")
        for part in parts:
            if part not in parent._modules:
                parent._modules[part] = nn.Module()
            parent = parent._modules[part]
        if last in parent._modules:  # a layer "a" behind a layer "a.b"
            module._modules.update(parent._modules[last]._modules)
        parent._modules[last] = module

    def forward(self, x):
        values = {"input": x}
        for module, inputs, name, spent in self.steps:
            y = module(*[values[i] for i in inputs])
            for i in spent:
                del values[i]
            values[name] = y
        return y


def read(path):
    net = json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
    if net.get("format") != FORMAT:
        sys.exit(f"torch_net: {path}: format {net.get('format')}, known is {FORMAT}")
    return net


def named_shapes(net, kind):
    return {row["name"]: tuple(row["shape"]) for layer in net["layers"] for row in layer[kind]}


def check(net, module):
    """Names and shapes of the module against those of the file: a list of what differs."""
    faults = []
    for kind, named in (("parameters", module.named_parameters()),
                        ("buffers", module.named_buffers())):
        have, want = {n: tuple(t.shape) for n, t in named}, named_shapes(net, kind)
        for name in sorted(set(have) | set(want)):
            if have.get(name) != want.get(name):
                faults.append(f"{name}: {have.get(name)} in PyTorch, {want.get(name)} in trainer")
    return faults


def build(net):
    module = Net(net)
    faults = check(net, module)
    if faults:
        sys.exit("torch_net: " + "; ".join(faults))
    torch_init.initialise(dict(module.named_parameters()), net["layers"])
    return module


# ---- training ----

LOSSES = {"cross_entropy": nn.CrossEntropyLoss}
OPTIMIZERS = {"sgd": torch.optim.SGD}
SCHEDULES = {"constant": lambda arguments, step, steps: 1.0}


def lookup(table, what, described):
    if described["class"] not in table:
        sys.exit(f"torch_net: unknown {what} {described['class']}")
    return table[described["class"]]


def loss_of(net):
    given = {k: v for k, v in net["loss"]["arguments"].items() if v is not None}
    return lookup(LOSSES, "loss", net["loss"])(**given)


def optimizer_of(net, parameters):
    """With the learning rate of the first step."""
    given = {k: v for k, v in net["optimizer"]["arguments"].items() if not k.startswith("clip_")}
    schedule = lookup(SCHEDULES, "schedule", net["schedule"])
    given["lr"] *= schedule(net["schedule"]["arguments"], 0,
                            net["epochs"] * net["steps_per_epoch"])
    wanted = [p for p in parameters if p.requires_grad]
    return lookup(OPTIMIZERS, "optimizer", net["optimizer"])(wanted, **given)


def clip(net, parameters):
    """As optimizer.clip_grad_norm and then clip_grad_value say."""
    given = net["optimizer"]["arguments"]
    if given.get("clip_grad_norm"):
        nn.utils.clip_grad_norm_(parameters, given["clip_grad_norm"])
    if given.get("clip_grad_value"):
        nn.utils.clip_grad_value_(parameters, given["clip_grad_value"])


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: torch_net.py NET.json")
    net = read(sys.argv[1])
    module = build(net).eval()
    shapes = {}
    for inner, _, name, _ in module.steps:
        inner.register_forward_hook(lambda m, x, y, name=name: shapes.update({name: y.shape[1:]}))
    module(torch.zeros(2, *net["input"]))
    print(module)
    for layer in net["layers"]:
        if list(shapes[layer["name"]]) != layer["output"]:
            sys.exit(f"torch_net: {layer['name']}: {list(shapes[layer['name']])} in PyTorch, "
                     f"{layer['output']} in trainer")
    print(f"{sum(p.numel() for p in module.parameters())} parameters, "
          f"{len(net['layers'])} layers: names and shapes are trainer's")


if __name__ == "__main__":
    main()
