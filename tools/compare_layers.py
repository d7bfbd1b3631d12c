#!/usr/bin/env python3
"""Times each layer alone in PyTorch and in trainer, in turns.

    tools/compare-pytorch.sh --layers [--only LAYER]... [--rounds N] [--seconds N] [--threads N]
            [--batch N]

The layers are those that `trainer help` knows, at batch 128, on images of 64 channels and 32 x 32
pixels (convolutions also of 16 x 16; layers of features on 4096, what joins on two images). One
line a layer: milliseconds of forward and backward on both sides, and how many times as fast as
PyTorch trainer is. Backward is the gradients of input and parameters, and plain SGD's update of
the parameters. All arguments are at their defaults but those that the line shows.

trainer: the layer stands in a network as in training, behind a convolution and a batch norm and in
front of a pool and a linear layer. Counted are the rows of `trainer bench step` that are the
layer's own. Where a step takes samples through several layers while they are in the cache, its
input is there, as it is in training; waiting at barriers is not counted.

PyTorch: the module alone, eager, on random tensors of the same sizes that lie in memory, as what
another module has written in a training step; the faster of contiguous and channels_last memory.

Both sides: the fastest tenth of the steps of a turn, the median over --rounds turns. PYTHON and
TRAINER name other programs than python3 and build/trainer. Run nothing else on the machine
meanwhile.
"""
import argparse
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import time

import schemas

ROOT = pathlib.Path(__file__).resolve().parent.parent
LAYOUTS = ("nchw", "nhwc")
WARM_UP = 2  # steps

# What an argument is that must be given, or whose default makes a layer do nothing.
VALUES = {"out_channels": "64", "out_features": "1024", "kernel_size": "2", "output_size": "4",
          "stride": "2", "padding": "1", "scale_factor": "2", "upscale_factor": "2", "groups": "4",
          "num_groups": "8", "num_channels": "64", "size": "5", "before": "16", "after": "16",
          "p": "0.1", "threshold": "0.1", "value": "0", "start": "16", "end": "48", "dim": "1",
          "factor": "0.5", "unflattened_size": "64,8,8"}
# Beyond what must be given: (arguments, side of the image).
VARIANTS = {
    "conv2d": [(text, side) for side in (32, 16) for text in (
        "kernel_size=3 padding=1", "kernel_size=1", "kernel_size=5 padding=2",
        "kernel_size=3 padding=1 stride=2", "kernel_size=3 padding=2 dilation=2",
        "kernel_size=3 padding=1 groups=4", "kernel_size=3 padding=1 groups=64",
        "kernel_size=3 padding=1 padding_mode=reflect")],
    "conv_transpose2d": [(text, side) for side in (32, 16) for text in (
        "kernel_size=3 padding=1", "kernel_size=2 stride=2")],
    "pad_channels": [("before=16 after=16", 32)],
    "max_pool2d": [("kernel_size=2", 32), ("kernel_size=3 stride=2 padding=1", 32)],
    "gelu": [("", 32), ("approximate=tanh", 32)],
    "upsample": [("scale_factor=2", 32), ("scale_factor=2 mode=bilinear", 32)],
    "prelu": [("", 32), ("num_parameters=64", 32)],
    "add": [("", 32)],
}


def fail(text):
    sys.exit("compare-pytorch --layers: " + text)


# ---- networks ----

def network(layer, arguments, side, kind, batch):
    """The text of a configuration whose layer `t` is the one."""
    lines = ["c = conv2d out_channels=64 kernel_size=1", "b = batch_norm2d"]
    if kind == "features":
        lines += ["q = adaptive_avg_pool2d output_size=8", "r = flatten"]
    tail = " from=b,c" if kind == "images" else " from=b,q" if kind == "map" else ""
    if kind == "map":
        lines += ["q = adaptive_avg_pool2d output_size=1"]
    lines += [f"t = {layer} {arguments}{tail}"]
    if kind != "features":
        lines += ["p = adaptive_avg_pool2d output_size=1"]
    lines += ["f = flatten", "l = linear out_features=10"]
    return "\n".join(["[data]", "type = synthetic", f"train = {4 * batch}", f"test = {batch}",
                      f"height = {side}", f"width = {side}", "[loader]", f"batch_size = {batch}",
                      "[network]", *lines, "[loss]", "type = cross_entropy", "[optimizer]",
                      "type = sgd", "lr = 0.001"]) + "\n"


