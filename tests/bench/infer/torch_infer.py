"""The same network in PyTorch on one thread:  torch_infer.py FILE.onnx SECONDS MODE BATCH...

MODE is eager, channels_last or frozen (torch.jit.freeze, optimize_for_inference). Prints "BATCH RATE CPU_RATE" a
batch size, in images a second of wall and of processor time. The network is rebuilt from the ONNX file's nodes,
which covers what plain and residual CNNs need.
"""

import linecache
import sys
import time

import numpy as np
import onnx
from onnx import numpy_helper
import torch
from torch import nn
from torch.nn import functional as F


def attributes(node):
    return {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}


def both_ends(pads):
    if pads[:2] != pads[2:]:
        raise SystemExit("asymmetric padding %s isn't supported here" % pads)
    return list(pads[:2])


class Rebuilt(nn.Module):
    """Runs the nodes in order; what is constant was computed when it was built."""

    def __init__(self, model):
        super().__init__()
        self.steps = []
        weights = {t.name: torch.from_numpy(numpy_helper.to_array(t).copy()) for t in model.graph.initializer}
        self.layers = nn.ModuleDict()
        for i, node in enumerate(model.graph.node):
            self.steps.append((str(i), self.build(str(i), node, weights), list(node.input), node.output[0]))
        self.entry = [v.name for v in model.graph.input if v.name not in weights][0]
        self.exit = model.graph.output[0].name

    def build(self, key, node, weights):
        a = attributes(node)
        if node.op_type == "Constant":
            weights[node.output[0]] = torch.from_numpy(numpy_helper.to_array(a["value"]).copy())
            return None
        if node.op_type == "Conv":
            w = weights[node.input[1]]
            layer = nn.Conv2d(w.shape[1] * a.get("group", 1), w.shape[0], w.shape[2:], a.get("strides", [1, 1]),
                              both_ends(a.get("pads", [0, 0, 0, 0])), a.get("dilations", [1, 1]), a.get("group", 1),
                              bias=len(node.input) > 2)
            layer.weight.data = w
            if len(node.input) > 2:
                layer.bias.data = weights[node.input[2]]
        elif node.op_type == "BatchNormalization":
            s, b, mean, var = (weights[n] for n in node.input[1:])
            layer = nn.BatchNorm2d(len(s), eps=a.get("epsilon", 1e-5))
            layer.weight.data, layer.bias.data, layer.running_mean, layer.running_var = s, b, mean, var
        elif node.op_type == "Gemm":
            w = weights[node.input[1]]
            w = w if a.get("transB", 0) else w.t().contiguous()
            layer = nn.Linear(w.shape[1], w.shape[0])
            layer.weight.data, layer.bias.data = w, weights[node.input[2]]
        elif node.op_type == "Relu":
            layer = nn.ReLU()
        elif node.op_type in ("AveragePool", "GlobalAveragePool"):
            whole = "kernel_shape" not in a
            layer = nn.AdaptiveAvgPool2d(1) if whole else nn.AvgPool2d(a["kernel_shape"], a.get("strides"))
        elif node.op_type == "Identity":
            if node.input[0] in weights:
                weights[node.output[0]] = weights[node.input[0]]
                return None
            return "{0}"
        elif node.op_type in ("Add", "Flatten", "Reshape", "Slice", "Pad"):
            return functional(node, a, weights)
        else:
            raise SystemExit("operator %s isn't supported here" % node.op_type)
        self.layers[key] = layer
        return None

    def source(self):
        """As straight Python text, so that TorchScript sees plain calls."""
        names, lines = {self.entry: "x"}, []
        for key, text, inputs, output in self.steps:
            if text is None and key not in self.layers:
                continue
            args = [names[n] for n in inputs if n in names]
            names[output] = "v%s" % key
            call = "self.l%s(%s)" % (key, args[0]) if text is None else text.format(*args)
            lines.append("        v%s = %s\n" % (key, call))
        return "class Straight(torch.nn.Module):\n    def forward(self, x):\n%s        return %s\n" % (
            "".join(lines), names[self.exit])

    def straight(self):
        scope = {"torch": torch, "F": F}
        path = "<straight>"
        text = self.source()
        linecache.cache[path] = (len(text), None, text.splitlines(True), path)
        exec(compile(text, path, "exec"), scope)
        net = scope["Straight"]()
        for key, layer in self.layers.items():
            net.add_module("l" + key, layer)
        return net.eval()


def functional(node, a, weights):
    def ints(i):
        return [int(v) for v in weights[node.input[i]].flatten()]

    if node.op_type == "Add":
        return "{0} + {1}"
    if node.op_type in ("Flatten", "Reshape"):
        return "torch.flatten({0}, 1)"
    if node.op_type == "Slice":
        axes = ints(3)
        steps = ints(4) if len(node.input) > 4 else [1] * len(axes)
        cut = ["", "", "", ""]
        for start, end, axis, step in zip(ints(1), ints(2), axes, steps):
            cut[axis] = "%d:%d:%d" % (start, min(end, 2 ** 31 - 1), step)
        return "{0}[" + ", ".join(c or ":" for c in cut) + "]"
    p = ints(1)
    return "F.pad({0}, (%d, %d, %d, %d, %d, %d))" % (p[3], p[7], p[2], p[6], p[1], p[5])


def rate(net, x, seconds):
    with torch.inference_mode():
        for _ in range(3):
            net(x)
        begin, cpu, passes = time.perf_counter(), time.process_time(), 0
        while True:
            net(x)
            passes += 1
            spent = time.perf_counter() - begin
            if spent >= seconds and passes >= 3:
                images = passes * x.shape[0]
                return "%.1f %.1f" % (images / spent, images / (time.process_time() - cpu))


def main():
    path, seconds, mode = sys.argv[1], float(sys.argv[2]), sys.argv[3]
    torch.set_num_threads(1)
    model = onnx.load(path)
    net = Rebuilt(model).straight()
    dims = [d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim][1:]
    for batch in (int(b) for b in sys.argv[4:]):
        x = torch.from_numpy(np.random.default_rng(1).standard_normal([batch] + dims, dtype=np.float32))
        run = net
        if mode == "channels_last":
            x, run = x.to(memory_format=torch.channels_last), net.to(memory_format=torch.channels_last)
        if mode == "frozen":
            with torch.no_grad():
                run = torch.jit.optimize_for_inference(torch.jit.freeze(torch.jit.trace(net, x)))
        print(batch, rate(run, x, seconds), flush=True)


main()
