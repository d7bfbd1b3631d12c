#!/usr/bin/env python3
"""Writes tests/reference/*.txt: what PyTorch computes for every layer, loss and optimizer.

    python3 tools/torch_reference.py [FOLDER [NAME...]]    default: tests/reference, all of them

Needs PyTorch (Debian: python3-torch, 1.13 made the files in the tree; 2.15 init.txt); neither the build nor the
tests need it. The output is the same on every run: inputs come from random.Random(name of case).

Inputs, parameters and output gradients of the layers are multiples of 1/8 of small size, and so
every sum of products is a multiple of 1/64 that float32 holds exactly, in whatever order it is
added up: a test may compare with ==. This is checked here, by running each case in float32 too and
by reading the printed number back. Layers that divide (averages) are computed in float64 and
printed with all digits. Losses and optimizers are computed in float64 and rounded to 9
digits (relative error 5e-10), so that what is left of a difference is the engine's own rounding.

Format, one item a line, white space between words, `#` starts a comment line:

    case NAME
    layer NAME = CLASS key=value ...       as in [network]; input of each is the line above
    mode MODE                              train or eval; train where there is no such line
    sgd key=value ...                      in sgd.txt, in place of layers
    tensor NAME DIM...                     then its values, row-major (images NCHW, parameters in
      VALUE VALUE ...                      PyTorch's shapes), on lines of at most 100 columns
    end

random.txt and init.txt hold PyTorch's first weights and orders, for which 9 digits are enough to
distinguish floats, and the losses of a short training.

Tensors of a layer case: input, the parameters (conv1.weight), output, grad_output (the cotangent
given to backward), grad_input, and the parameters' gradients (grad.conv1.weight). Networks with
norms are computed in float64 and printed with all digits; they also have the buffers, and
what those are behind the step (after.bn1.running_mean).
"""
import functools
import pathlib
import random
import re
import sys
import textwrap

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import torch_reference_conv as convolutions
import torch_reference_init as inits
import torch_reference_norms as norms
import torch_reference_shapes as shapes
from torch_shapes import JOINS
from tutorial import Net, read_images

HEADER = "# Made by tools/torch_reference.py, which explains the format. Do not edit.\n"


# ---- layers: for each class its parameters' shapes and its function ----

def linear_shapes(args, shape):
    n = args["out_features"]
    return dict({"weight": (n, shape[1])}, **bias(args, n))


def bias(args, n):
    return {} if args.get("bias") == "false" else {"bias": (n,)}


def window(args):
    """Arguments that all pools over windows have, by torch's names."""
    stride = args.get("stride")
    return {"kernel_size": args["kernel_size"], "stride": None if stride == "kernel_size" else stride,
            "padding": args.get("padding", 0), "ceil_mode": args.get("ceil_mode") == "true"}


def avg_pool2d(args, x, _):
    return F.avg_pool2d(x, **window(args),
                        count_include_pad=args.get("count_include_pad", "true") == "true",
                        divisor_override=args.get("divisor_override"))


def subsample(args, x, _):
    h, w = pair(args["stride"])
    return x[:, :, ::h, ::w]


def pad_channels(args, x, _):
    return F.pad(x, (0, 0, 0, 0, args.get("before", 0), args.get("after", 0)))


def pair(size):
    return size if isinstance(size, tuple) else (size, size)


def activation(cls):
    """Of a module without parameters, whose arguments are numbers and words."""
    def forward(args, x, _):
        given = {k: v or "none" if k == "approximate" else float(v) for k, v in args.items()}
        return cls(**given)(x)
    return None, forward


LAYERS = {  # class: (parameter shapes of (args, input shape), output of (args, input, parameters))
    **convolutions.LAYERS,
    "linear": (linear_shapes, lambda a, x, p: F.linear(x, p["weight"], p.get("bias"))),
    "max_pool2d": (None, lambda a, x, p: F.max_pool2d(x, dilation=a.get("dilation", 1), **window(a))),
    "avg_pool2d": (None, avg_pool2d),
    "subsample": (None, subsample),
    "pad_channels": (None, pad_channels),
    "relu": (None, lambda a, x, p: F.relu(x)),
    "relu6": activation(nn.ReLU6),
    "leaky_relu": activation(nn.LeakyReLU),
    "elu": activation(nn.ELU),
    "selu": activation(nn.SELU),
    "celu": activation(nn.CELU),
    "gelu": activation(nn.GELU),
    "silu": activation(nn.SiLU),
    "mish": activation(nn.Mish),
    "sigmoid": activation(nn.Sigmoid),
    "tanh": activation(nn.Tanh),
    "hard_swish": activation(nn.Hardswish),
    "hard_sigmoid": activation(nn.Hardsigmoid),
    "hard_tanh": activation(nn.Hardtanh),
    "softplus": activation(nn.Softplus),
    "softsign": activation(nn.Softsign),
    "log_sigmoid": activation(nn.LogSigmoid),
    "threshold": activation(nn.Threshold),
    "prelu": (lambda a, shape: {"weight": (int(a.get("num_parameters", 1)),)},
              lambda a, x, p: F.prelu(x, p["weight"])),
    "softmax": (None, lambda a, x, p: F.softmax(x, int(a.get("dim", 1)))),
    "log_softmax": (None, lambda a, x, p: F.log_softmax(x, int(a.get("dim", 1)))),
    "identity": (None, lambda a, x, p: x),
    **shapes.LAYERS,
}


def value_of(text):
    """Numbers as int, none as None, sizes like 3x1 as a tuple, others as text."""
    if text == "none":
        return None
    if re.fullmatch(r"(none|\d+)x(none|\d+)", text):
        return tuple(value_of(part) for part in text.split("x"))
    return int(text) if text.isdigit() else text


def parse(line):
    """'conv1 = conv2d kernel_size=5' -> name, class, arguments."""
    name, _, rest = line.partition(" = ")
    cls, *pairs = rest.split()
    return name, cls, {k: value_of(v) for k, v in (pair.split("=") for pair in pairs)}


