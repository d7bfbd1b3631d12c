"""The network of PyTorch's tutorial "Training a Classifier", and CIFAR-10 as tensors."""
import pathlib

import torch
from torch import nn
from torch.nn import functional as F

TRAINING_FILES = [f"data_batch_{i}.bin" for i in range(1, 6)]
RECORD = 1 + 3 * 32 * 32  # bytes: the label, then planes of red, green and blue


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


def read_images(folder, files=TRAINING_FILES):
    """All images of these files, as numbers from 0 to 1, and their labels."""
    raw = bytearray(b"".join(pathlib.Path(folder, file).read_bytes() for file in files))
    records = torch.frombuffer(raw, dtype=torch.uint8).reshape(-1, RECORD)
    return records[:, 1:].reshape(-1, 3, 32, 32).float() / 255, records[:, 0].long()
