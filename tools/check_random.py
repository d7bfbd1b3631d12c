#!/usr/bin/env python3
"""Draws random networks and holds each against PyTorch by `trainer check`.

    python3 tools/check_random.py N [SEED] [--first I] [--keep DIR]

The layers are all that this build of trainer knows, with all of their arguments
(random_networks.py). PyTorch computes a batch and a step in float64 and in float32
(tools/torch_check.py), in train or eval mode. The first is checked by build/tests/trainer-double,
where everything must agree to 1e-8, and by build/trainer, the second by build/trainer. Network i of
a seed is always the same for the same build.

Prints a line for each network with the worst of its tensors, as a share of the tolerance, and how
often each argument had another value than its default. Exit code 1 where one differs (its files
are kept), or where a hundred networks left an argument unused. TRAINER and TRAINER_DOUBLE name
other programs. Needs PyTorch, 1.13 or 2.x.
"""
import argparse
import collections
import copy
import os
import pathlib
import random
import re
import subprocess
import sys
import tempfile

import torch

import random_networks
import safetensors_file
import torch_check
import torch_net

ROOT = pathlib.Path(__file__).resolve().parent.parent
IN_FLOAT = os.environ.get("TRAINER") or str(ROOT / "build" / "trainer")
IN_DOUBLE = os.environ.get("TRAINER_DOUBLE") or str(ROOT / "build" / "tests" / "trainer-double")
ATTEMPTS = 24  # at a network whose numbers are below
MOST, LEAST = 1e6, 1e-6
KINK, KINK_TRIALS = 1e-2, 6
ENOUGH = 100   # networks that use each argument


def run(*words):
    """A command and what it said."""
    return subprocess.run(words, capture_output=True, text=True, check=False)


# ---- checking ----

def write_reference(net, place, dtype, mode, steps_before):
    torch.manual_seed(net["seed"])
    module = torch_net.build(net).to(dtype)
    x = torch.randn(net["batch_size"], *net["input"], dtype=torch.float64).to(dtype)
    target = torch.randint(net["classes"], (net["batch_size"],))
    tensors = torch_check.reference(net, module, x, target, mode, steps_before)
    if not all(torch.isfinite(t.double()).all() and t.double().abs().max() < MOST
               for t in tensors.values() if t is not None and t.numel()):
        return False
    if tensors["grad.input"].abs().max() < LEAST:  # a norm of one element: nothing but rounding
        return False
    safetensors_file.save(place, tensors, {"mode": mode})
    return True


def worst_of(output):
    """The largest share of its tolerance that a tensor takes up, and that tensor's name."""
    rows = [line.split() for line in output.splitlines()[1:] if len(line.split()) > 6]
    shares = [(float(row[1]) / float(row[2]), row[0]) for row in rows]
    return max(shares, default=(0.0, "nothing"))


def is_at_kink(net, mode, steps_before):
    """Does PyTorch itself, in float64, differ by more than the tolerance of a gradient where the
    input differs by the rounding of a float32? Then a relu or maximum is within it of its kink, and
    which side a float32 is on says nothing."""
    torch.manual_seed(net["seed"])
    module = torch_net.build(net).to(torch.float64)
    state = copy.deepcopy(module.state_dict())
    x = torch.randn(net["batch_size"], *net["input"], dtype=torch.float64)
    target = torch.randint(net["classes"], (net["batch_size"],))
    found = []
    for trial in range(KINK_TRIALS):
        module.load_state_dict(state)
        torch.manual_seed(net["seed"])
        noise = 1 + (trial > 0) * 2.0**-21 * torch.randn_like(x)
        found.append(torch_check.reference(net, module, x * noise, target, mode, steps_before))
    for other in found[1:]:
        for name, tensor in found[0].items():
            if name.startswith("grad.") and tensor.numel():
                change = (other[name] - tensor).norm()
                if change > KINK * tensor.norm().clamp(min=1e-30):
                    return True
    return False


class Result:
    """What all networks have used, and their worst tensors."""

    def __init__(self):
        self.used, self.worst = collections.Counter(), {}
        self.kinks = 0  # checks in float that differ only because of one
        self.refused = collections.Counter()  # what PyTorch says of a network that it has not

    def note(self, program, number, share, name):
        if share >= self.worst.get(program, (-1, 0, ""))[0]:
            self.worst[program] = share, number, name


def reference_of(number, attempt, seed, folder, known, mode, steps_before):
    """A network and its references in float64 and float32; None where its numbers overflow, or
    nothing but rounding reaches the input."""
    place = folder / f"net{number}"
    config = random_networks.draw_network(seed, number, attempt, known, place, mode)
    described = place.with_suffix(".json")
    done = run(IN_FLOAT, "--config", str(place.with_suffix(".ini")), "--dry-run", "--quiet",
               "--json", str(described))
    if done.returncode:
        raise RuntimeError(f"the configuration does not fit: {done.stderr.strip()}")
    net, files = torch_net.read(described), []
    for dtype in (torch.float64, torch.float32):
        files.append(folder / f"net{number}-{str(dtype)[-2:]}.safetensors")
        if not write_reference(net, files[-1], dtype, mode, steps_before):
            return None
    return config, net, files