def forward(layers, x, params, draw):
    """Runs the network; makes a missing parameter with draw(name, shape)."""
    values = {"input": x}
    for name, cls, args in layers:
        inputs = [values[n] for n in args["from"].split(",")] if "from" in args else [x]
        x = inputs[0]
        if cls in JOINS:
            x = JOINS[cls](*inputs)
        else:
            shapes_of, function = LAYERS[cls]
            own = {}
            for key, shape in (shapes_of(args, x.shape) if shapes_of else {}).items():
                full = f"{name}.{key}"
                if full not in params:
                    params[full] = draw(full, shape)
                own[key] = params[full]
            x = function(args, x, own)
        values[name] = x
    return x


# ---- cases ----

class Values:
    """Draws tensors of multiples of `step` in [-limit, limit], the same on every run."""

    def __init__(self, name, step=0.125, limit=2.0):
        self.random, self.step, self.n = random.Random(name), step, int(limit / step)

    def __call__(self, shape):
        count = 1
        for d in shape:
            count *= d
        numbers = [self.random.randint(-self.n, self.n) * self.step for _ in range(count)]
        return torch.tensor(numbers, dtype=torch.float64).reshape(shape)


def layer_case(name, shape, lines, step=0.125, limit=2.0, x=None, exact=True):
    """Forward and backward of a few layers in a row; exact: see above."""
    values = Values(name, step, limit)
    layers = [parse(line) for line in lines]
    x = values(shape) if x is None else torch.tensor(x, dtype=torch.float64).reshape(shape)
    params = {}
    output = forward(layers, x, params, lambda _, s: values(s))
    grad_output = values(output.shape)

    def run(dtype):
        leaf = x.to(dtype, copy=True).requires_grad_()
        own = {k: v.to(dtype, copy=True).requires_grad_() for k, v in params.items()}
        out = forward(layers, leaf, own, None)
        out.backward(grad_output.to(dtype))
        return dict({"output": out.detach(), "grad_input": leaf.grad},
                    **{"grad." + k: v.grad for k, v in own.items()})

    result = run(torch.float64)
    for key, value in run(torch.float32).items() if exact else ():
        assert torch.equal(value.double(), result[key]), f"{name}: {key} is not exact in float32"
    tensors = dict({"input": x}, **params)
    tensors["output"] = result.pop("output")
    tensors["grad_output"] = grad_output
    tensors.update(result)
    for key, value in tensors.items() if exact else ():
        for v in value.flatten().tolist():
            assert float("%.9g" % v) == v, f"{name}: {key}: {v} needs more than 9 digits"
    return case(name, ["layer " + line for line in lines], tensors, "%.9g" if exact else "%r")


def number_of(text):
    return None if text in ("none", None) else float(text)


def batch_norm_module(kind):
    return lambda args, x: kind(
        x.shape[1], momentum=number_of(args.get("momentum", "0.1")), affine=args.get("affine") != "false",
        track_running_stats=args.get("track_running_stats") != "false", **eps_of(args))


def eps_of(args):
    return {"eps": float(args.get("eps", 1e-5))}


def layer_norm_module(args, x):
    given = str(args.get("normalized_shape", "input"))
    shape = x.shape[1:] if given == "input" else [int(n) for n in given.split(",")]
    return torch.nn.LayerNorm(shape, elementwise_affine=args.get("elementwise_affine") != "false",
                              bias=args.get("bias") != "false", **eps_of(args))


def instance_norm_module(args, x):
    return torch.nn.InstanceNorm2d(
        x.shape[1], momentum=number_of(args.get("momentum", "0.1")),
        affine=args.get("affine") == "true",
        track_running_stats=args.get("track_running_stats") == "true", **eps_of(args))


NORMS = {  # class: (arguments, input) -> module
    "batch_norm2d": batch_norm_module(torch.nn.BatchNorm2d),
    "batch_norm1d": batch_norm_module(torch.nn.BatchNorm1d),
    "group_norm": lambda args, x: torch.nn.GroupNorm(
        args["num_groups"], x.shape[1], affine=args.get("affine") != "false", **eps_of(args)),
    "layer_norm": layer_norm_module,
    "instance_norm2d": instance_norm_module,
    "local_response_norm": lambda args, x: torch.nn.LocalResponseNorm(
        args["size"], **{key: float(args[key]) for key in ("alpha", "beta", "k") if key in args}),
}


def norm_case(name, shape, lines, mode="train", x=None, batches=0, digits=17):
    """A step of a net with norms, whose running statistics have seen `batches` before. digits: of
    what PyTorch makes."""
    values = Values(name)
    layers = [parse(line) for line in lines]
    x = (values(shape) if x is None else x).requires_grad_()
    norms, params, seen, tensors = {}, {}, {}, {"input": x.detach().clone()}
    y = x
    for layer, cls, args in layers:
        own = {}
        if cls in NORMS:
            norms[layer] = module = NORMS[cls](args, y).double()
            for key, tensor in module.state_dict().items():
                if key == "num_batches_tracked":
                    tensor.fill_(batches)
                elif key == "running_var":
                    tensor.copy_(values(tensor.shape).abs() + 0.25)
                else:
                    tensor.copy_(values(tensor.shape))
                tensors[f"{layer}.{key}"] = tensor.clone()
            for key, tensor in module.named_parameters():
                own[f"{layer}.{key}"] = tensor.requires_grad_(key not in args.get("frozen", ""))
            y = module.train(mode == "train")(y)
        elif cls == "add":
            y = sum(seen[n] for n in args["from"].split(","))
        else:
            y = forward([(layer, cls, args)], y, own, lambda _, s: values(s).requires_grad_())
            tensors.update((key, tensor.detach().clone()) for key, tensor in own.items())
        params.update(own)
        seen[layer] = y
    grad_output = values(y.shape)
    y.backward(grad_output)
    tensors.update(output=y.detach(), grad_output=grad_output, grad_input=x.grad)
    tensors.update(("grad." + key, p.grad) for key, p in params.items() if p.requires_grad)
    for layer, module in norms.items():
        tensors.update((f"after.{layer}.{key}", b) for key, b in module.named_buffers())
    tensors = {key: t.double().reshape(t.shape or (1,)) for key, t in tensors.items()}
    for key, t in tensors.items():
        if digits < 17 and key.startswith(("output", "grad_input", "grad.", "after.")):
            tensors[key] = t.apply_(lambda v: float(f"{v:.{digits}g}"))
    return case(name, ["layer " + line for line in lines] + ["mode " + mode], tensors,
                "%.17g" if digits == 17 else "%r")


