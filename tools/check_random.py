#!/usr/bin/env python3
"""Draws random networks and holds each against PyTorch by `trainer check`.

    python3 tools/check_random.py N [--seed S] [--keep DIR]

A network is a configuration of one to three stages of convolutions, normalisations, pools, residual
additions and branches, and a head of linear layers, with arguments of all kinds; layers and
arguments that this build of trainer does not know are left out. PyTorch computes a batch and a step
in float64 and in float32 (tools/torch_check.py), in train or eval mode. The first is checked by
build/tests/trainer-double, where everything must agree to 1e-8, and by build/trainer, the second by
build/trainer. Network i of a seed is always the same for the same build.

Prints a line for each network with the worst of its tensors, as a share of the tolerance, and how
often each layer was drawn. Exit code 1 where one differs: its files are kept. TRAINER and
TRAINER_DOUBLE name other programs. Needs PyTorch, 1.13 or 2.x.
"""
import argparse
import collections
import os
import pathlib
import random
import re
import subprocess
import sys
import tempfile

import torch

import safetensors_file
import torch_check
import torch_net

ROOT = pathlib.Path(__file__).resolve().parent.parent
IN_FLOAT = os.environ.get("TRAINER") or str(ROOT / "build" / "trainer")
IN_DOUBLE = os.environ.get("TRAINER_DOUBLE") or str(ROOT / "build" / "tests" / "trainer-double")
BATCHES = (2, 3, 4, 7, 16)
MOST_VALUES = 6000  # of one sample after a layer


def run(*words):
    return subprocess.run(words, capture_output=True, text=True, check=False)


class Known:
    """What this build knows: keys of a layer or optimizer, and whether sizes may be rectangles."""

    def __init__(self):
        self.pages = {}

    def keys(self, layer):
        if layer not in self.pages:
            page = run(IN_FLOAT, "help", layer).stdout
            known = page.startswith(f"{layer} (")
            self.pages[layer] = set(re.findall(r"^  (\w+) ", page, re.M)) if known else None
        return self.pages[layer]

    def has(self, layer, key=None):
        keys = self.keys(layer)
        return keys is not None and (key is None or key in keys)

    def rectangles(self, layer, key):
        """Does its help speak of two sizes?"""
        page = run(IN_FLOAT, "help", layer).stdout
        return bool(re.search(rf"^  {key} .*(size|x)", page, re.M)) and "3x1" in page


# ---- drawing ----

class Drawing:
    """Lines of [network], and the shape behind the last of them."""

    def __init__(self, draw, known):
        self.draw, self.known, self.lines, self.n = draw, known, [], 0
        self.used = collections.Counter()
        self.name, self.shape = "input", None

    def add(self, layer, shape, source=None, **arguments):
        """The next layer; False where it would not fit or is not known."""
        keys = {k: v for k, v in arguments.items() if v is not None}
        if not self.known.has(layer) or not all(self.known.has(layer, key) for key in keys):
            return False
        name = f"{self.draw.choice(('', 'part.', 'a.b.'))}{layer}{self.n}"
        self.n += 1
        words = [f"{name} = {layer}"] + [f"{k}={text(v)}" for k, v in keys.items()]
        if source:
            words.append("from=" + ",".join(source))
        self.lines.append(" ".join(words))
        for key in keys or [""]:
            self.used[f"{layer}.{key}".rstrip(".")] += 1
        self.name, self.shape = name, shape
        return True


def text(value):
    if isinstance(value, bool):
        return str(value).lower()
    return "x".join(map(str, value)) if isinstance(value, tuple) else f"{value}"


def some(draw, known, layer, key, values):
    """An argument that the build may not know: None leaves it out."""
    return draw.choice(values) if known.has(layer, key) and draw.random() < 0.6 else None


def size(d, layer, key, values):
    """One number, or two where the build takes them."""
    if d.known.rectangles(layer, key) and d.draw.random() < 0.4:
        return d.draw.choice(values), d.draw.choice(values)
    return d.draw.choice(values)


def two(value):
    return value if isinstance(value, tuple) else (value, value)


