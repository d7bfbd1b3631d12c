#!/usr/bin/env python3
"""The Python tools without PyTorch: they can be imported, and read what this build writes.

    tools_test.py TOOLS TRAINER

A tool that reads net["steps"] where `trainer --dry-run --json` has no such field, a layer that
`trainer help` has and torch_net.py has not, or an argument that schemas.py does not understand is
found here, not by whoever next has PyTorch at hand.
"""
import ast
import importlib.util
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import types

TOOLS, TRAINER = pathlib.Path(sys.argv[1]), sys.argv[2]
CONFIG = """\
[data]
type = synthetic
height = 8
width = 8
[loader]
batch_size = 4
[network]
conv = conv2d out_channels=3 kernel_size=3
norm = batch_norm2d
flat = flatten
fc = linear out_features=10
[loss]
type = cross_entropy
[optimizer]
type = sgd
lr = 0.1
"""
FAULTS = []


def expect(holds, text):
    if not holds:
        FAULTS.append(text)


def fields_read(tree):
    """{variable: names}: the fields that a tool reads as VARIABLE["NAME"] or VARIABLE.get("NAME").
    """
    found = {}
    for node in ast.walk(tree):
        name = field = None
        if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load):
            name, field = node.value, node.slice
        if (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
                and node.func.attr == "get" and node.args):
            name, field = node.func.value, node.args[0]
        if isinstance(name, ast.Name) and isinstance(field, ast.Constant):
            found.setdefault(name.id, set()).add(field.value)
    return found


class Anything(type):
    """Of a class: has every attribute, which is such a class."""

    def __getattr__(cls, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return Nothing


class Nothing(metaclass=Anything):
    """In the place of PyTorch and numpy, so that a tool can be imported: what it defines counts."""

    def __init__(self, *given, **named):
        pass

    def __call__(self, *given, **named):
        return given[0] if given else self


class NothingOf:
    """Finds every module of PyTorch and numpy: it holds Nothing under any name."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] not in ("torch", "torchvision", "numpy"):
            return None
        return importlib.util.spec_from_loader(name, NothingOf, is_package=True)

    @staticmethod
    def create_module(spec):
        module = types.ModuleType(spec.name)
        module.__getattr__ = lambda name: getattr(Nothing, name)
        return module

    @staticmethod
    def exec_module(module):
        pass


def imported(name):
    spec = importlib.util.spec_from_file_location(name, TOOLS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def describe():
    with tempfile.TemporaryDirectory() as folder:
        ini, out = pathlib.Path(folder, "a.ini"), pathlib.Path(folder, "a.json")
        ini.write_text(CONFIG, encoding="utf-8")
        subprocess.run([TRAINER, "--config", str(ini), "--dry-run", "--quiet", "--json", str(out)],
                       check=True)
        return json.loads(out.read_text(encoding="utf-8"))


def check_fields(net, trees):
    """The tools call a description `net`, one of its layers `layer`, a class of it `described`."""
    parts = {"net": [net], "layer": net["layers"], "described": net["layers"][:1]
             + [net["loss"], net["optimizer"], net["schedule"]]}
    read = 0
    for name, tree in trees.items():
        for variable, fields in fields_read(tree).items():
            for part in parts.get(variable, []):
                read += len(fields)
                for field in fields:
                    expect(field in part, f'{name} reads {variable}["{field}"], which there is not')
    expect(read > 20, "the tools read hardly anything: is this test still right?")


def check_layers(net):
    layers, torchs = imported("schemas").layers(TRAINER), imported("torch_net")
    expect(torchs.FORMAT == net["format"], "torch_net.py reads another format")
    for layer, keys in layers.items():
        expect(layer in torchs.LAYERS, f"torch_net.py has no layer {layer}")
        for key in keys.values():
            expect(key.kind != "other", f"schemas.py does not understand {layer}'s {key.name}")
    for layer in set(torchs.LAYERS) - set(layers):
        FAULTS.append(f"torch_net.py has {layer}, which is no layer")
    for layer in net["layers"]:
        expect(set(layer["arguments"]) == set(layers[layer["class"]]),
               f"schemas.py reads other arguments of {layer['class']} than it has")
    for table, part in (("LOSSES", "loss"), ("OPTIMIZERS", "optimizer"), ("SCHEDULES", "schedule")):
        expect(net[part]["class"] in getattr(torchs, table),
               f"torch_net.py has no {part} {net[part]['class']}")


def check_table():
    """tools/compare-pytorch.sh --layers has a network for each layer."""
    table = imported("compare_layers")
    with tempfile.TemporaryDirectory() as place:
        for layer, keys in imported("schemas").layers(TRAINER).items():
            cases = table.cases_of(layer, keys)
            expect(cases, f"compare_layers.py has no arguments for {layer}")
            for arguments, side in cases:
                found, said = table.described(layer, arguments, side, 2, pathlib.Path(place))
                expect(found, f"compare_layers.py: {layer} {arguments}: {said}")


def main():
    trees = {}
    sys.path.insert(0, str(TOOLS))
    os.environ["TRAINER"] = TRAINER
    sys.meta_path.insert(0, NothingOf())
    for path in sorted(TOOLS.glob("*.py")):
        source = path.read_text(encoding="utf-8")
        trees[path.name] = ast.parse(source, str(path))
        imported(path.stem)
    expect(len(trees) > 5, f"{TOOLS} holds hardly any tools")
    net = describe()
    check_fields(net, trees)
    check_layers(net)
    check_table()
    for fault in FAULTS:
        print(fault)
    sys.exit(bool(FAULTS))


if __name__ == "__main__":
    main()