def cross_entropy_case(name, logits, labels):
    logits = torch.as_tensor(logits, dtype=torch.float64).requires_grad_()
    labels = torch.tensor(labels)
    loss = F.cross_entropy(logits, labels)
    loss.backward()
    return case(name, [], {"logits": logits.detach(), "labels": labels,
                           "loss": loss.detach().reshape(1), "grad_logits": logits.grad})


def sgd_case(name, config):
    """Four steps; `params` holds the parameter after each, one row a step."""
    values = Values("sgd")  # the same start and gradients in every case: differences are the rule's
    start, grads = values((9,)), values((4, 9))
    keys = dict(pair.split("=") for pair in config.split())
    param = torch.nn.Parameter(start.clone())
    optimizer = torch.optim.SGD([param], nesterov=keys.pop("nesterov", "false") == "true",
                                **{k: float(v) for k, v in keys.items()})
    rows = []
    for grad in grads:
        param.grad = grad.clone()
        optimizer.step()
        rows.append(param.detach().clone())
    return case(name, ["sgd " + config],
                {"param": start, "grads": grads, "params": torch.stack(rows)})


def case(name, lines, tensors, style="%.9g"):
    out = ["case " + name] + lines
    for key, value in tensors.items():
        out.append(" ".join(["tensor", key] + [str(d) for d in value.shape]))
        text = " ".join(style % v for v in value.flatten().tolist())
        out += textwrap.wrap(text, 100, initial_indent="  ", subsequent_indent="  ",
                             break_on_hyphens=False, break_long_words=False)
    return "\n".join(out + ["end", ""])


# ---- files ----

def conv(n, k, *more):
    return " ".join(["conv1 = conv2d", f"out_channels={n}", f"kernel_size={k}", *more])


def conv2d_cases():
    # name, input NCHW, out_channels, kernel_size, other arguments
    table = [
        ("image_1x1", (1, 1, 1, 1), 1, 1),
        ("image_1x1_padded", (2, 3, 1, 1), 6, 3, "padding=1"),
        ("kernel_is_image", (2, 3, 5, 5), 6, 5),
        ("kernel_is_padded_image", (1, 2, 3, 3), 3, 5, "padding=1"),
        ("one_channel", (1, 1, 7, 5), 1, 3),
        ("odd_size", (2, 3, 9, 7), 6, 3),
        ("wide", (1, 3, 3, 19), 6, 3),
        ("tall", (1, 3, 19, 3), 6, 3, "padding=1"),
        ("no_bias", (2, 3, 6, 6), 6, 3, "bias=false"),
        ("padding_1", (1, 6, 5, 5), 6, 3, "padding=1"),
        ("padding_2", (1, 3, 6, 7), 6, 5, "padding=2"),
        ("padding_past_kernel", (1, 3, 3, 3), 3, 2, "padding=2"),
        ("stride_2", (2, 3, 9, 9), 6, 3, "stride=2"),
        ("stride_2_leftover", (1, 3, 8, 10), 6, 3, "stride=2"),
        ("stride_2_padding_1", (1, 6, 6, 7), 6, 3, "stride=2", "padding=1"),
        ("stride_past_kernel", (1, 3, 9, 10), 6, 2, "stride=3"),
        ("stride_past_image", (1, 3, 4, 4), 6, 2, "stride=5"),
        ("kernel_1_stride_2", (2, 6, 5, 5), 16, 1, "stride=2"),
        ("kernel_1_33_to_16", (1, 33, 3, 4), 16, 1),
        ("kernel_2_even", (1, 3, 6, 5), 16, 2),
        ("channels_6_to_16", (1, 6, 6, 5), 16, 3),
        ("channels_16_to_17", (1, 16, 3, 4), 17, 2, "padding=1"),
        ("channels_17_to_6", (2, 17, 3, 5), 6, 2),
        ("channels_3_to_33", (1, 3, 5, 4), 33, 3),
        ("channels_33_to_1", (1, 33, 4, 3), 1, 3, "padding=1"),
    ]
    # Coarser numbers where there are many weights keep the file small.
    return [layer_case(name, shape, [conv(n, k, *more)],
                       step=0.125 if n * shape[1] * k * k < 100 else 0.5)
            for name, shape, n, k, *more in table]