def windows(extent, kernel, stride, padding, dilation, ceil=False):
    """PyTorch's number of windows along one side, 0 where none fits."""
    span = dilation * (kernel - 1) + 1
    over = extent + 2 * padding - span
    if over < 0:
        return 0
    n = over // stride + 1
    if ceil and over % stride and n * stride < extent + padding:
        n += 1
    return n


def conv(d, **fixed):
    draw, (c, h, w) = d.draw, d.shape
    kernel = size(d, "conv2d", "kernel_size", (1, 2, 3, 3, 3, 5))
    stride = size(d, "conv2d", "stride", (1, 1, 1, 2, 3))
    padding = size(d, "conv2d", "padding", (0, 1, 2))
    dilation = some(draw, d.known, "conv2d", "dilation", (1, 2))
    channels = draw.choice((1, 3, 4, 8, 13, 16, 17))
    groups = some(draw, d.known, "conv2d", "groups", [g for g in (1, 2, c) if c % g == 0])
    if groups and channels % groups:
        channels = groups * draw.randint(1, 2)
    given = dict(out_channels=channels, kernel_size=kernel, stride=stride, padding=padding,
                 dilation=dilation, groups=groups, bias=draw.random() < 0.5)
    given.update(fixed)
    kernel, stride, padding = (two(given[k]) for k in ("kernel_size", "stride", "padding"))
    dilation = two(given["dilation"] or 1)
    shape = [windows(n, kernel[i], stride[i], padding[i], dilation[i]) for i, n in ((0, h), (1, w))]
    if min(shape) < 1 or given["out_channels"] * shape[0] * shape[1] > MOST_VALUES:
        return False
    return d.add("conv2d", (given["out_channels"], *shape), **given)


