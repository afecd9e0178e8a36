"""Makes schedule.txt: rates of PyTorch's schedulers, set at each step. For each case a line
`schedule lr warmup drop n_drops drop_at... steps per_epoch`, then the rates."""
import torch
from torch.optim import lr_scheduler as S

cases = [
    ("cosine", 0.1, 0, 0.1, [], 50, 10),
    ("cosine", 0.4, 1, 0.1, [], 60, 12),
    ("step", 0.1, 0, 0.1, [2, 4], 50, 10),
    ("step", 0.05, 0.5, 0.2, [1.5, 2, 3.75], 32, 8),
    ("constant", 0.01, 2, 0.1, [], 30, 5),
    ("constant", 0.01, 0, 0.1, [], 7, 7),
]
with open("schedule.txt", "w") as f:
    for kind, lr, warmup, drop, drops, steps, per_epoch in cases:
        opt = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr)
        warm = round(warmup * per_epoch)
        parts = []
        if kind == "cosine":
            parts = [S.CosineAnnealingLR(opt, steps - warm)]
        if kind == "step":
            parts = [S.MultiStepLR(opt, [round(d * per_epoch) - warm for d in drops], drop)]
        if kind == "constant":
            parts = [S.ConstantLR(opt, 1, 0)]
        if warm:  # from lr/warm to lr
            rise = S.LambdaLR(opt, lambda i: (i + 1) / warm)
            sched = S.SequentialLR(opt, [rise] + parts, [warm])
        else:
            sched = parts[0]
        rates = []
        for _ in range(steps):
            rates.append(opt.param_groups[0]["lr"])
            opt.step()
            sched.step()
        print(kind, lr, warmup, drop, len(drops), *drops, steps, per_epoch, file=f)
        print(" ".join(f"{r:.17g}" for r in rates), file=f)
