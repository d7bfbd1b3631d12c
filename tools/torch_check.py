#!/usr/bin/env python3
"""Writes what PyTorch computes for one batch and one training step, for `trainer check`.

    trainer --config FILE.ini --dry-run --quiet --json net.json
    python3 tools/torch_check.py net.json reference.safetensors
    trainer check --config FILE.ini --reference reference.safetensors

The network is the one that net.json describes (tools/torch_net.py), or any module of yours:
--module FILE.py:NAME, where NAME is a module or what makes one when it is called. Its parameters
and buffers must be called as net.json's. Loss, optimizer and schedule are those of net.json.

The batch is drawn from --seed, or comes from --data FILE.safetensors (tensors `input` and
`target`). The file holds input, target, every parameter and buffer, logits, loss, the gradients of
the parameters and of the input, and parameters and buffers after the step. PyTorch 1.13 and 2.x.
"""
import argparse
import importlib.util
import pathlib
import sys

import torch
from torch import nn

import safetensors_file
import torch_net


def module_of(place):
    """FILE.py:NAME -> the module."""
    path, _, name = place.rpartition(":")
    if not path:
        sys.exit("torch_check: --module wants FILE.py:NAME")
    spec = importlib.util.spec_from_file_location(pathlib.Path(path).stem, path)
    if spec is None or not pathlib.Path(path).is_file():
        sys.exit(f"torch_check: {path} is no Python file")
    loaded = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(pathlib.Path(path).resolve().parent))
    spec.loader.exec_module(loaded)
    if not hasattr(loaded, name):
        sys.exit(f"torch_check: {path} has no {name}")
    made = getattr(loaded, name)
    module = made if isinstance(made, nn.Module) else made()
    if not isinstance(module, nn.Module):
        sys.exit(f"torch_check: {place} makes no nn.Module")
    return module


def step_of(net, module, optimizer, x, target):
    """Forward and backward: what the file says of them."""
    leaf = x.clone().requires_grad_()
    optimizer.zero_grad()
    logits = module(leaf)
    loss = torch_net.loss_of(net)(logits, target)
    loss.backward()
    found = {"logits": logits.detach().clone(), "loss": loss.detach().clone()}
    for name, p in module.named_parameters():
        if p.grad is not None:
            found[f"grad.{name}"] = p.grad.clone()
    found["grad.input"] = leaf.grad
    torch_net.clip(net, [p for p in module.parameters() if p.grad is not None])
    optimizer.step()
    return found


def state_of(module, parameter, buffer):
    return {f"{kind}.{name}": tensor.detach().clone()
            for kind, named in ((parameter, module.named_parameters()),
                                (buffer, module.named_buffers()))
            for name, tensor in named}


def reference(net, module, x, target, mode="train", steps_before=0):
    """The tensors of a file. steps_before: first train so many steps, on other batches."""
    module.train()
    optimizer = torch_net.optimizer_of(net, module.parameters())
    for _ in range(steps_before):
        step_of(net, module, optimizer, torch.randn_like(x), target)
    module.train(mode == "train")
    tensors = dict({"input": x, "target": target}, **state_of(module, "param", "buffer"))
    optimizer = torch_net.optimizer_of(net, module.parameters())  # without a past
    tensors.update(step_of(net, module, optimizer, x, target))
    tensors.update(state_of(module, "param_after", "buffer_after"))
    return tensors


def batch_of(args, net, dtype):
    if args.data:
        given, _ = safetensors_file.load(args.data)
        return given["input"].to(dtype), given["target"].long()
    n = args.batch or net["batch_size"]
    return (torch.randn(n, *net["input"], dtype=torch.float64).to(dtype),
            torch.randint(net["classes"], (n,)))


def main():
    parser = argparse.ArgumentParser(usage="torch_check.py NET.json OUT.safetensors [OPTION]...")
    parser.add_argument("net")
    parser.add_argument("out")
    parser.add_argument("--module", metavar="FILE.py:NAME")
    parser.add_argument("--data", metavar="FILE", help="safetensors with input and target")
    parser.add_argument("--batch", type=int, help="samples; default: the configuration's")
    parser.add_argument("--seed", type=int, help="of weights and batch; default: net.json's")
    parser.add_argument("--mode", choices=("train", "eval"), default="train")
    parser.add_argument("--dtype", choices=("float32", "float64"), default="float32")
    parser.add_argument("--steps-before", type=int, default=0, metavar="N",
                        help="first train so many steps, on other batches")
    args = parser.parse_args()
    net, dtype = torch_net.read(args.net), getattr(torch, args.dtype)
    torch.manual_seed(net["seed"] if args.seed is None else args.seed)
    module = (module_of(args.module) if args.module else torch_net.build(net)).to(dtype)
    tensors = reference(net, module, *batch_of(args, net, dtype), args.mode, args.steps_before)
    safetensors_file.save(args.out, tensors,
                          {"mode": args.mode, "torch": torch.__version__, "format": "pt"})
    print(f"{args.out}: {len(tensors)} tensors, {args.mode}, {args.dtype}, "
          f"loss {tensors['loss'].item():.6g}")


if __name__ == "__main__":
    main()