def pool(d, layer):
    draw, (c, h, w) = d.draw, d.shape
    kernel = size(d, layer, "kernel_size", (1, 2, 2, 3))
    stride = draw.choice((None, size(d, layer, "stride", (1, 2, 3))))
    padding = dilation = None
    if d.known.has(layer, "padding") and draw.random() < 0.6:
        most = [n // 2 for n in two(kernel)]
        padding = (tuple(draw.randint(0, n) for n in most) if isinstance(kernel, tuple)
                   else draw.randint(0, min(most)))
    if d.known.has(layer, "dilation") and draw.random() < 0.4:
        dilation = size(d, layer, "dilation", (1, 2))
    ceil = some(draw, d.known, layer, "ceil_mode", (True, False))
    extra = {}
    if layer == "avg_pool2d":
        extra = dict(count_include_pad=some(draw, d.known, layer, "count_include_pad",
                                            (True, False)),
                     divisor_override=some(draw, d.known, layer, "divisor_override", (1, 3)))
    shape = [windows(n, two(kernel)[i], two(stride or kernel)[i], two(padding or 0)[i],
                     two(dilation or 1)[i], bool(ceil)) for i, n in ((0, h), (1, w))]
    if min(shape) < 1:
        return False
    return d.add(layer, (c, *shape), kernel_size=kernel, stride=stride, padding=padding,
                 dilation=dilation, ceil_mode=ceil, **extra)


def norm(d, layer):
    affine = some(d.draw, d.known, layer, "affine", (True, False))
    frozen = d.draw.choice(("weight", "bias", "weight,bias", None, None, None))
    if affine is False or not d.known.has(layer, "frozen"):
        frozen = None
    return d.add(layer, d.shape, affine=affine, frozen=frozen,
                 eps=some(d.draw, d.known, layer, "eps", ("1e-5", "1e-3", "0.1")),
                 momentum=some(d.draw, d.known, layer, "momentum", ("0.1", "0.5", "none")),
                 track_running_stats=some(d.draw, d.known, layer, "track_running_stats",
                                          (True, True, False)))


def same(d, layer, **arguments):
    return d.add(layer, d.shape, **arguments)


def residual(d):
    """Two convolutions around a shortcut, which may halve the image and pad the channels."""
    draw, start, (c, h, w) = d.draw, d.name, d.shape
    stride = draw.choice((1, 1, 2))
    before, after = draw.choice(((0, 0), (0, 3), (2, 2)))
    shortcut_layers = d.known.has("subsample") and d.known.has("pad_channels")
    if not shortcut_layers:
        stride, before, after = 1, 0, 0
    width = c + before + after
    if width * h * w > MOST_VALUES or not conv(d, out_channels=width, kernel_size=3, stride=stride,
                                               padding=1, dilation=None, groups=None):
        return False
    norm(d, "batch_norm2d")
    same(d, "relu")
    conv(d, out_channels=width, kernel_size=3, stride=1, padding=1, dilation=None, groups=None)
    norm(d, "batch_norm2d")
    body, shape = d.name, d.shape
    d.name, d.shape = start, (c, h, w)
    shortcut = start
    if stride > 1 and d.add("subsample", (c, *shape[1:]), [shortcut], stride=stride):
        shortcut = d.name
    if width > c and d.add("pad_channels", shape, [shortcut], before=before, after=after):
        shortcut = d.name
    d.add("add", shape, [body, shortcut])
    return same(d, "relu") if draw.random() < 0.7 else True


def branches(d):
    """Two or three layers that read one value, added."""
    start, shape, ends = d.name, d.shape, []
    for _ in range(d.draw.randint(2, 3)):
        kernel = d.draw.choice((1, 3, 5))
        d.shape = shape
        if not d.add("conv2d", (4, *shape[1:]), [start], out_channels=4, kernel_size=kernel,
                     padding=kernel // 2):
            return False
        ends.append(d.name)
    return d.add("add", (4, *shape[1:]), ends)


MOVES = (conv, conv, residual, residual, branches, lambda d: norm(d, "batch_norm2d"),
         lambda d: norm(d, "batch_norm2d"), lambda d: same(d, "relu"), lambda d: same(d, "relu"),
         lambda d: pool(d, "max_pool2d"), lambda d: pool(d, "avg_pool2d"),
         lambda d: same(d, "dropout", p="0"), lambda d: same(d, "identity"))


def head(d, classes):
    draw = d.draw
    if draw.random() < 0.5:
        out = size(d, "adaptive_avg_pool2d", "output_size", (1, 1, 2, 3))
        d.add("adaptive_avg_pool2d", (d.shape[0], *two(out)), output_size=out)
    elif d.known.has("adaptive_avg_pool2d") and draw.random() < 0.2:
        d.add("adaptive_avg_pool2d", (d.shape[0], 1, 1), output_size=1)
    c, h, w = d.shape
    d.add("flatten", (c * h * w,))
    for _ in range(draw.randint(0, 2)):
        width = draw.choice((7, 16, 65))
        d.add("linear", (width,), out_features=width, bias=draw.random() < 0.6)
        if draw.random() < 0.5:
            norm(d, "batch_norm1d")
        if draw.random() < 0.7:
            same(d, "relu")
        if draw.random() < 0.3:
            same(d, "dropout", p="0")
    d.add("linear", (classes,), out_features=classes, bias=draw.random() < 0.8)


def draw_network(seed, number, known):
    """The text of a configuration, and the counts of what is in it."""
    draw = random.Random(f"{seed}/{number}")
    channels, height, width = draw.choice((1, 3, 4)), draw.randint(5, 18), draw.randint(5, 18)
    classes, batch = draw.choice((2, 5, 10)), draw.choice(BATCHES)
    d = Drawing(draw, known)
    d.shape = channels, height, width
    if draw.random() > 0.15:  # the others are perceptrons
        conv(d, stride=1, padding=1, kernel_size=3, dilation=None, groups=None)
        moves = draw.randint(2, 9)
        for _ in range(4 * moves):
            moves -= draw.choice(MOVES)(d)
            if moves == 0:
                break
    head(d, classes)
    momentum = draw.choice((0, 0.5, 0.9))
    nesterov = momentum > 0 and draw.random() < 0.5
    dampening = 0 if nesterov else draw.choice((0, 0.1))
    lines = ["[data]", "type = synthetic", "train = 64", "test = 8", f"classes = {classes}",
             f"channels = {channels}", f"height = {height}", f"width = {width}", "[loader]",
             f"batch_size = {batch}", "drop_last = true", "[network]", *d.lines, "[loss]",
             "type = cross_entropy", "[optimizer]", "type = sgd",
             f"lr = {draw.choice((0.001, 0.01, 0.1))}",
             f"momentum = {momentum}", f"nesterov = {text(nesterov)}", f"dampening = {dampening}",
             f"weight_decay = {draw.choice((0, 0.0001, 0.05))}",
             *[f"{key} = {draw.choice(values)}" for key, values in
               (("clip_grad_norm", (0, 0.1, 2)), ("clip_grad_value", (0, 0.001, 0.1)))
               if known.has("sgd", key)], "[train]",
             f"seed = {draw.randint(0, 2**31)}"]
    return "\n".join(lines) + "\n", d.used


# ---- checking ----

def write_reference(net, place, dtype, mode, steps_before):
    torch.manual_seed(net["seed"])
    module = torch_net.build(net).to(dtype)
    x = torch.randn(net["batch_size"], *net["input"], dtype=torch.float64).to(dtype)
    target = torch.randint(net["classes"], (net["batch_size"],))
    tensors = torch_check.reference(net, module, x, target, mode, steps_before)
    safetensors_file.save(place, tensors, {"mode": mode})


def worst_of(output):
    """The largest share of its tolerance that a tensor takes up, and that tensor's name."""
    rows = [line.split() for line in output.splitlines()[1:] if len(line.split()) > 6]
    shares = [(float(row[1]) / float(row[2]), row[0]) for row in rows]
    return max(shares, default=(0.0, "nothing"))


def check(number, seed, folder, known):
    """Prints a line; returns whether all agrees, and the counts."""
    ini = folder / f"net{number}.ini"
    config, used = draw_network(seed, number, known)
    ini.write_text(config)
    described = folder / f"net{number}.json"
    done = run(IN_FLOAT, "--config", str(ini), "--dry-run", "--quiet", "--json", str(described))
    if done.returncode:
        print(f"{number:3}  the configuration does not fit: {done.stderr.strip()}")
        return False, used
    net, draw = torch_net.read(described), random.Random(f"{seed}/{number}/mode")
    mode, steps_before = draw.choice(("train", "eval")), draw.randint(0, 2)
    parts, good = [], True
    for dtype, programs in ((torch.float64, (IN_DOUBLE, IN_FLOAT)), (torch.float32, (IN_FLOAT,))):
        place = folder / f"net{number}-{'64' if dtype == torch.float64 else '32'}.safetensors"
        try:
            write_reference(net, place, dtype, mode, steps_before)
        except (RuntimeError, ValueError) as error:
            print(f"{number:3}  PyTorch: {error}")
            return False, used
        for program in programs:
            done = run(program, "check", "--config", str(ini), "--reference", str(place))
            share, name = worst_of(done.stdout)
            parts.append(f"{share:8.1e} {name}")
            if done.returncode:
                good = False
                parts[-1] += f" FAILED ({program}: {done.stderr.strip()})"
    layers, batch = len(net["layers"]), net["batch_size"]
    print(f"{number:3}  {layers:2} layers, batch {batch:2}, {mode:5}  double {parts[0]};  "
          f"float64 in float {parts[1]};  float32 {parts[2]}", flush=True)
    return good, used


def main():
    parser = argparse.ArgumentParser(usage="check_random.py N [--seed S] [--keep DIR]")
    parser.add_argument("n", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, metavar="I", help="begin with network I")
    parser.add_argument("--keep", metavar="DIR", help="for configurations and references")
    args = parser.parse_args()
    for program in (IN_FLOAT, IN_DOUBLE):
        if not pathlib.Path(program).is_file():
            sys.exit(f"check_random: {program} is missing: build it with tools/build.sh")
    folder = pathlib.Path(args.keep or tempfile.mkdtemp(prefix="check-random-"))
    folder.mkdir(parents=True, exist_ok=True)
    known, used, failed = Known(), collections.Counter(), []
    for number in range(args.first, args.first + args.n):
        good, counts = check(number, args.seed, folder, known)
        used.update(counts)
        if not good:
            failed.append(number)
        elif not args.keep:
            for file in folder.glob(f"net{number}[.-]*"):
                file.unlink()
    print("drawn: " + ", ".join(f"{name} {count}" for name, count in sorted(used.items())))
    if failed:
        sys.exit(f"check_random: {len(failed)} of {args.n} differ (see {folder}): "
                 + ", ".join(map(str, failed)))
    if not args.keep:
        folder.rmdir()
    print(f"{args.n} networks, all within their tolerances")


if __name__ == "__main__":
    main()
