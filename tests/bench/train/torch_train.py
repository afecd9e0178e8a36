"""Whole training steps in PyTorch:  torch_train.py ARCHITECTURE BATCH THREADS plain|channels_last SECONDS

Forward pass, cross-entropy, backward pass, SGD with Nesterov's momentum, on random 32x32 images. Prints the images a
second of the median step, by the clock and by the processor time of all threads.
"""

import sys
import time

import torch
from torch import nn
from torch.nn import functional as F


class Basic(nn.Module):
    def __init__(self, i, o, stride):
        super().__init__()
        self.c1, self.b1 = nn.Conv2d(i, o, 3, stride, 1, bias=False), nn.BatchNorm2d(o)
        self.c2, self.b2 = nn.Conv2d(o, o, 3, 1, 1, bias=False), nn.BatchNorm2d(o)
        self.pad = (o - i) // 2
        self.stride = stride

    def forward(self, x):
        y = self.b2(self.c2(F.relu(self.b1(self.c1(x)))))
        if self.pad:
            x = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.pad, self.pad))
        return F.relu(y + x)


def resnet(depth):
    blocks = (depth - 2) // 6
    layers, i = [nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU()], 16
    for o, stride in ((16, 1), (32, 2), (64, 2)):
        for k in range(blocks):
            layers.append(Basic(i, o, stride if k == 0 else 1))
            i = o
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


class Inverted(nn.Module):
    def __init__(self, i, o, expand, stride):
        super().__init__()
        wide, layers = i * expand, []
        if expand > 1:
            layers += [nn.Conv2d(i, wide, 1, bias=False), nn.BatchNorm2d(wide), nn.ReLU6()]
        layers += [nn.Conv2d(wide, wide, 3, stride, 1, groups=wide, bias=False), nn.BatchNorm2d(wide), nn.ReLU6()]
        layers += [nn.Conv2d(wide, o, 1, bias=False), nn.BatchNorm2d(o)]
        self.layers = nn.Sequential(*layers)
        self.shortcut = stride == 1 and i == o

    def forward(self, x):
        y = self.layers(x)
        return x + y if self.shortcut else y


def mobilenet_v2():
    layers, i = [nn.Conv2d(3, 32, 3, 1, 1, bias=False), nn.BatchNorm2d(32), nn.ReLU6()], 32
    for expand, o, n, stride in ((1, 16, 1, 1), (6, 24, 2, 1), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1),
                                 (6, 160, 3, 2), (6, 320, 1, 1)):
        for k in range(n):
            layers.append(Inverted(i, o, expand, stride if k == 0 else 1))
            i = o
    layers += [nn.Conv2d(i, 1280, 1, bias=False), nn.BatchNorm2d(1280), nn.ReLU6()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1280, 10))


def main():
    name, batch, threads, mode, seconds = sys.argv[1:6]
    torch.set_num_threads(int(threads))
    model = mobilenet_v2() if name == "mobilenet-v2" else resnet(int(name.split("-")[1]))
    x, labels = torch.randn(int(batch), 3, 32, 32), torch.randint(0, 10, (int(batch),))
    if mode == "channels_last":
        model, x = model.to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last)
    model.train()
    sgd = torch.optim.SGD(model.parameters(), 0.01, 0.9, weight_decay=5e-4, nesterov=True)
    took, cpu, begin = [], [], None
    while begin is None or time.time() - begin < float(seconds) or len(took) < 3:
        if len(took) == 2 and begin is None:
            took, cpu, begin = [], [], time.time()
        at, cpu_at = time.time(), time.process_time()
        sgd.zero_grad()
        F.cross_entropy(model(x), labels).backward()
        sgd.step()
        took.append(time.time() - at)
        cpu.append(time.process_time() - cpu_at)
    print("%.1f %.1f" % (int(batch) / sorted(took)[len(took) // 2], int(batch) / sorted(cpu)[len(cpu) // 2]))


main()