def max_pool2d_cases():
    pool = "pool1 = max_pool2d kernel_size="
    table = [
        ("image_1x1", (1, 1, 1, 1), "1"),
        ("kernel_is_image", (2, 3, 5, 5), "5"),
        ("default_stride", (2, 6, 6, 8), "2"),
        ("leftover_row_and_column", (2, 3, 7, 5), "2 stride=2"),
        ("overlap", (1, 3, 7, 7), "3 stride=2"),
        ("overlap_leftover", (1, 3, 8, 6), "3 stride=2"),
        ("stride_1", (1, 1, 4, 5), "2 stride=1"),
        ("stride_past_kernel", (1, 3, 8, 9), "2 stride=3"),
        ("stride_past_image", (1, 3, 4, 4), "2 stride=7"),
        ("kernel_1_stride_3", (1, 3, 7, 8), "1 stride=3"),
        ("channels_16", (1, 16, 4, 4), "2"),
        ("channels_17", (2, 17, 4, 3), "2"),
        ("channels_33", (1, 33, 3, 3), "3"),
        ("rectangle", (2, 3, 6, 7), "2x3"),
        ("rectangle_stride", (1, 3, 7, 6), "3x1 stride=1x2"),
        ("stride_word", (1, 3, 6, 6), "2x3 stride=kernel_size"),
        ("padding", (2, 3, 5, 6), "3 padding=1"),
        ("padding_stride", (1, 17, 7, 6), "3 stride=2 padding=1"),
        ("padding_rectangle", (1, 3, 5, 4), "2x5 stride=1 padding=1x2"),
        ("padding_image_1x1", (2, 1, 1, 1), "3 stride=1 padding=1"),
        ("dilation", (2, 3, 7, 8), "3 stride=1 dilation=2"),
        ("dilation_rectangle", (1, 3, 6, 7), "2x3 stride=2 dilation=3x2"),
        ("dilation_padding", (1, 3, 8, 7), "3 stride=2 padding=1 dilation=2"),
        ("dilation_past_padding", (1, 3, 5, 6), "2 stride=1 padding=1 dilation=4"),
        ("dilation_of_kernel_1", (1, 3, 3, 3), "1 stride=2 dilation=5"),
        ("ceil_mode", (2, 3, 6, 8), "3 stride=2 ceil_mode=true"),
        ("ceil_mode_without_remainder", (1, 3, 7, 5), "3 stride=2 ceil_mode=true"),
        ("ceil_mode_padding", (1, 3, 6, 7), "3 stride=2 padding=1 ceil_mode=true"),
        ("ceil_mode_last_window_dropped", (1, 3, 3, 4), "2 stride=3 padding=1 ceil_mode=true"),
        ("ceil_mode_past_image", (1, 3, 2, 4), "3 stride=2 ceil_mode=true"),
        ("ceil_mode_dilation", (1, 17, 6, 7), "2 stride=2 dilation=3 ceil_mode=true"),
        ("ceil_mode_rectangle", (1, 3, 5, 8), "2x3 stride=3x2 padding=0x1 ceil_mode=true"),
    ]
    cases = [layer_case(name, shape, [pool + args]) for name, shape, args in table]
    # Equal values in a window: the first in row-major order takes the whole gradient.
    cases += [
        layer_case("ties_all_equal", (1, 1, 4, 4), [pool + "2"], x=[0.5] * 16),
        layer_case("ties_negative", (1, 2, 3, 3), [pool + "3"], x=[-1.5] * 18),
        layer_case("ties_second_half", (1, 1, 2, 4), [pool + "2"], x=[0, 0, 1, 2, 1, 1, 2, 1]),
        layer_case("ties_few_values", (2, 3, 7, 7), [pool + "3 stride=2"], step=1, limit=1),
        layer_case("ties_few_values_17", (1, 17, 4, 4), [pool + "2"], step=1, limit=1),
        layer_case("ties_padding", (1, 3, 6, 5), [pool + "3 stride=1 padding=1"], step=1, limit=1),
        layer_case("ties_dilation", (1, 17, 5, 5), [pool + "2 stride=1 dilation=2"], step=1,
                   limit=1),
        layer_case("negative_padding", (1, 2, 3, 3), [pool + "2 padding=1"], x=[-1.5] * 18),
    ]
    return cases


def avg_pool2d_cases():
    pool = "pool1 = avg_pool2d kernel_size="
    table = [
        ("image_1x1", (2, 1, 1, 1), "1"),
        ("kernel_is_image", (2, 3, 5, 5), "5"),
        ("default_stride", (2, 3, 4, 6), "2"),
        ("leftover_row_and_column", (1, 3, 7, 5), "2 stride=2"),
        ("overlap", (1, 17, 5, 5), "3 stride=2"),
        ("stride_1", (1, 1, 4, 5), "2 stride=1"),
        ("stride_past_kernel", (1, 3, 8, 9), "2 stride=3"),
        ("stride_past_image", (1, 3, 4, 4), "2 stride=7"),
        ("channels_33", (1, 33, 3, 3), "3"),
        ("rectangle", (2, 3, 6, 7), "2x3"),
        ("rectangle_stride", (1, 3, 7, 6), "3x1 stride=1x2"),
        ("stride_word", (1, 3, 6, 6), "2x3 stride=kernel_size"),
        ("padding", (1, 3, 5, 6), "3 padding=1"),
        ("padding_not_counted", (2, 3, 5, 6), "3 stride=2 padding=1 count_include_pad=false"),
        ("padding_rectangle", (1, 3, 5, 4), "2x5 stride=1 padding=1x2"),
        ("padding_image_1x1", (2, 1, 1, 1), "3 stride=1 padding=1"),
        ("ceil_mode", (2, 3, 6, 8), "3 stride=2 ceil_mode=true"),
        ("ceil_mode_padding", (1, 17, 4, 5), "3 stride=2 padding=1 ceil_mode=true"),
        ("ceil_mode_padding_not_counted", (1, 3, 6, 7),
         "3 stride=2 padding=1 ceil_mode=true count_include_pad=false"),
        ("ceil_mode_past_padding", (1, 3, 5, 6), "4 stride=3 padding=1 ceil_mode=true"),
        ("ceil_mode_last_window_dropped", (1, 3, 3, 4), "2 stride=3 padding=1 ceil_mode=true"),
        ("ceil_mode_past_image", (1, 3, 2, 4), "3 stride=2 ceil_mode=true"),
        ("divisor", (1, 3, 5, 6), "3 divisor_override=7"),
        ("divisor_padding_ceil_mode", (1, 3, 6, 5),
         "3 stride=2 padding=1 ceil_mode=true count_include_pad=false divisor_override=2"),
        ("divisor_none", (1, 3, 4, 4), "2 divisor_override=none count_include_pad=true"),
    ]
    return [layer_case(name, shape, [pool + args], exact=False) for name, shape, args in table]