def run(*words):
    return subprocess.run([schemas.TRAINER, *words], capture_output=True, text=True, check=False)


def described(layer, arguments, side, batch, place):
    """The networks of this layer, as (kind, configuration, description), that trainer accepts."""
    found, said = [], ""
    for kind in ("image", "features", "images", "map"):
        ini, net = place / f"{kind}.ini", place / f"{kind}.json"
        ini.write_text(network(layer, arguments, side, kind, batch), encoding="utf-8")
        done = run("--config", str(ini), "--dry-run", "--quiet", "--json", str(net))
        said = said or done.stderr.strip()
        if done.returncode == 0:
            found.append((kind, ini, net))
    kinds = [kind for kind, _, _ in found]
    if "image" in kinds:
        found = [one for one in found if one[0] == "image"]
    return found, said


def cases_of(layer, keys):
    given = " ".join(f"{name}={VALUES.get(name, f'{key.low or 0:g}')}"
                     for name, key in keys.items() if key.required)
    cases = []
    for arguments, side in VARIANTS.get(layer, [("", 32)]):
        names = re.findall(r"(\w+)=", arguments)
        missing = " ".join(word for word in given.split() if word.partition("=")[0] not in names)
        cases.append((f"{missing} {arguments}".strip(), side))
    return [case for case in cases
            if all(name in keys for name in re.findall(r"(\w+)=", case[0]))]


# ---- trainer ----

def ours(ini, threads, seconds, place):
    """Microseconds of forward and backward."""
    report = place / "step.json"
    done = run("bench", "step", "--config", str(ini), "--seconds", str(seconds), "--threads",
               str(threads), "--json", str(report))
    if done.returncode:
        fail(f"{ini.read_text(encoding='utf-8')}{done.stderr.strip()}")
    times, behind = [0.0, 0.0], 0
    for row in json.loads(report.read_text(encoding="utf-8"))["rows"]:
        if row["name"].startswith("loss "):
            behind = 1
        if row["name"].startswith(("t ", "t.")):
            times[behind] += row["microseconds"]
    return times


# ---- PyTorch ----

