"""Initial values of trainer by torch.nn.init: what weight_init and bias_init of a layer mean."""
import torch
from torch import nn


def overlay(weight):
    nn.init.dirac_(weight[:weight.size(1)])


def keep(parameter, **given):
    """The layer's default. Filters of whiten are made of the training images, which nobody has
    here: they come from a file of trainer's."""


# The word of a configuration -> a function of the parameter and the arguments.
INITS = {"constant": nn.init.constant_, "default": keep, "dirac": nn.init.dirac_,
         "dirac_overlay": overlay, "kaiming_normal": nn.init.kaiming_normal_,
         "kaiming_uniform": nn.init.kaiming_uniform_, "normal": nn.init.normal_,
         "ones": nn.init.ones_, "orthogonal": nn.init.orthogonal_,
         "trunc_normal": nn.init.trunc_normal_, "uniform": nn.init.uniform_, "whiten": keep,
         "xavier_normal": nn.init.xavier_normal_, "xavier_uniform": nn.init.xavier_uniform_,
         "zeros": nn.init.zeros_}


def initialise(parameters, layers):
    """What is chosen for the parameters of the layers, by layer, the weight before the bias.
    parameters: by their names; layers: as --dry-run --json describes them."""
    with torch.no_grad():
        for layer in layers:
            for key in ("weight", "bias"):
                chosen = layer["arguments"].get(key + "_init")
                parameter = parameters.get(f"{layer['name']}.{key}")
                if chosen and parameter is not None:
                    INITS[chosen["class"]](parameter, **chosen["arguments"])