def adaptive_avg_pool2d_cases():
    table = [
        ("image_1x1", (2, 1, 1, 1), "1"),
        ("global", (2, 17, 4, 4), "1"),
        ("global_rectangle", (1, 3, 5, 7), "1"),
        ("divides", (2, 3, 6, 8), "2"),
        ("overlaps", (1, 3, 7, 5), "3"),
        ("rectangle", (1, 17, 5, 6), "2x4"),
        ("same_size", (1, 3, 3, 3), "3"),
        ("larger", (1, 3, 3, 2), "7x5"),
        ("larger_by_one", (1, 3, 4, 4), "5"),
        ("none", (1, 3, 3, 4), "none"),
        ("none_height", (1, 3, 3, 5), "nonex2"),
        ("none_width", (1, 3, 5, 3), "2xnone"),
    ]
    return [layer_case(name, shape, ["pool1 = adaptive_avg_pool2d output_size=" + args],
                       exact=False) for name, shape, args in table]


def subsample_cases():
    table = [
        ("image_1x1", (2, 1, 1, 1), "2"),
        ("stride_1", (1, 3, 3, 4), "1"),
        ("even", (2, 17, 4, 6), "2"),
        ("odd", (2, 3, 5, 7), "2"),
        ("rectangle", (1, 3, 7, 5), "3x2"),
        ("rows_only", (1, 3, 4, 3), "2x1"),
        ("past_image", (1, 3, 3, 4), "9"),
    ]
    return [layer_case(name, shape, ["sub1 = subsample stride=" + args])
            for name, shape, args in table]


def pad_channels_cases():
    table = [
        ("image_1x1", (2, 1, 1, 1), "before=1 after=2"),
        ("none", (1, 3, 2, 3), "before=0"),
        ("before", (2, 3, 3, 2), "before=4"),
        ("after", (2, 3, 3, 2), "after=13"),
        ("both", (1, 17, 2, 3), "before=8 after=7"),
    ]
    cases = [layer_case(name, shape, ["pad1 = pad_channels " + args]) for name, shape, args in table]
    cases.append(layer_case("shortcut", (2, 4, 5, 6), [
        "a = identity", "conv1 = conv2d out_channels=8 kernel_size=3 stride=2 padding=1",
        "sub1 = subsample stride=2 from=a", "pad1 = pad_channels before=2 after=2",
        "sum = add from=conv1,pad1", "relu1 = relu"], step=0.5))
    return cases


def relu_cases():
    table = [("image_1x1", (1, 1, 1, 1)), ("one_channel", (1, 1, 3, 5)), ("three", (2, 3, 5, 3)),
             ("channels_17", (2, 17, 2, 3)), ("channels_33", (1, 33, 1, 1))]
    cases = [layer_case(name, shape, ["relu1 = relu"]) for name, shape in table]
    # At zero the derivative is 0, as for -0.
    cases.append(layer_case("zeros", (1, 1, 2, 3), ["relu1 = relu"], x=[0, -0.0, 1, -1, 0.125, 0]))
    return cases


def activation_cases():
    """Drawn numbers, and for each set of arguments 0, kinks and what is far from them."""
    edges = [0, -0.0, 0.125, -0.125, 1, -1, 2, -2, 3, -3, 6, -6, 19, 21, -21, 40, -40, 100, -100,
             1000, -1000]
    table = [("relu6",), ("leaky_relu", "negative_slope=0.25", "negative_slope=-0.5",
                          "negative_slope=0"),
             ("elu", "alpha=0.3", "alpha=-2"), ("selu",), ("celu", "alpha=0.25", "alpha=-64"),
             ("gelu", "approximate=tanh", "approximate=none"), ("silu",), ("mish",), ("sigmoid",),
             ("tanh",), ("hard_swish",), ("hard_sigmoid",),
             ("hard_tanh", "min_val=-3 max_val=0", "max_val=6", "min_val=0.1"),
             ("softplus", "beta=2", "beta=-0.5 threshold=3", "beta=0.3 threshold=6"),
             ("softsign",), ("log_sigmoid",),
             ("threshold threshold=1 value=-20", "threshold=-0.1 value=0.3", "value=1 threshold=0")]
    cases = []
    for line, *more in table:
        cls = line.split()[0]
        cases.append(layer_case(cls, (1, 17, 1, 3), ["act1 = " + line], limit=8, exact=False))
        for i, args in enumerate([line] + [cls + " " + args for args in more]):
            cases.append(layer_case(f"{cls}_edges_{i}", (1, 1, 3, 7), ["act1 = " + args],
                                    x=edges, exact=False))
    for cls in "softmax", "log_softmax":
        flat, act = "flat = flatten", "act1 = " + cls
        cases += [layer_case(f"{cls}_dim_{dim}", (2, 3, 2, 5), [f"{act} dim={dim}"], exact=False)
                  for dim in (1, 2, 3, -1, -2, -3)]
        cases += [
            layer_case(cls, (1, 35, 1, 2), [act], limit=4, exact=False),
            layer_case(f"{cls}_one", (2, 1, 2, 1), [act], exact=False),
            layer_case(f"{cls}_features", (2, 5, 2, 2), [flat, act], exact=False),
            layer_case(f"{cls}_features_last", (2, 3, 1, 1), [flat, act + " dim=-1"], exact=False),
            layer_case(f"{cls}_large", (1, 7, 1, 3), [act], x=edges, exact=False),
            layer_case(f"{cls}_conv", (1, 2, 3, 4), [conv(5, 2), act, "relu1 = relu"], exact=False)]
    prelu = "act1 = prelu"
    cases += [
        layer_case("prelu", (2, 3, 3, 2), [prelu]),
        layer_case("prelu_channels", (2, 17, 2, 3), [prelu + " num_parameters=17"]),
        layer_case("prelu_features", (2, 3, 2, 2), ["flat = flatten", prelu + " num_parameters=12"]),
        layer_case("prelu_features_one", (2, 3, 1, 2), ["flat = flatten", prelu]),
        layer_case("prelu_image_1x1", (3, 1, 1, 1), [prelu + " num_parameters=1"]),
        layer_case("prelu_long", (1, 6, 5, 7), [prelu]),
        layer_case("prelu_conv", (2, 2, 4, 3), [conv(3, 2), prelu + " num_parameters=3",
                                                "pool1 = max_pool2d kernel_size=2"], step=0.5)]
    return cases + [
        layer_case("gelu_image_1x1", (2, 1, 1, 1), ["act1 = gelu"], exact=False),
        layer_case("silu_features", (2, 3, 2, 3), ["flat = flatten", "act1 = silu"], exact=False),
        layer_case("conv_mish_pool_tanh", (2, 3, 5, 4), [
            conv(5, 2), "act1 = mish", "pool1 = max_pool2d kernel_size=2", "act2 = tanh"],
            exact=False),
        layer_case("elu_twice", (1, 3, 2, 3), [
            "a = elu", "b = sigmoid", "sum = add from=a,b", "c = elu alpha=2"], exact=False)]


