"""Reference cases of convolutions with all arguments, for torch_reference.py."""
import itertools

import torch
from torch import nn

try:
    from torch.func import functional_call
except ImportError:  # before PyTorch 2
    from torch.nn.utils.stateless import functional_call

# case: layer_case of torch_reference.py, of name, input shape, lines, ...

KEYS = ("kernel_size", "stride", "padding", "output_padding", "groups", "dilation", "padding_mode")


def module(cls, args, channels):
    own = {key: args[key] for key in KEYS if key in args}
    return cls(channels, args["out_channels"], bias=args.get("bias") != "false", **own)


def convolution(cls):
    """The shapes of the parameters and the function of a class, as torch_reference.py wants them."""
    def shapes(args, shape):
        return {key: tuple(p.shape) for key, p in module(cls, args, shape[1]).named_parameters()}

    def function(args, x, p):
        return functional_call(module(cls, args, x.shape[1]).to(x.dtype), p, (x,))

    return shapes, function


LAYERS = {"conv2d": convolution(nn.Conv2d), "conv_transpose2d": convolution(nn.ConvTranspose2d)}


def words(arguments):
    def text(value):
        if isinstance(value, bool):
            return str(value).lower()
        return "x".join(map(str, value)) if isinstance(value, tuple) else str(value)
    return " ".join(f"{key}={text(value)}" for key, value in arguments.items())


# in_channels, out_channels, groups: dense, groups, depthwise, with a multiplier, odd groups
CHANNELS = [(3, 2, 1), (4, 2, 2), (3, 3, 3), (2, 4, 2), (3, 1, 1), (9, 9, 9), (2, 2, 1)]


def conv2d_cases(case):
    modes = ["zeros", "reflect", "replicate", "circular"]
    paddings = [1, (2, 0), "same", "valid"]
    kernels = [3, (2, 3), (1, 2), (3, 1), 2, 4]
    cases = []
    for i, (mode, padding, groups) in enumerate(itertools.product(modes, paddings, range(3))):
        c, k, g = CHANNELS[(groups + i // 12) % len(CHANNELS)]
        kernel, dilation = kernels[i % len(kernels)], [1, (2, 1), (1, 3), 2][i // 3 % 4]
        stride = 1 if padding == "same" else [1, 2, (1, 2), (3, 1)][i // 5 % 4]
        if kernel == 4:
            dilation = 1
        arguments = dict(out_channels=k, kernel_size=kernel, stride=stride, padding=padding,
                         dilation=dilation, groups=g, padding_mode=mode)
        if i % 3 == 0:
            arguments["in_channels"] = c
        if i % 4 == 1:
            arguments["bias"] = False
        cases.append(case(f"{mode}_{i}", (1 + (i % 6 == 1), c, 5, 7),
                          ["conv1 = conv2d " + words(arguments)], step=0.5, limit=1))
    for mode in modes:  # as much as there can be
        most = 3 if mode == "reflect" else 4
        cases.append(case(f"most_{mode}", (1, 2, 4, 4), [
            f"conv1 = conv2d out_channels=3 kernel_size=3 padding={most} padding_mode={mode}",
            "pool1 = max_pool2d kernel_size=2"], step=0.5, limit=1))
        cases.append(case(f"pool_{mode}", (2, 2, 4, 5), [
            f"conv1 = conv2d out_channels=3 kernel_size=2x3 padding=1x2 padding_mode={mode}",
            "relu1 = relu", "pool1 = max_pool2d kernel_size=2"], step=0.5, limit=1))
    return cases + [
        case("stride_past_kernel", (1, 4, 7, 9), [
            "conv1 = conv2d out_channels=4 kernel_size=2x1 stride=3x4 groups=4 padding=1"]),
        case("dilation_and_stride", (1, 2, 9, 8), [
            "conv1 = conv2d out_channels=3 kernel_size=3 stride=4x6 dilation=2x4 padding=4"]),
        case("groups_and_pool", (2, 4, 6, 6), [
            "conv1 = conv2d out_channels=4 kernel_size=3 groups=2 padding=same", "relu1 = relu",
            "pool1 = max_pool2d kernel_size=2"], step=0.5, limit=1),
        case("dilation_and_pool", (1, 2, 7, 6), [
            "conv1 = conv2d out_channels=3 kernel_size=2 dilation=2",
            "pool1 = max_pool2d kernel_size=2"], step=0.5, limit=1),
        case("wide_groups", (1, 34, 3, 2), [
            "conv1 = conv2d out_channels=34 kernel_size=2 groups=2 padding=1"], step=0.5, limit=0.5),
        case("image_1x1", (2, 9, 1, 1), [
            "conv1 = conv2d out_channels=9 kernel_size=3 groups=9 padding=same"]),
    ]


def conv_transpose2d_cases(case):
    cases = []
    strides, dilations, kernels = [1, 2, (3, 1), (2, 4)], [1, 2, (1, 3)], [3, (2, 3), 1, (4, 2)]
    for i, (stride, dilation) in enumerate(itertools.product(strides, dilations)):
        for j, padding in enumerate([0, 1, (2, 1)]):
            n = 3 * i + j
            c, k, g = CHANNELS[n % len(CHANNELS)]
            kernel = kernels[n % len(kernels)]
            s, d = [v if isinstance(v, tuple) else (v, v) for v in (stride, dilation)]
            more = tuple(max(a, b) - 1 if n % 2 else 0 for a, b in zip(s, d))
            arguments = dict(out_channels=k, kernel_size=kernel, stride=stride, padding=padding,
                             output_padding=more, dilation=dilation, groups=g)
            if n % 3 == 0:
                arguments.update(in_channels=c, padding_mode="zeros")
            if n % 4 == 1:
                arguments["bias"] = False
            relu = ["relu1 = relu"] if n % 5 == 0 else []
            shape = (1 + (n % 6 == 1), c, 3, 2)
            try:
                cases.append(case(f"case_{n}", shape,
                                  ["conv1 = conv_transpose2d " + words(arguments)] + relu,
                                  step=0.5, limit=1))
            except RuntimeError:  # nothing is left of the output
                continue
    return cases + [
        case("image_1x1", (2, 1, 1, 1), ["conv1 = conv_transpose2d out_channels=1 kernel_size=1"]),
        case("stride_past_kernel", (1, 3, 2, 3), [
            "conv1 = conv_transpose2d out_channels=2 kernel_size=2x1 stride=4 output_padding=3x0"]),
        case("all_padding", (1, 2, 3, 3), [
            "conv1 = conv_transpose2d out_channels=2 kernel_size=3 padding=2"]),
        case("channels_17_to_9", (1, 17, 2, 3), [
            "conv1 = conv_transpose2d out_channels=9 kernel_size=3 stride=2 padding=1"], step=0.5,
             limit=0.5),
    ]


FILES = {"conv2d_arguments": conv2d_cases, "conv_transpose2d": conv_transpose2d_cases}
