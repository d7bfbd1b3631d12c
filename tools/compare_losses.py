#!/usr/bin/env python3
"""Trains a configuration in PyTorch and in trainer from the same seed: the losses side by side.

    python3 tools/compare_losses.py [CONFIG] [--seed N] [--epochs N] [--every N] [--steps N]
            [--data DIR] [--set SECTION.KEY=VALUE]... [--threads N] [--double] [--twice]

Default: configs/lenet.ini, seed 1, and its two epochs with a mean loss every 2000 steps. With
--steps PyTorch stops after so many steps (trainer goes to the end of the epoch).

With train.generator = torch trainer starts from the weights that PyTorch draws after
torch.manual_seed(SEED) and takes the images as its DataLoader(shuffle=True) does. What differs is
the order in which sums are added up. Such differences grow from step to step, so expect the first
lines to agree to several digits and the last ones to the noise between two seeds. With --double
both compute in double (build/tests/trainer-double): a difference that stays is none of rounding.
With --twice PyTorch trains a second time from the same weights and order, with its images laid out
channels last: a third column, which shows how far two runs of PyTorch are from each other.

The network comes from `trainer --dry-run --json` (tools/torch_net.py), the data from CIFAR-10 with
normalize, without other transforms. Needs PyTorch (Debian: python3-torch), CIFAR-10
(tools/fetch-cifar10.sh) and build/trainer, or the program that TRAINER names.
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import torch
from torch.utils.data import DataLoader, TensorDataset

import torch_net
from tutorial import TRAINING_FILES, read_images

ROOT = pathlib.Path(__file__).resolve().parent.parent
PROGRAMS = {torch.float32: ROOT / "build" / "trainer",
            torch.float64: ROOT / "build" / "tests" / "trainer-double"}


def fail(text):
    sys.exit("compare_losses: " + text)


def images_of(net, files, dtype):
    """Images and labels as the configuration normalises them."""
    if net["data"]["class"] != "cifar10":
        fail(f"the data are {net['data']['class']}, only cifar10 is read here")
    images, labels = read_images(net["data"]["arguments"]["root"], files)
    for transform in net["transforms"]:
        if transform["class"] != "normalize":
            fail(f"the transform {transform['class']} is not known here")
        mean, std = (torch.tensor(transform["arguments"][key]).reshape(-1, 1, 1)
                     for key in ("mean", "std"))
        images = (images - mean) / std
    return images.to(dtype), labels


def accuracy(module, images, labels):
    module.eval()
    with torch.no_grad():
        right = sum((module(x).argmax(1) == y).sum().item()
                    for x, y in zip(images.split(500), labels.split(500)))
    module.train()
    return right / len(images)


def train_pytorch(net, args, layout=torch.contiguous_format):
    """Yields what trainer writes to metrics.jsonl: a mean loss every so many steps, an accuracy."""
    torch.set_num_threads(args.threads or (1 if net["batch_size"] < 16 else os.cpu_count()))
    images = TensorDataset(*images_of(net, TRAINING_FILES, args.dtype))
    tests = images_of(net, ["test_batch.bin"], args.dtype)
    torch.manual_seed(net["seed"])
    module = torch_net.build(net).to(args.dtype).to(memory_format=layout)
    loss_of = torch_net.loss_of(net)
    optimizer = torch_net.optimizer_of(net, module.parameters())
    loader = DataLoader(images, batch_size=net["batch_size"], shuffle=True,
                        drop_last=net["loader"]["drop_last"])
    done = 0
    for epoch in range(net["epochs"]):
        running, weight = 0.0, 0
        for step, parts in enumerate(grouped(loader, net["accumulate"]), 1):
            n = sum(len(x) for x, _ in parts)
            optimizer.zero_grad()
            for x, y in parts:
                loss = loss_of(module(x.contiguous(memory_format=layout)), y) * (len(x) / n)
                loss.backward()
                running += loss.item() * n
            torch_net.clip(net, [p for p in module.parameters() if p.grad is not None])
            optimizer.step()
            weight, done = weight + n, done + 1
            if step % args.every == 0:
                yield f"epoch {epoch + 1}, step {step:5d}: loss", running / weight
                running, weight = 0.0, 0
            if done == args.steps:
                return
        yield f"epoch {epoch + 1}: test accuracy", accuracy(module, *tests)


def grouped(batches, n):
    """Lists of n batches; the last may be shorter."""
    group = []
    for batch in batches:
        group.append(batch)
        if len(group) == n:
            yield group
            group = []
    if group:
        yield group


def run_trainer(program, settings, *more):
    done = subprocess.run([program, *settings, *more, "--quiet"], stdout=subprocess.DEVNULL,
                          stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        fail("trainer: " + done.stderr.strip())


def train_trainer(program, settings, scratch):
    run_trainer(program, settings, "--out", scratch + "/run")
    for line in pathlib.Path(scratch, "run", "metrics.jsonl").read_text().splitlines():
        event = json.loads(line)
        yield event["loss" if event["event"] == "log" else "test_accuracy"]


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", nargs="?", default=str(ROOT / "configs" / "lenet.ini"))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--every", type=int, default=2000, help="steps between two lines")
    parser.add_argument("--steps", type=int, help="of PyTorch")
    parser.add_argument("--data", default=str(ROOT / "data" / "cifar-10-batches-bin"))
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE")
    parser.add_argument("--threads", type=int, help="of PyTorch")
    parser.add_argument("--twice", action="store_true", help="PyTorch, in both layouts")
    parser.add_argument("--double", dest="dtype", action="store_const", const=torch.float64,
                        default=torch.float32)
    args = parser.parse_args()
    program = os.environ.get("TRAINER") or str(PROGRAMS[args.dtype])
    settings = ["--config", args.config, "--seed", str(args.seed), "--epochs", str(args.epochs),
                "--data", args.data]
    for value in [f"train.log_every={args.every}", "train.generator=torch", *args.set]:
        settings += ["--set", value]
    with tempfile.TemporaryDirectory() as scratch:
        place = scratch + "/net.json"
        run_trainer(program, settings, "--dry-run", "--json", place)
        net, ours = torch_net.read(place), train_trainer(program, settings, scratch)
        again = list(train_pytorch(net, args, torch.channels_last)) if args.twice else []
        print(f"{'seed ' + str(args.seed):32} PyTorch  trainer  difference"
              + ("  PyTorch again  difference" if again else ""))
        for i, (label, theirs) in enumerate(train_pytorch(net, args)):
            mine = next(ours)
            line = f"{label:32} {theirs:7.4f}  {mine:7.4f}  {mine - theirs:10.1e}"
            if again:
                line += f"  {again[i][1]:13.4f}  {again[i][1] - theirs:10.1e}"
            print(line, flush=True)


if __name__ == "__main__":
    main()