def timed(net, layout, seconds):
    """The same there: in this process, which is a worker."""
    import torch

    import torch_net
    module = dict((name, m) for m, _, name, _ in torch_net.Net(net).steps)["t"].train()
    inputs = next(layer["inputs"] for layer in net["layers"] if layer["name"] == "t")
    shapes = {layer["name"]: layer["output"] for layer in net["layers"]}
    memory = torch.channels_last if layout == "nhwc" else torch.contiguous_format

    def tensor(shape):
        x = torch.randn(net["batch_size"], *shape)
        return x.contiguous(memory_format=memory) if x.dim() == 4 else x

    module = module.to(memory_format=memory)
    xs = [tensor(shapes[name]).requires_grad_() for name in inputs]
    with torch.no_grad():
        dy = tensor(module(*xs).shape[1:])
    parameters = [p for p in module.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(parameters, lr=0.001) if parameters else None
    steps, start = [], None
    while len(steps) < WARM_UP + 3 or time.perf_counter() - start < seconds:
        if len(steps) == WARM_UP:
            start = time.perf_counter()
        for x in xs + parameters:
            x.grad = None
        a = time.perf_counter()
        y = module(*xs)
        b = time.perf_counter()
        y.backward(dy)
        if optimizer:
            optimizer.step()
        c = time.perf_counter()
        del y
        steps.append((c - a, b - a, c - b))
    steps = sorted(steps[WARM_UP:])[:max(1, (len(steps) - WARM_UP) // 10)]
    return [1e6 * statistics.mean(step[i] for step in steps) for i in (1, 2)]


def work(threads):
    """Answers lines of [description, layout, seconds]."""
    import torch
    torch.set_num_threads(threads)
    print(json.dumps(torch.__version__), flush=True)
    for line in sys.stdin:
        place, layout, seconds = json.loads(line)
        net = json.loads(pathlib.Path(place).read_text(encoding="utf-8"))
        try:
            answer = timed(net, layout, seconds)
        except (RuntimeError, SystemExit, KeyError, TypeError) as error:
            answer = f"{type(error).__name__}: {error}"
        print(json.dumps(answer), flush=True)


class Worker:
    def __init__(self, threads):
        environment = dict(os.environ, OMP_NUM_THREADS=str(threads))
        self.process = subprocess.Popen([sys.executable, __file__, "--work", str(threads)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        env=environment)
        self.version = self.answer()

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            fail("the process with PyTorch has ended")
        return json.loads(line)

    def time(self, *question):
        self.process.stdin.write(json.dumps(question) + "\n")
        self.process.stdin.flush()
        return self.answer()

    def close(self):
        self.process.stdin.close()
        self.process.wait()


# ---- the table ----

def medians(turns):
    return [statistics.median(turn[i] for turn in turns) for i in (0, 1)]


def compare(worker, ini, net, args, place):
    """Milliseconds of both sides, PyTorch's layout and ratios of single turns; or why not."""
    mine, theirs = [], {layout: [] for layout in LAYOUTS}
    for _ in range(args.rounds):
        mine.append(ours(ini, args.threads, args.seconds, place))
        time.sleep(0.02)
        for layout in LAYOUTS:
            answer = worker.time(str(net), layout, args.seconds / 2)
            if isinstance(answer, str):
                return answer
            theirs[layout].append(answer)
    if sum(medians(mine)) == 0:
        return "no phase of its own"
    best = min(LAYOUTS, key=lambda layout: sum(medians(theirs[layout])))
    singles = [sum(b) / sum(a) for a, b in zip(mine, theirs[best])]
    return medians(mine), medians(theirs[best]), best, singles


def print_row(name, result):
    if isinstance(result, str):
        print(f"{name:60} {result}", flush=True)
        return 0
    mine, theirs, layout, singles = result
    ratio = sum(theirs) / sum(mine)
    cells = "".join(f"{1e-3 * value:9.3f}" for value in (*mine, *theirs))
    print(f"{name:60}{cells}  {layout} {ratio:8.2f}  {min(singles):.2f} to {max(singles):.2f}",
          flush=True)
    return ratio


def main():
    if sys.argv[1:2] == ["--work"]:
        work(int(sys.argv[2]))
        return
    parser = argparse.ArgumentParser(prog="compare-pytorch.sh --layers", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", default=[], metavar="LAYER")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=0.6, help="of a turn of trainer")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--batch", type=int, default=128)
    args = parser.parse_args()
    known = schemas.layers()
    for name in args.only:
        if name not in known:
            fail(f"unknown layer {name}; there are {', '.join(known)}")
    worker, slower, start = Worker(args.threads), [], time.monotonic()
    print(f"{'layer, its image, arguments':60}{'forward':>9}{'backward':>9}{'forward':>9}"
          f"{'backward':>9}  layout    times  single turns\n"
          f"{'':60}{'trainer, ms':>18}{'PyTorch, ms':>18}{'':8}PyTorch's speed")
    for layer, keys in known.items():
        if args.only and layer not in args.only:
            continue
        for arguments, side in cases_of(layer, keys):
            with tempfile.TemporaryDirectory() as scratch:
                place = pathlib.Path(scratch)
                found, said = described(layer, arguments, side, args.batch, place)
                if not found:
                    print_row(f"{layer} {arguments}", said)
                for kind, ini, net in found:
                    shape = "4096" if kind == "features" else f"{side}x{side}"
                    name = " ".join([layer, shape + (", 64x1x1" if kind == "map" else ""),
                                     arguments])
                    ratio = print_row(name, compare(worker, ini, net, args, place))
                    if 0 < ratio < 1:
                        slower.append(name)
    worker.close()
    version = run("--version").stdout.strip()
    print(f"batch {args.batch}, {args.threads} threads, {args.rounds} turns; PyTorch "
          f"{worker.version}, {version}; {time.monotonic() - start:.0f} s")
    print("slower than PyTorch: " + ("; ".join(slower) or "none"))


if __name__ == "__main__":
    main()
