"""Networks drawn at random from all layers, with all of their arguments, for check_random.py.

A network grows layer by layer. What the arguments of a layer are is read from the schemas
(schemas.py); whether a drawn one fits, and what shape it makes, trainer says itself (--dry-run
--json). So a new layer or argument is drawn without a line here. Network i of a seed wants its
share of all pairs of layer and argument first, so that a hundred of them use each pair.
"""
import json
import random
import subprocess

import schemas

BATCHES = (2, 3, 4, 7, 16)
MOST_VALUES = 6000     # of one sample after a layer
SHARES = 33            # so many networks use each pair of layer and argument
ATTEMPTS = 12          # at a layer that is wanted
PARAMETERS = ("weight", "bias")

NUMBERS = {
    "int": (0, 0, 1, 1, 2, 2, 3, 4, 7),             # past the least
    "float": (0, 1e-5, 1e-3, 0.1, 0.25, 0.5, 0.9, 1, 2, 3, -0.5, -1),
}
# What most values of these would not fit, or make no difference: by the argument's name, from the
# shape of the input.
OF_SHAPE = {
    "in_channels": lambda s: [s[0]], "num_channels": lambda s: [s[0]],
    "num_features": lambda s: [s[0]], "in_features": lambda s: [s[0]],
    "num_parameters": lambda s: [1, s[0]],
    "groups": lambda s: [n for n in (1, 2, 3, 4, s[0]) if s[0] % n == 0],
    "num_groups": lambda s: [n for n in (1, 2, 3, 4, s[0]) if s[0] % n == 0],
    "out_channels": lambda s: [1, 3, 4, 8, 12, 16, 17, s[0], 2 * s[0]],
    "out_features": lambda s: [7, 16, 65],
    "kernel_size": lambda s: [1, 2, 3, 3, 3, 5], "stride": lambda s: [1, 1, 1, 2, 3],
    "padding": lambda s: [0, 1, 1, 2], "dilation": lambda s: [1, 1, 2],
    "size": lambda s: [2, 3, 5, 7, 9], "output_size": lambda s: [1, 2, 3, 5],
    "scale_factor": lambda s: [1, 1.5, 2, 0.7], "upscale_factor": lambda s: [1, 2, 3],
    "normalized_shape": lambda s: [",".join(map(str, s[k:])) for k in range(len(s))],
    "unflattened_size": lambda s: [f"{s[0]},1,1", "-1,1,1"] + [
        f"{s[0] // n},{n},1" for n in (2, 3, 4) if s[0] % n == 0],
    "eps": lambda s: [1e-5, 1e-3, 0.1], "divisor_override": lambda s: [1, 3],
}
# Layers that draw random numbers in training: not the numbers of PyTorch's generator.
RANDOM = {"p": "0"}


def text(value):
    return f"{value:g}" if isinstance(value, float) else str(value)


class Layers:
    """The schemas, and how many inputs a layer has been seen to take."""

    def __init__(self, program):
        self.program, self.keys = program, schemas.layers(program)
        self.pairs = sorted((layer, key.name) for layer, keys in self.keys.items()
                            for key in keys.values() if self.matters(key))
        self.pairs += [(layer, None) for layer in sorted(self.keys)]

    @staticmethod
    def matters(key):
        """Initial values do not, those of the reference go over them; nor does an only choice."""
        one_word = key.kind == "choice" and len(key.words) == 1
        return key.kind not in ("any", "path", "class") and not one_word

    def wanted(self, seed, number):
        """This network's share of the pairs."""
        pairs = list(self.pairs)
        random.Random(f"{seed}/{number // SHARES}/pairs").shuffle(pairs)
        return pairs[number % SHARES::SHARES]