def linear_cases():
    # The input of a network is an image, so each case flattens first.
    def case_of(name, shape, n, *more):
        line = " ".join(["fc1 = linear", f"out_features={n}", *more])
        return layer_case(name, shape, ["flat = flatten", line], step=0.25)

    return [
        case_of("one_to_one", (1, 1, 1, 1), 1),
        case_of("one_sample", (1, 6, 1, 1), 10),
        case_of("one_output", (2, 17, 1, 1), 1),
        case_of("one_input", (3, 1, 1, 1), 17),
        case_of("features_16_to_16", (4, 16, 1, 1), 16),
        case_of("features_17_to_33", (2, 17, 1, 1), 33),
        case_of("features_33_to_10", (5, 33, 1, 1), 10),
        case_of("no_bias", (2, 6, 1, 1), 16, "bias=false"),
        case_of("image_chw_order", (2, 3, 2, 5), 6),
        case_of("image_17_channels", (2, 17, 2, 2), 10),
    ]


def flatten_cases():
    table = [("image_1x1", (1, 1, 1, 1)), ("features", (3, 6, 1, 1)), ("chw_order", (2, 3, 2, 4)),
             ("channels_17", (1, 17, 3, 2))]
    return [layer_case(name, shape, ["flat = flatten"]) for name, shape in table]


def identity_cases():
    table = [("image_1x1", (1, 1, 1, 1)), ("three", (2, 3, 4, 5)), ("channels_17", (1, 17, 2, 3))]
    return [layer_case(name, shape, ["same = identity"]) for name, shape in table]


def add_cases():
    a, b = "a = identity", "b = relu"
    return [
        layer_case("two", (2, 3, 3, 4), [a, b, "sum = add from=b,a"]),
        layer_case("twice_the_same", (1, 3, 2, 2), [a, "sum = add from=a,a"]),
        layer_case("three", (1, 17, 2, 3), [a, b, "d = identity", "sum = add from=a,d,b"]),
        layer_case("image_1x1", (1, 1, 1, 1), [a, b, "sum = add from=a,b"]),
        layer_case("residual", (2, 3, 4, 4), [
            a, "conv1 = conv2d out_channels=3 kernel_size=3 padding=1", "relu1 = relu",
            "sum = add from=relu1,a", "relu2 = relu"]),
    ] + shapes.add_cases(layer_case)


def chain_cases():
    """Layers that an engine may fuse, and a whole small network."""
    relu, pool = "relu1 = relu", "pool1 = max_pool2d kernel_size=2"
    overlap = "pool1 = max_pool2d kernel_size=3 stride=2"
    cases = []
    for name, shape, first in [
            ("lenet_conv1", (2, 3, 10, 10), conv(6, 5)),
            ("lenet_conv2", (1, 6, 6, 6), conv(16, 5)),
            ("odd_map", (1, 3, 9, 7), conv(17, 3)),
            ("padded", (1, 3, 5, 6), conv(6, 3, "padding=1")),
            ("stride_2", (1, 3, 10, 9), conv(6, 3, "stride=2"))]:
        cases.append(layer_case(name + "_relu_pool", shape, [first, relu, pool], step=0.5))
        if name != "lenet_conv2":  # the largest: once is enough
            cases.append(layer_case(name + "_pool_relu", shape, [first, pool, relu], step=0.5))
    few = dict(step=1, limit=1)  # so few values that windows have ties
    for name, shape, first, last in [("ties", (2, 3, 8, 8), conv(6, 3), pool),
                                     ("ties_no_bias", (1, 1, 7, 9), conv(3, 2, "bias=false"), pool),
                                     ("ties_overlap", (1, 3, 7, 9), conv(6, 1), overlap),
                                     ("pool_is_map", (1, 3, 4, 4), conv(6, 3), pool)]:
        cases.append(layer_case(name + "_relu_pool", shape, [first, relu, last], **few))
        cases.append(layer_case(name + "_pool_relu", shape, [first, last, relu], **few))
    fc = "fc1 = linear out_features="
    cases += [
        layer_case("conv_relu", (2, 3, 5, 4), [conv(17, 3), relu], step=0.5),
        layer_case("conv_pool", (2, 3, 6, 7), [conv(6, 3), pool]),
        layer_case("conv_pool_ceil_mode", (2, 3, 7, 6), [conv(6, 3), pool + " ceil_mode=true"]),
        layer_case("conv_pool_even_ceil_mode", (1, 3, 6, 8), [
            conv(6, 3), pool + "x2 ceil_mode=true"]),
        layer_case("conv_pool_padding", (1, 3, 6, 7), [conv(6, 3), pool + " padding=1"]),
        layer_case("conv_pool_rectangle", (1, 3, 6, 8), [conv(6, 3), pool + "x3"]),
        layer_case("conv_pool_stride", (1, 3, 6, 8), [conv(6, 3), pool + " stride=2x1"]),
        layer_case("conv_pool_dilation", (1, 3, 7, 8), [conv(6, 3), pool + " dilation=2"]),
        layer_case("conv_identity_relu", (1, 3, 4, 4), [conv(6, 3), "same = identity", relu]),
        layer_case("linear_relu", (3, 6, 1, 1), ["flat = flatten", fc + "17", relu]),
        layer_case("linear_relu_linear", (2, 6, 1, 1), [
            "flat = flatten", fc + "16", relu, "fc2 = linear out_features=10"], step=0.25, limit=1),
        layer_case("relu_flatten_linear", (2, 3, 2, 3), [relu, "flat = flatten", fc + "6"]),
        layer_case("pool_flatten_linear", (2, 3, 5, 4), [pool, "flat = flatten", fc + "6"]),
        layer_case("conv_flatten_linear", (2, 1, 4, 5), [conv(3, 3), "flat = flatten", fc + "6"],
                   step=0.25, limit=1),
        layer_case("conv_conv", (1, 3, 6, 6), [
            conv(6, 3, "padding=1"), "conv2 = conv2d out_channels=3 kernel_size=3 stride=2"],
            step=0.25, limit=1),
        layer_case("network", (2, 3, 14, 14), [
            conv(6, 3), relu, pool, "conv2 = conv2d out_channels=5 kernel_size=3", "relu2 = relu",
            "pool2 = max_pool2d kernel_size=2 stride=2", "flat = flatten", fc + "17",
            "relu3 = relu", "fc2 = linear out_features=10"], **few),
    ]
    return cases


