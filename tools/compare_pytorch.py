#!/usr/bin/env python3
"""Trains the network of a configuration in PyTorch and in trainer, in turns: speed and memory.

    python3 tools/compare_pytorch.py [CONFIG] [--batch N] [--rounds N] [--seconds N]
            [--threads "1 2"] [--data DIR] [--set SECTION.KEY=VALUE]... [--no-compile]

tools/compare-pytorch.sh finds a Python with PyTorch and calls it. Default: configs/lenet.ini, on
one thread and on all CPUs. In a round each setting has its turn, in a process of its own: PyTorch
eager and compiled (2.x), images as [n, c, h, w] in memory and as [n, h, w, c] (channels_last), and
`trainer bench step`. The median over the rounds counts, and of each side the fastest setting.

trainer loads, shuffles and decodes its images as in training. PyTorch gets ready tensors: a few
batches of random numbers. There is no DataLoader, and the first steps are not counted; a step
reads the loss, as the tutorial's does. The network, loss and optimizer are those that trainer
describes (tools/torch_net.py), with relu in place where that is possible.

Memory is what the process held at most, less what it held without training: of trainer a dry run,
of PyTorch the import of torch. Of PyTorch's settings the one that needs least counts. The system
counts at least what the process held that started it (15 MB): a smaller network shows 0.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
BATCHES = 4        # of random images
WARM_UP = 3        # steps at least, and seconds
MIB = 1024 * 1024


def fail(text):
    sys.exit("compare-pytorch: " + text)


# ---- PyTorch, in processes of its own ----
# This one does not import it: a new process inherits the peak of its parent.

def torch_version():
    """The version, and whether it compiles."""
    asked = "import torch; print(torch.__version__, hasattr(torch, 'compile'))"
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True,
                          check=False)
    if done.returncode:
        fail("PyTorch is missing: apt-get install python3-torch (or PYTHON=... with it)")
    version, compiles = done.stdout.split()
    return version, compiles == "True"


def peak_of_self():
    import resource
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def work(place, threads, seconds, layout, compiled):
    """Trains for a while; prints images per second and both peaks as JSON."""
    import torch

    import torch_net
    before = peak_of_self()
    torch.set_num_threads(threads)
    net = torch_net.read(place)
    torch.manual_seed(net["seed"])
    images = torch.randn(BATCHES, net["batch_size"], *net["input"])
    labels = torch.randint(net["classes"], (BATCHES, net["batch_size"]))
    module = torch_net.Net(net, inplace=True)
    batches = list(images)
    if layout == "nhwc":
        module = module.to(memory_format=torch.channels_last)
        batches = [x.contiguous(memory_format=torch.channels_last) for x in batches]
    optimizer = torch_net.optimizer_of(net, module.parameters())
    loss_of, run = torch_net.loss_of(net), torch.compile(module) if compiled else module

    def step(i):
        optimizer.zero_grad()
        loss = loss_of(run(batches[i % BATCHES]), labels[i % BATCHES])
        loss.backward()
        torch_net.clip(net, [p for p in module.parameters() if p.grad is not None])
        optimizer.step()
        return loss.item()

    step(0)  # compiles
    done, start = 0, time.perf_counter()
    while done < WARM_UP or time.perf_counter() - start < min(1.0, seconds):
        step(done)
        done += 1
    steps, start = 0, time.perf_counter()
    while True:
        step(steps)
        steps += 1
        passed = time.perf_counter() - start
        if passed >= seconds:
            break
    print(json.dumps({"speed": steps * net["batch_size"] / passed, "peak": peak_of_self(),
                      "without": before}))


def pytorch(place, threads, seconds, layout, compiled):
    environment = dict(os.environ, OMP_NUM_THREADS=str(threads))
    done = subprocess.run([sys.executable, __file__, "--work", place, str(threads), str(seconds),
                           layout, str(int(compiled))], env=environment, capture_output=True,
                          text=True, check=False)
    if done.returncode == 0:
        return json.loads(done.stdout.splitlines()[-1])
    what = f"PyTorch {'compiled' if compiled else 'eager'} {layout}"
    if not compiled:
        fail(f"{what} failed:\n{done.stderr}")
    return {"failed": f"{what}: {(done.stderr.strip().splitlines() or ['no message'])[-1]}"}


# ---- trainer ----

def trainer_path():
    path = pathlib.Path(os.environ.get("TRAINER") or ROOT / "build" / "trainer").absolute()
    if not path.is_file():
        fail(f"{path} is missing: build it with tools/build.sh")
    return str(path)


def run_trainer(arguments):
    """Runs it; what it held at most, in bytes."""
    with tempfile.TemporaryFile() as errors:
        child = subprocess.Popen([trainer_path(), *arguments], stdout=subprocess.DEVNULL,
                                 stderr=errors)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = status
        if status:
            errors.seek(0)
            fail("trainer: " + errors.read().decode(errors="replace").strip())
    return usage.ru_maxrss * 1024


def trainer(settings, threads, seconds, batch, scratch):
    report = pathlib.Path(scratch, "step.json")
    threaded = [*settings, "--threads", str(threads)]
    without = run_trainer([*threaded, "--dry-run", "--quiet"])
    peak = run_trainer(["bench", "step", *threaded, "--seconds", str(seconds), "--json",
                        str(report)])
    microseconds = json.loads(report.read_text())["all_step_microseconds"]
    return {"speed": batch * 1e6 / microseconds, "peak": peak, "without": without}


# ---- turns ----

def settings_of(args):
    settings = ["--config", args.config]
    batch = [f"loader.batch_size={args.batch}"] if args.batch else []
    for value in ["train.accumulate=1", *args.set, *batch]:
        settings += ["--set", value]
    return settings + (["--data", args.data] if args.data else [])


def take_turns(args, net, settings, scratch):
    """{(side, threads): [result of each round]}"""
    results, place = {}, str(pathlib.Path(scratch, "net.json"))
    kinds = [("eager", False)]
    if not args.no_compile and torch_version()[1]:
        kinds.append(("compiled", True))
    for turn in range(args.rounds):
        for threads in args.threads:
            jobs = [(f"PyTorch {kind} {layout}", lambda c=compiled, layout=layout:
                     pytorch(place, threads, args.seconds, layout, c))
                    for kind, compiled in kinds for layout in ("nchw", "nhwc")]
            jobs.append(("trainer", lambda: trainer(settings, threads, args.seconds,
                                                    net["batch_size"], scratch)))
            for side, job in jobs:
                if "failed" in results.get((side, threads), [{}])[-1]:
                    continue
                result = job()
                results.setdefault((side, threads), []).append(result)
                text = result.get("failed") or f"{result['speed']:.0f} images/s"
                print(f"round {turn + 1}, {threads} threads, {side}: {text}", flush=True)
    return {k: v for k, v in results.items() if "failed" not in v[-1]}


def median(results, what):
    return statistics.median(what(result) for result in results)


def speed(result):
    return result["speed"]


def memory(result):
    return result["peak"] - result["without"]


def print_results(args, net, results):
    sides = list(dict.fromkeys(side for side, _ in results))
    print(f"\n{'images/s (memory, MiB)':24}" + "".join(f"{n:>12} thr." for n in args.threads)
          + f"   batch {net['batch_size']}, median of {args.rounds} rounds")
    for side in sides:
        cells = [results.get((side, n)) for n in args.threads]
        print(f"{side:24}" + "".join(
            f"{median(r, speed):>9.0f} {f'({median(r, memory) / MIB:.0f})':>7}" if r else
            f"{'-':>17}" for r in cells))
    ours = {k: v for k, v in results.items() if k[0] == "trainer"}
    theirs = {k: v for k, v in results.items() if k[0] != "trainer"}
    a = max(ours, key=lambda k: median(ours[k], speed))
    b = max(theirs, key=lambda k: median(theirs[k], speed))
    rounds = [x["speed"] / y["speed"] for x, y in zip(ours[a], theirs[b])]
    print(f"speed    {median(ours[a], speed) / median(theirs[b], speed):.2f} times PyTorch's "
          f"(trainer on {a[1]}; {b[0]} on {b[1]} threads; single rounds {min(rounds):.2f} to "
          f"{max(rounds):.2f})")
    b = min(theirs, key=lambda k: median(theirs[k], memory))
    print(f"memory   {median(ours[a], memory) / median(theirs[b], memory):.2f} of PyTorch's: "
          + "; ".join(f"{side} on {n} threads {median(r, lambda x: x['peak']) / MIB:.0f} MiB less "
                      f"{median(r, lambda x: x['without']) / MIB:.0f}"
                      for (side, n), r in ((a, ours[a]), (b, theirs[b]))))


def print_machine():
    name = subprocess.run([trainer_path(), "--version"], capture_output=True, text=True,
                          check=True).stdout.strip()
    cpu = [line.partition(":")[2].strip() for line in open("/proc/cpuinfo", encoding="utf-8")
           if line.startswith("model name")]
    print(f"with     PyTorch {torch_version()[0]}, {name}, {cpu[0] if cpu else 'unknown CPU'}")


def main():
    if sys.argv[1:2] == ["--work"]:
        place, threads, seconds, layout, compiled = sys.argv[2:]
        work(place, int(threads), float(seconds), layout, compiled == "1")
        return
    cpus = len(os.sched_getaffinity(0))
    parser = argparse.ArgumentParser(prog="compare-pytorch.sh", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", nargs="?", default=str(ROOT / "configs" / "lenet.ini"))
    parser.add_argument("--batch", type=int)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--threads", default=f"1 {cpus}" if cpus > 1 else "1")
    parser.add_argument("--data", help="folder of the data set")
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE")
    parser.add_argument("--no-compile", action="store_true")
    args = parser.parse_args()
    try:
        args.threads = [int(word) for word in args.threads.replace(",", " ").split()]
    except ValueError:
        fail("--threads wants numbers, as in --threads '1 2'")
    if args.rounds < 1 or args.seconds <= 0 or not args.threads or min(args.threads) < 1:
        fail("rounds, seconds and threads are at least 1")
    torch_version()
    with tempfile.TemporaryDirectory() as scratch:
        place, settings = str(pathlib.Path(scratch, "net.json")), settings_of(args)
        run_trainer([*settings, "--dry-run", "--quiet", "--json", place])
        net = json.loads(pathlib.Path(place).read_text(encoding="utf-8"))
        print_results(args, net, take_turns(args, net, settings, scratch))
    print_machine()


if __name__ == "__main__":
    main()
