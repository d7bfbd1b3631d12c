#!/usr/bin/env python3
"""Trains the tutorial's LeNet in PyTorch for a while and prints images per second.

    python3 tools/compare_pytorch.py DATA_DIR BATCH THREADS SECONDS

tools/compare-pytorch.sh calls it, alternately with build/trainer. This is PyTorch at its fastest: the
images lie in memory as normalised tensors and batches are slices of them. There is no DataLoader,
no shuffling and no decoding, and the first steps are not counted. DATA_DIR holds CIFAR-10 in its
binary format; a step is the tutorial's, the running loss included.
"""
import pathlib
import sys
import time

import torch
from torch import nn
from torch.nn import functional as F

RECORD = 1 + 3 * 32 * 32  # bytes: the label, then planes of red, green and blue
WARM_UP = 20              # steps


class Net(nn.Module):
    """configs/lenet.ini, layer by layer."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 6, 5)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.pool = nn.MaxPool2d(2, 2)
        self.fc1 = nn.Linear(16 * 5 * 5, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, 10)

    def forward(self, x):
        x = self.pool(F.relu(self.conv1(x)))
        x = self.pool(F.relu(self.conv2(x)))
        x = torch.flatten(x, 1)
        x = F.relu(self.fc1(x))
        x = F.relu(self.fc2(x))
        return self.fc3(x)


def read_images(folder):
    """All training images as normalised tensors, and their labels."""
    files = [pathlib.Path(folder, f"data_batch_{i}.bin") for i in range(1, 6)]
    raw = bytearray(b"".join(file.read_bytes() for file in files))
    records = torch.frombuffer(raw, dtype=torch.uint8).reshape(-1, RECORD)
    images = records[:, 1:].reshape(-1, 3, 32, 32).float() / 255
    return (images - 0.5) / 0.5, records[:, 0].long()


def images_per_second(images, labels, batch, seconds):
    net = Net()
    loss_of = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.001, momentum=0.9)
    n_batches = len(images) // batch
    running_loss, steps, start = 0.0, -WARM_UP, time.perf_counter()
    while True:
        if steps == 0:
            start = time.perf_counter()
        first = steps % n_batches * batch
        optimizer.zero_grad()
        loss = loss_of(net(images[first:first + batch]), labels[first:first + batch])
        loss.backward()
        optimizer.step()
        running_loss += loss.item()
        steps += 1
        passed = time.perf_counter() - start
        if steps > 0 and passed >= seconds:
            return steps * batch / passed


def main():
    if len(sys.argv) != 5:
        sys.exit("usage: compare_pytorch.py DATA_DIR BATCH THREADS SECONDS")
    batch, threads, seconds = int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    images, labels = read_images(sys.argv[1])
    if batch < 1 or batch > len(images):
        sys.exit(f"compare_pytorch: a batch of {batch}, allowed are 1 to {len(images)} images")
    print(f"{images_per_second(images, labels, batch, seconds):.0f}")


if __name__ == "__main__":
    main()