def batch_norm_cases():
    norm, flat = "bn1 = batch_norm2d", "flat = flatten"
    features = [flat, "bn1 = batch_norm1d"]
    relu, down = "relu1 = relu", "conv1 = conv2d out_channels=5 kernel_size=2 bias=false"

    constant = torch.cat([torch.full((3, 1, 2, 2), 1000.0), normal("c", (3, 1, 2, 2), 0, 1)], 1)
    return [
        norm_case("images", (3, 3, 4, 5), [norm]),
        norm_case("one_channel", (2, 1, 3, 3), [norm]),
        norm_case("one_sample", (1, 4, 3, 2), [norm]),
        norm_case("image_1x1", (5, 9, 1, 1), [norm]),
        norm_case("channels_17", (2, 17, 2, 3), [norm]),
        norm_case("channels_33", (2, 33, 2, 2), [norm]),
        norm_case("long", (2, 2, 9, 8), [norm]),
        norm_case("eps", (2, 3, 3, 2), [norm + " eps=0.125"]),
        norm_case("momentum", (2, 3, 3, 2), [norm + " momentum=0.75"], batches=2),
        norm_case("momentum_0", (2, 3, 3, 2), [norm + " momentum=0"]),
        norm_case("cumulative_first", (2, 3, 3, 2), [norm + " momentum=none"]),
        norm_case("cumulative_fourth", (2, 3, 3, 2), [norm + " momentum=none"], batches=3),
        norm_case("not_affine", (2, 3, 3, 2), [norm + " affine=false"]),
        norm_case("not_tracked", (2, 3, 3, 2), [norm + " track_running_stats=false"]),
        norm_case("neither", (2, 3, 3, 2), [norm + " affine=false track_running_stats=false"]),
        norm_case("frozen_weight", (2, 3, 3, 2), [norm + " frozen=weight"]),
        norm_case("frozen_bias", (2, 3, 3, 2), [norm + " frozen=bias"]),
        norm_case("frozen", (2, 3, 3, 2), [norm + " frozen=weight,bias"]),
        norm_case("eval", (2, 9, 3, 2), [norm], "eval", batches=7),
        norm_case("eval_1x1", (1, 3, 1, 1), [norm], "eval"),
        norm_case("eval_eps", (2, 3, 3, 2), [norm + " eps=0.5 momentum=none"], "eval"),
        norm_case("eval_not_affine", (2, 3, 3, 2), [norm + " affine=false"], "eval"),
        norm_case("eval_not_tracked", (2, 3, 3, 2), [norm + " track_running_stats=false"], "eval"),
        norm_case("eval_frozen", (2, 3, 3, 2), [norm + " frozen=weight"], "eval"),
        norm_case("features", (4, 3, 2, 3), features),
        norm_case("features_5", (3, 5, 1, 1), features),
        norm_case("features_not_tracked", (4, 3, 1, 2),
                  [flat, "bn1 = batch_norm1d track_running_stats=false momentum=none"]),
        norm_case("features_eval", (2, 3, 2, 2), features, "eval"),
        norm_case("features_linear", (4, 3, 2, 2), [
            flat, "fc1 = linear out_features=6", "bn1 = batch_norm1d", relu,
            "fc2 = linear out_features=3"]),
        norm_case("conv_norm_relu", (3, 3, 4, 4), [down, norm, relu]),
        norm_case("relu_norm_conv", (3, 3, 4, 4), [relu, norm, down]),
        norm_case("two_norms", (3, 3, 3, 3), [norm, "bn2 = batch_norm2d eps=0.25"]),
        norm_case("residual", (2, 3, 4, 4), [
            norm, relu, "conv2 = conv2d out_channels=3 kernel_size=3 padding=1 bias=false",
            "bn2 = batch_norm2d", "sum = add from=bn2,relu1", "relu2 = relu"]),
        norm_case("large_mean", (3, 2, 4, 4), [norm], x=normal("m", (3, 2, 4, 4), 1000, 0.01)),
        norm_case("constant_channel", (3, 2, 2, 2), [norm], x=constant),
    ]


def normal(name, shape, mean, deviation):
    draw = random.Random(name)
    x = torch.tensor([draw.gauss(mean, deviation) for _ in range(torch.Size(shape).numel())])
    return x.float().double().reshape(shape)


def cross_entropy_cases():
    def drawn(name, n, classes):
        values = Values(name)
        labels = [values.random.randrange(classes) for _ in range(n)]
        return cross_entropy_case(name, values((n, classes)), labels)

    return [
        drawn("one_sample", 1, 10), drawn("one_class", 2, 1), drawn("two_classes", 3, 2),
        drawn("three_classes", 4, 3), drawn("ten_classes", 5, 10), drawn("seventeen", 2, 17),
        drawn("thirty_three", 3, 33),
        cross_entropy_case("equal_logits", [[0.0] * 10, [3.5] * 10, [-7.0] * 10], [0, 4, 9]),
        cross_entropy_case("logits_80", [[80, -80, 0], [-80, 80, 80], [80, 79.5, -80]], [0, 0, 1]),
        cross_entropy_case("logits_1e4", [[1e4, -1e4, 0, 1], [1e4, 1e4, 1e4, 1e4]], [0, 3]),
        cross_entropy_case("logits_1e4_wrong", [[1e4, -1e4, 0, 1], [-1e4, 1e4, 9999, 0]], [1, 2]),
        cross_entropy_case("all_far_below_zero", [[-1e4, -1e4 + 1, -1e4 - 2]], [0]),
        cross_entropy_case("all_far_above_zero", [[1e4, 1e4 + 1, 1e4 - 2]], [2]),
    ]


