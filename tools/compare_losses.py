#!/usr/bin/env python3
"""Trains configs/lenet.ini in PyTorch and in trainer from the same seed: the losses side by side.

    python3 tools/compare_losses.py [SEED [DATA_DIR]]      default: 1 data/cifar-10-batches-bin

With generator = torch, as in configs/lenet.ini, trainer starts from the weights that PyTorch
draws after torch.manual_seed(SEED) and takes the images as its DataLoader(shuffle=True) does. What
differs is the order in which sums are added up. Such differences grow from step to step, so expect
the first lines to agree to three digits and the last ones to the noise between two seeds.

Needs PyTorch (Debian: python3-torch), CIFAR-10 (tools/fetch-cifar10.sh) and build/trainer; takes
one to three minutes, nearly all of them PyTorch's.
"""
import json
import pathlib
import subprocess
import sys
import tempfile

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from compare_pytorch import RECORD, Net, read_images

ROOT = pathlib.Path(__file__).resolve().parent.parent
EPOCHS, LOG_EVERY = 2, 2000


def read_tests(folder):
    raw = bytearray(pathlib.Path(folder, "test_batch.bin").read_bytes())
    records = torch.frombuffer(raw, dtype=torch.uint8).reshape(-1, RECORD)
    return (records[:, 1:].reshape(-1, 3, 32, 32).float() / 255 - 0.5) / 0.5, records[:, 0].long()


def accuracy(net, images, labels):
    with torch.no_grad():
        right = sum((net(x).argmax(1) == y).sum().item()
                    for x, y in zip(images.split(1000), labels.split(1000)))
    return right / len(images)


def train_pytorch(seed, folder):
    """Yields what trainer writes to metrics.jsonl: a loss every LOG_EVERY steps, an accuracy."""
    torch.set_num_threads(1)  # the fastest for batches of 4
    images, tests = TensorDataset(*read_images(folder)), read_tests(folder)
    torch.manual_seed(seed)
    net, loss_of = Net(), nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.001, momentum=0.9)
    loader = DataLoader(images, batch_size=4, shuffle=True)
    for epoch in range(EPOCHS):
        running = 0.0
        for step, (x, y) in enumerate(loader, 1):
            optimizer.zero_grad()
            loss = loss_of(net(x), y)
            loss.backward()
            optimizer.step()
            running += loss.item()
            if step % LOG_EVERY == 0:
                yield f"epoch {epoch + 1}, step {step:5d}: loss", running / LOG_EVERY
                running = 0.0
        yield f"epoch {epoch + 1}: test accuracy", accuracy(net, *tests)


def train_trainer(seed, folder):
    with tempfile.TemporaryDirectory() as scratch:
        subprocess.run([ROOT / "build" / "trainer", "--config", ROOT / "configs" / "lenet.ini",
                        "--epochs", str(EPOCHS), "--set", f"train.log_every={LOG_EVERY}",
                        "--set", "train.generator=torch", "--seed", str(seed), "--data", folder,
                        "--out", scratch + "/run", "--quiet"],
                       check=True, stdout=subprocess.DEVNULL)
        lines = pathlib.Path(scratch, "run", "metrics.jsonl").read_text().splitlines()
    for event in map(json.loads, lines):
        yield event["loss" if event["event"] == "log" else "test_accuracy"]


def main():
    seed = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    folder = sys.argv[2] if len(sys.argv) > 2 else str(ROOT / "data" / "cifar-10-batches-bin")
    ours = train_trainer(seed, folder)
    print(f"{'seed ' + str(seed):30} PyTorch  trainer")
    for label, theirs in train_pytorch(seed, folder):
        print(f"{label:30} {theirs:7.4f}  {next(ours):7.4f}", flush=True)


if __name__ == "__main__":
    main()