class Network:
    """Lines of [network] that fit, and the shapes behind them."""

    def __init__(self, draw, known, place, mode):
        self.draw, self.known, self.place, self.mode = draw, known, place, mode
        self.lines, self.values, self.n = [], [], 0
        self.input = [draw.choice((1, 3, 4)), draw.randint(5, 18), draw.randint(5, 18)]
        self.values = [("input", self.input)]
        self.classes, self.batch = draw.choice((2, 5, 10)), draw.choice(BATCHES)
        self.train = self.settings()

    def settings(self):
        draw = self.draw
        momentum = draw.choice((0, 0.5, 0.9))
        nesterov = momentum > 0 and draw.random() < 0.5
        return ["[loss]", "type = cross_entropy", "[optimizer]", "type = sgd",
                f"lr = {draw.choice((0.001, 0.01, 0.1))}", f"momentum = {momentum}",
                f"nesterov = {str(nesterov).lower()}",
                f"dampening = {0 if nesterov else draw.choice((0, 0.1))}",
                f"weight_decay = {draw.choice((0, 0.0001, 0.05))}",
                f"clip_grad_norm = {draw.choice((0, 0.1, 2))}",
                f"clip_grad_value = {draw.choice((0, 0.001, 0.1))}",
                "[train]", f"seed = {draw.randint(0, 2**31)}"]

    @property
    def shape(self):
        return self.values[-1][1]

    def text(self, lines):
        c, h, w = self.input
        return "\n".join(["[data]", "type = synthetic", "train = 64", "test = 8",
                          f"classes = {self.classes}", f"channels = {c}", f"height = {h}",
                          f"width = {w}", "[loader]", f"batch_size = {self.batch}",
                          "drop_last = true", "[network]", *lines, *self.train]) + "\n"

    def fits(self, line):
        """The layer that trainer makes of the line behind the others, or None."""
        ini, out = self.place.with_suffix(".ini"), self.place.with_suffix(".json")
        rest = ["end.flatten = flatten", f"end.fc = linear out_features={self.classes}"]
        ini.write_text(self.text([*self.lines, line, *rest]), encoding="utf-8")
        done = subprocess.run([self.known.program, "--config", str(ini), "--dry-run", "--quiet",
                               "--json", str(out)], capture_output=True, check=False)
        if done.returncode:
            return None
        layer = json.loads(out.read_text(encoding="utf-8"))["layers"][len(self.lines)]
        size = 1
        for n in layer["output"]:
            size *= n
        return layer if size <= MOST_VALUES else None

    def value(self, key):
        """An argument as text."""
        draw, shape = self.draw, self.shape
        if key.name in RANDOM and self.mode == "train":
            return RANDOM[key.name]
        if key.kind == "bool":
            return draw.choice(("true", "false"))
        if key.kind == "choice" or (key.words and draw.random() < 0.3):
            return draw.choice(key.words)
        if key.kind == "text":
            return ",".join(draw.sample(PARAMETERS, draw.randint(1, 2)))
        low = 0 if key.low is None else key.low
        if key.name in OF_SHAPE:
            numbers = OF_SHAPE[key.name](shape)
        elif key.kind in ("int", "size", "sides"):
            numbers = [int(max(low, -2)) + n for n in NUMBERS["int"]]
        else:
            numbers = NUMBERS["float"]
        numbers = [n for n in numbers if isinstance(n, str)
                   or (key.low is None or key.low <= n <= key.high)] or [low]
        parts = {"size": 2, "numbers": 2, "sides": 4}.get(key.kind, 1)
        if parts == 1 or draw.random() < 0.5:
            return text(draw.choice(numbers))
        return "x".join(text(draw.choice(numbers)) for _ in range(parts))

    def arguments(self, layer, wanted=None):
        chosen = {}
        for key in self.known.keys[layer].values():
            if not self.known.matters(key):
                continue
            fixed = key.name in RANDOM and self.mode == "train"
            if key.required or key.name == wanted or fixed or self.draw.random() < 0.35:
                chosen[key.name] = self.value(key)
            for _ in range(8):  # what is wanted is another value than the default
                if key.name == wanted and chosen[wanted] == key.default:
                    chosen[wanted] = self.value(key)
        return chosen

    def sources(self):
        """The value behind the last line, alone or with others that may go with it."""
        last, shape = self.values[-1]
        if self.draw.random() < 0.5:
            return [last]
        near = [name for name, other in self.values
                if other == shape or other[1:] == shape[1:] or other[1:] == [1, 1]]
        return [last, *self.draw.choices(near, k=self.draw.choice((1, 1, 2)))]

    def add(self, layer, wanted=None):
        """One more layer of that class with drawn arguments; False where it does not fit."""
        name = f"{self.draw.choice(('', 'part.', 'a.b.'))}{layer}{self.n}"
        words = [f"{k}={v}" for k, v in self.arguments(layer, wanted).items()]
        sources = self.sources()
        if len(sources) > 1 or not self.lines:
            words.append("from=" + ",".join(sources))
        return self.append(name, " ".join([f"{name} = {layer}", *words]))

    def append(self, name, line):
        made = self.fits(line)
        if made is None:
            return False
        self.n += 1
        self.lines.append(line)
        self.values.append((name, made["output"]))
        return True

    def grow(self, wanted, count, banned):
        """`count` layers, those with the wanted pairs first; returns the pairs that did not fit."""
        left, added = [], 0
        for layer, key in wanted:
            tries = 0 if layer in banned else ATTEMPTS
            if any(self.add(layer, key) for _ in range(tries)):
                added += 1
            else:
                left.append((layer, key))
        choices = [layer for layer in sorted(self.known.keys) if layer not in banned]
        for _ in range(6 * count):
            if added >= count:
                break
            added += self.add(self.draw.choice(choices))
        return left


def draw_network(seed, number, attempt, known, place, mode):
    """The text of a configuration; it is in the file `place`.ini, too."""
    draw = random.Random(f"{seed}/{number}/{attempt}")
    net = Network(draw, known, place, mode)
    wanted = known.wanted(seed, number)
    draw.shuffle(wanted)
    flattening = [pair for pair in wanted if pair[0] == "flatten"]
    wanted = [pair for pair in wanted if pair[0] != "flatten"]
    if draw.random() < 0.7:
        net.append("first", draw.choice((
            "first = conv2d out_channels=8 kernel_size=3 padding=1",
            "first = batch_norm2d",
            "first = conv2d out_channels=6 kernel_size=3 bias=false")))
    left = net.grow(wanted, draw.randint(3, 8), ("flatten",))
    if len(net.shape) == 3 and draw.random() < 0.5:
        net.add("adaptive_avg_pool2d", "output_size")
    for layer, key in flattening or [("flatten", None)]:
        if not any(net.add(layer, key) for _ in range(ATTEMPTS)):
            net.add("flatten")
    net.grow(left, draw.randint(0, 3), ("flatten",))
    lines = net.lines + ["last.flatten = flatten"] * (len(net.shape) == 3)
    lines += [f"last.fc = linear out_features={net.classes}"]
    config = net.text(lines)
    place.with_suffix(".ini").write_text(config, encoding="utf-8")
    return config


def uses(config, known):
    """The pairs of layer and argument in it that are not at their defaults."""
    found = []
    for line in config.partition("[network]\n")[2].partition("[loss]")[0].splitlines():
        layer, *words = line.partition(" = ")[2].split()
        found.append((layer, None))
        for word in words:
            key, _, value = word.partition("=")
            if key in known.keys[layer] and value != known.keys[layer][key].default:
                found.append((layer, key))
    return found