def sgd_cases():
    return [sgd_case(name, config) for name, config in [
        ("plain", "lr=0.1"),
        ("zero_lr", "lr=0 momentum=0.9"),
        ("tutorial", "lr=0.001 momentum=0.9"),
        ("momentum", "lr=0.1 momentum=0.9"),
        ("momentum_1", "lr=0.05 momentum=1"),
        ("dampening", "lr=0.1 momentum=0.9 dampening=0.5"),
        ("dampening_without_momentum", "lr=0.1 dampening=0.5"),
        ("nesterov", "lr=0.1 momentum=0.9 nesterov=true"),
        ("weight_decay", "lr=0.1 weight_decay=0.01"),
        ("momentum_weight_decay", "lr=0.1 momentum=0.9 weight_decay=0.01"),
        ("dampening_weight_decay", "lr=0.1 momentum=0.5 dampening=0.25 weight_decay=0.1"),
        ("nesterov_weight_decay", "lr=0.1 momentum=0.85 nesterov=true weight_decay=0.05"),
    ]]


# ---- random numbers ----

PLAIN = {"conv1 = conv2d out_channels=3 kernel_size=3": lambda: torch.nn.Conv2d(2, 3, 3),
         "flatten = flatten": None,
         "fc1 = linear out_features=5": lambda: torch.nn.Linear(27, 5),
         "fc2 = linear out_features=4 bias=false": lambda: torch.nn.Linear(5, 4, bias=False)}
WITH_NORMS = {"conv1 = conv2d out_channels=3 kernel_size=3": lambda: torch.nn.Conv2d(2, 3, 3),
         "bn1 = batch_norm2d": lambda: torch.nn.BatchNorm2d(3),
         "conv2 = conv2d out_channels=4 kernel_size=2 bias=false":
             lambda: torch.nn.Conv2d(3, 4, 2, bias=False),
         "bn2 = batch_norm2d": lambda: torch.nn.BatchNorm2d(4),
         "flatten = flatten": None,
         "fc1 = linear out_features=4": lambda: torch.nn.Linear(16, 4)}


def random_case(name, seed, n, layers=PLAIN):
    """First state and three epochs' order of n samples after manual_seed(seed), given in words of
    16 bits, the lowest first. layers: lines of [network] and what makes their modules."""
    torch.manual_seed(seed)
    net = torch.nn.ModuleDict({line.split()[0]: make() for line, make in layers.items() if make})
    loader = DataLoader(torch.arange(n), shuffle=True)
    tensors = {"seed": torch.tensor([seed >> bit & 0xffff for bit in range(0, 64, 16)])}
    tensors.update((key, value.reshape(value.shape or (1,))) for key, value in
                   net.state_dict().items())
    for epoch in range(3):
        tensors[f"order{epoch}"] = torch.tensor([int(i) for i in loader])
    return case(name, ["layer " + line for line in layers], tensors)


def mini_case():
    """Two epochs of configs/lenet.ini on the images in the tree, seed 1: means of 25 losses."""
    torch.set_num_threads(1)
    torch.manual_seed(1)
    net, losses = Net(), []
    root = pathlib.Path(__file__).resolve().parent.parent
    images, labels = read_images(root / "tests" / "data" / "cifar10-mini")
    images = TensorDataset((images - 0.5) / 0.5, labels)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.001, momentum=0.9)
    loader = DataLoader(images, batch_size=4, shuffle=True)
    for _ in range(2):
        for x, y in loader:
            optimizer.zero_grad()
            loss = F.cross_entropy(net(x), y)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    return case("mini", [], {"losses": torch.tensor(losses).reshape(-1, 25).double().mean(1)})


def random_cases():
    return [random_case("seed_0", 0, 1), random_case("seed_1", 1, 2),
            random_case("seed_7", 7, 1000), random_case("all_ones", 2 ** 32 - 1, 10),
            random_case("past_32_bits", 2 ** 40 + 5, 3), random_case("norms", 11, 100, WITH_NORMS),
            mini_case()]


def main():
    root = pathlib.Path(__file__).resolve().parent.parent
    folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else root / "tests" / "reference"
    names = sys.argv[2:]
    folder.mkdir(parents=True, exist_ok=True)
    for name, cases in [
            ("conv2d", conv2d_cases), ("max_pool2d", max_pool2d_cases),
            ("avg_pool2d", avg_pool2d_cases), ("adaptive_avg_pool2d", adaptive_avg_pool2d_cases),
            ("subsample", subsample_cases), ("pad_channels", pad_channels_cases),
            ("relu", relu_cases), ("activation", activation_cases),
            ("linear", linear_cases), ("flatten", flatten_cases), ("identity", identity_cases),
            ("add", add_cases),
            ("batch_norm", batch_norm_cases), ("chains", chain_cases), ("cross_entropy", cross_entropy_cases),
            ("sgd", sgd_cases), ("random", random_cases),
            ("sample_norm", lambda: norms.sample_norm_cases(
                functools.partial(norm_case, digits=11), normal)),
            *[(name, functools.partial(cases, layer_case)) for name, cases in
              {**convolutions.FILES, **shapes.FILES}.items()],
            *[(name, functools.partial(cases, case)) for name, cases in inits.FILES.items()]]:
        if names and name not in names:
            continue
        (folder / (name + ".txt")).write_text(HEADER + "\n" + "\n".join(cases()), "ascii")


if __name__ == "__main__":
    main()
