"""Golden values for tests/unit/autograd_golden.c: ten steps of SGD of two small nets in PyTorch.

    /usr/bin/python3 tests/golden/steps.py > tests/golden/steps.txt

Weights, images and labels come from formulas that the test has, too. Prints a line a step with its loss, and after
the last step a line a weight array: its norm, and its products with two fixed vectors.
"""

import torch
from torch.nn import functional as F

BATCH, PIXELS, CLASSES, STEPS = 12, 12, 7, 10
LR, MOMENTUM, DECAY = 0.05, 0.9, 5e-3


def noise(n, seed):
    """n numbers in [-0.5, 0.5) from integers alone."""
    i = torch.arange(n, dtype=torch.int64)
    return (((i * 7919 + seed * 104729 + (i * i) % 1013 * 31) % 10007).double() / 10007 - 0.5).float()


class Net:
    """Weights in the order in which the forward pass asks for them first."""

    def __init__(self):
        self.weights, self.decays, self.at = [], [], 0

    def param(self, shape, fill, decay):
        if self.at == len(self.weights):
            self.weights.append(fill.reshape(shape).clone().requires_grad_(True))
            self.decays.append(decay)
        self.at += 1
        return self.weights[self.at - 1]

    def drawn(self, shape, scale):
        n = 1
        for s in shape:
            n *= s
        return self.param(shape, noise(n, len(self.weights) + 1) * scale, True)

    def conv(self, x, k, r, stride=1, groups=1):
        c = x.shape[1] // groups
        w = self.drawn((k, c, r, r), 2.0 / (c * r * r) ** 0.5)
        return F.conv2d(x, w, None, stride, r // 2, 1, groups)

    def bn(self, x):
        c = x.shape[1]
        w = self.param((c,), torch.ones(c) + noise(c, 77) * 0.5, False)
        b = self.param((c,), noise(c, 78) * 0.5, False)
        return F.batch_norm(x, None, None, w, b, True, 0.1, 1e-5)

    def tail(self, x):
        x = x.mean((2, 3))
        w = self.drawn((CLASSES, x.shape[1]), 1.0)
        return F.linear(x, w, self.param((CLASSES,), torch.zeros(CLASSES), False))


def resnet(n, x):
    def block(x, k, stride):
        y = n.bn(n.conv(F.relu(n.bn(n.conv(x, k, 3, stride))), k, 3))
        pad = (k - x.shape[1]) // 2
        return F.relu(y + (F.pad(x[:, :, ::stride, ::stride], (0, 0, 0, 0, pad, pad)) if pad else x))

    x = F.relu(n.bn(n.conv(x, 16, 3)))
    return n.tail(block(block(block(x, 16, 1), 32, 2), 32, 1))


def mobilenet(n, x):
    def block(x, k, stride):
        c = x.shape[1]
        y = F.relu6(n.bn(n.conv(x, 3 * c, 1)))
        y = F.relu6(n.bn(n.conv(y, 3 * c, 3, stride, 3 * c)))
        y = n.bn(n.conv(y, k, 1))
        return x + y if stride == 1 and k == c else y

    x = F.relu6(n.bn(n.conv(x, 16, 3)))
    x = block(block(block(x, 24, 2), 24, 1), 20, 1)
    return n.tail(F.relu6(n.bn(n.conv(x, 40, 1))))


def main():
    torch.set_num_threads(1)
    x = noise(BATCH * 3 * PIXELS * PIXELS, 1000).reshape(BATCH, 3, PIXELS, PIXELS) * 4
    labels = torch.arange(BATCH) * 5 % CLASSES
    for name, net in (("resnet", resnet), ("mobilenet", mobilenet)):
        n, sgd = Net(), None
        for step in range(STEPS):
            n.at = 0
            loss = F.cross_entropy(net(n, x), labels)
            if sgd is None:
                groups = [{"params": [w for w, d in zip(n.weights, n.decays) if d], "weight_decay": DECAY},
                          {"params": [w for w, d in zip(n.weights, n.decays) if not d], "weight_decay": 0}]
                sgd = torch.optim.SGD(groups, LR, MOMENTUM, nesterov=True)
            sgd.zero_grad()
            loss.backward()
            sgd.step()
            print("%s loss %.8g" % (name, loss.item()))
        for w in n.weights:
            v = w.detach().double().flatten()
            print("%s weights %d %.8g %.8g %.8g" % (name, len(v), v.norm(), v @ noise(len(v), 501).double(),
                                                    v @ noise(len(v), 502).double()))


main()