def check(number, seed, folder, known, result):
    """Prints a line; returns whether all agrees."""
    draw = random.Random(f"{seed}/{number}/mode")
    mode, steps_before = draw.choice(("train", "eval")), draw.randint(0, 2)
    try:
        found = None
        for attempt in range(ATTEMPTS):
            try:
                found = found or reference_of(number, attempt, seed, folder, known, mode,
                                              steps_before)
            except ValueError as error:
                if not str(error).startswith("Expected more than 1"):  # value per channel
                    raise
                result.refused[re.sub(r", got .*", "", str(error))] += 1
    except (Exception, SystemExit) as error:  # whatever PyTorch raises is of this network
        print(f"{number:3}  {type(error).__name__}: {error}", flush=True)
        return False
    if found is None:
        print(f"{number:3}  no network whose numbers are finite and not 0", flush=True)
        return False
    config, net, (in_64, in_32) = found
    result.used.update(random_networks.uses(config, known))
    parts, good = [], True
    for what, program, place in (("double", IN_DOUBLE, in_64), ("float64 in float", IN_FLOAT, in_64),
                                 ("float32", IN_FLOAT, in_32)):
        done = run(program, "check", "--config", str(folder / f"net{number}.ini"), "--reference",
                   str(place))
        share, name = worst_of(done.stdout)
        parts.append(f"{what} {share:.1e} {name}")
        if done.returncode and what != "double" and good and is_at_kink(net, mode, steps_before):
            parts[-1] += " (a kink within rounding)"
            result.kinks += 1
        elif done.returncode:
            good = False
            parts[-1] += f" FAILED ({program}: {done.stderr.strip()})"
        else:
            result.note(what, number, share, name)
    print(f"{number:3}  {len(net['layers']):2} layers, batch {net['batch_size']:2}, {mode:5}  "
          + "; ".join(parts), flush=True)
    return good


def print_uses(result, known):
    """How often each argument was not at its default. Returns the pairs that never were."""
    never = [pair for pair in known.pairs if not result.used[pair]]
    for layer in known.keys:
        used = [f"{key} {result.used[layer, key]}" for name, key in known.pairs
                if name == layer and key]
        print(f"{layer:22} {result.used[layer, None]:4}  {', '.join(used)}")
    for what, (share, number, name) in result.worst.items():
        print(f"worst {what}: {share:.1e} of the tolerance, {name} of network {number}")
    return never


def main():
    parser = argparse.ArgumentParser(usage="check_random.py N [SEED] [--first I] [--keep DIR]")
    parser.add_argument("n", type=int)
    parser.add_argument("seed", type=int, nargs="?", default=0)
    parser.add_argument("--first", type=int, default=0, metavar="I", help="begin with network I")
    parser.add_argument("--keep", metavar="DIR", help="for configurations and references")
    args = parser.parse_args()
    for program in (IN_FLOAT, IN_DOUBLE):
        if not pathlib.Path(program).is_file():
            sys.exit(f"check_random: {program} is missing: build it with tools/build.sh")
    folder = pathlib.Path(args.keep or tempfile.mkdtemp(prefix="check-random-"))
    folder.mkdir(parents=True, exist_ok=True)
    known, result, failed = random_networks.Layers(IN_FLOAT), Result(), []
    if random_networks.Layers(IN_DOUBLE).keys != known.keys:
        sys.exit(f"check_random: {IN_DOUBLE} and {IN_FLOAT} have other layers: build both")
    for number in range(args.first, args.first + args.n):
        if not check(number, args.seed, folder, known, result):
            failed.append(number)
        elif not args.keep:
            for file in folder.glob(f"net{number}[.-]*"):
                file.unlink()
    never = print_uses(result, known)
    print(f"kinks within the rounding of a float: {result.kinks} checks")
    for text, count in result.refused.items():
        print(f"PyTorch refuses {count}, which are drawn anew: {text}")
    if never and args.n >= ENOUGH:
        print("never used: " + ", ".join(".".join(filter(None, pair)) for pair in never))
    if failed:
        sys.exit(f"check_random: {len(failed)} of {args.n} differ (see {folder}): "
                 + ", ".join(map(str, failed)))
    if not args.keep:
        folder.rmdir()
    print(f"{args.n} networks, all within their tolerances")
    sys.exit(bool(never) and args.n >= ENOUGH)


if __name__ == "__main__":
    main()
