"""Cases of tests/reference/init.txt: initial values by torch.nn.init, for torch_reference.py.

A case is a network whose modules are made in their order after torch.manual_seed(seed), and whose
parameters then get their values in the same order: what weight_init and bias_init mean with
train.generator = torch. order0 is the first epoch of a DataLoader after that: it shows how many
numbers were drawn. PyTorch 2.15 (older versions draw trunc_normal_ in another way).
"""
import random

import torch
from torch import nn
from torch.utils.data import DataLoader

from torch_init import initialise


def text(value):
    return str(value).lower() if isinstance(value, bool) else value


def init_case(case, name, seed, layers):
    """layers: name, class, the module's maker, its arguments as in [network], {parameter: (word,
    arguments)}."""
    torch.manual_seed(seed)
    lines, modules = [], {}
    for layer, cls, make, arguments, inits in layers:
        words = [f"{key}={text(value)}" for key, value in arguments.items()]
        for parameter, (word, given) in inits.items():
            inner = ", ".join(f"{key}={value}" for key, value in given.items())
            words.append(f"{parameter}_init={word}({inner})" if given else
                         f"{parameter}_init={word}")
        lines.append(f"layer {layer} = {' '.join([cls] + words)}")
        if make:
            modules[layer] = make()
    net = nn.ModuleDict(modules)
    chosen = [{"name": layer, "arguments": {f"{parameter}_init": {"class": word, "arguments": given}
                                            for parameter, (word, given) in inits.items()}}
              for layer, _, _, _, inits in layers]
    initialise(dict(net.named_parameters()), chosen)
    tensors = {"seed": torch.tensor([seed >> bit & 0xffff for bit in range(0, 64, 16)])}
    tensors.update(net.state_dict())
    tensors["order0"] = torch.tensor([int(i) for i in DataLoader(torch.arange(9), shuffle=True)])
    return case(name, lines, tensors)


def network(conv, fc1, fc2, filters=4):
    """conv1, fc1 and fc2 with these initial values, for images of 2 x 5 x 5 and 4 classes."""
    return [("conv1", "conv2d", lambda: nn.Conv2d(2, filters, 3),
             {"out_channels": filters, "kernel_size": 3}, conv),
            ("flatten", "flatten", None, {}, {}),
            ("fc1", "linear", lambda: nn.Linear(9 * filters, 5), {"out_features": 5}, fc1),
            ("fc2", "linear", lambda: nn.Linear(5, 4, bias=False),
             {"out_features": 4, "bias": False}, fc2)]


def whiten_case(case, name, shape, kernel, given, negatives):
    """The filters of KellerJordan/cifar10-airbench, of images that are drawn from `name`. The sign
    of an eigenvector is open: here its element of largest magnitude is positive."""
    draw = random.Random(name)
    images = torch.tensor([draw.randint(-16, 16) / 8 for _ in range(torch.Size(shape).numel())],
                          dtype=torch.float64).reshape(shape)
    images += images.roll(1, 3) + images.roll(1, 2)  # neighbours have something in common
    first = images[:given.get("images", 5000)]
    h, w = kernel
    patches = first.unfold(2, h, 1).unfold(3, w, 1).transpose(1, 3).reshape(-1, shape[1] * h * w)
    values, vectors = torch.linalg.eigh(patches.T @ patches / len(patches), UPLO="U")
    vectors = vectors.T
    largest = vectors.abs().argmax(1, keepdim=True)
    vectors = vectors * vectors.gather(1, largest).sign()
    weight = vectors / (values.view(-1, 1) + given.get("eps", 5e-4)).sqrt()
    weight = weight.reshape(-1, shape[1], h, w)
    inner = ", ".join(f"{key}={value}" for key, value in given.items())
    weight = torch.cat((weight, -weight)) if negatives else weight
    return case(name, [f"layer conv = conv2d out_channels={len(weight)} kernel_size={h} "
                       f"weight_init=whiten({inner})"], {"images": images, "conv.weight": weight})


def whiten_cases(case):
    return [whiten_case(case, "whiten", (6, 3, 4, 5), (2, 2), {}, True),
            whiten_case(case, "whiten_some", (9, 1, 5, 5), (3, 3), {"images": 8, "eps": 0.25},
                        False)]


def init_cases(case):
    def of(name, seed, *args, **kwargs):
        return init_case(case, name, seed, network(*args, **kwargs))

    return [
        of("uniform", 1,
           {"weight": ("kaiming_uniform", {"a": 0.5, "mode": "fan_out"}),
            "bias": ("uniform", {"a": -3, "b": 0.7})},
           {"weight": ("xavier_uniform", {"gain": 1.5}), "bias": ("uniform", {})},
           {"weight": ("kaiming_uniform", {"nonlinearity": "tanh"})}),
        of("uniform_2", 2, {"weight": ("uniform", {"a": 0.1, "b": 0.3})},
           {"weight": ("kaiming_uniform", {"nonlinearity": "selu", "a": 3})},
           {"weight": ("kaiming_uniform", {"nonlinearity": "sigmoid", "mode": "fan_out"})}),
        # 72, 180 and 20 numbers: all end in a part of a block; 4 and 5 are drawn in pairs.
        of("normal", 3,
           {"weight": ("kaiming_normal", {"mode": "fan_out", "nonlinearity": "relu"}),
            "bias": ("normal", {"mean": 1, "std": 0.1})},
           {"weight": ("xavier_normal", {"gain": 2}), "bias": ("normal", {"std": 3})},
           {"weight": ("kaiming_normal", {"a": 2})}),
        of("normal_in_blocks", 4, {"weight": ("normal", {"mean": -2, "std": 0.5})},
           {"bias": ("normal", {})}, {"weight": ("normal", {"std": 0})}, filters=8),
        of("normal_carried_over", 5, {"bias": ("normal", {})},
           {"weight": ("normal", {}), "bias": ("normal", {"mean": 5})}, {}, filters=3),
        of("trunc_normal", 6, {"weight": ("trunc_normal", {"std": 0.02})},
           {"weight": ("trunc_normal", {"a": -1, "b": 0.5}), "bias": ("trunc_normal", {"b": 1})},
           {"weight": ("trunc_normal", {"mean": 1, "std": 0.5, "a": 0, "b": 3})}),
        of("trunc_normal_little", 7, {"weight": ("trunc_normal", {"mean": 1, "a": 2, "b": 2.5})},
           {"weight": ("trunc_normal", {"std": 5, "a": -1, "b": 1})},
           {"weight": ("trunc_normal", {"mean": 2, "std": 0.5, "a": -2, "b": 1})}),
        of("orthogonal", 8, {"weight": ("orthogonal", {})},
           {"weight": ("orthogonal", {"gain": 2}), "bias": ("zeros", {})},
           {"weight": ("orthogonal", {"gain": -0.5})}),
        of("orthogonal_high", 9, {"weight": ("orthogonal", {})}, {"weight": ("orthogonal", {})},
           {}, filters=20),
        of("dirac", 10, {"weight": ("dirac", {}), "bias": ("ones", {})},
           {"weight": ("constant", {"val": 0.1})}, {"weight": ("zeros", {})}),
        of("dirac_groups", 11, {"weight": ("dirac", {"groups": 3}),
                                "bias": ("constant", {"val": -2.5})}, {}, {}, filters=6),
        of("dirac_overlay", 12, {"weight": ("dirac_overlay", {})}, {"bias": ("ones", {})}, {}),
        of("dirac_overlay_narrow", 13, {"weight": ("dirac_overlay", {})}, {}, {}, filters=1),
    ]


FILES = {"init": init_cases, "whiten": whiten_cases}
