"""Makes sgd.txt: trajectories of torch.optim.SGD over a convolution without a bias, a BN and a Gemm, where weight
decay is on the two weights alone or on all. First line: cases, steps, floats of conv, of BN's scale (as of its
shift), of gemm's w, of its b; then the start; then for each case a line `nesterov momentum decay decay_all lr` and
for each step the gradients, then the parameters after it, all in that order."""
import torch

torch.manual_seed(5)
sizes = [2 * 3 * 9, 2, 2, 2 * 5, 5]  # conv, scale, shift, w, b
steps = 6
start = [torch.randn(n) for n in sizes]
cases = [(1, 0.9, 5e-4, 0, 0.1), (0, 0.9, 1e-2, 0, 0.05), (1, 0.8, 0.1, 1, 0.2), (0, 0, 0.3, 0, 0.1)]


def line(t):
    return " ".join(f"{x:.9g}" for x in t.tolist())


with open("sgd.txt", "w") as f:
    print(len(cases), steps, sizes[0], sizes[1], sizes[3], sizes[4], file=f)
    print(line(torch.cat(start)), file=f)
    for nesterov, momentum, decay, decay_all, lr in cases:
        params = [torch.nn.Parameter(t.clone()) for t in start]
        weights, others = [params[0], params[3]], [params[1], params[2], params[4]]
        groups = [{"params": weights}, {"params": others, "weight_decay": decay if decay_all else 0}]
        sgd = torch.optim.SGD(groups, lr=lr, momentum=momentum, nesterov=bool(nesterov), weight_decay=decay)
        print(nesterov, momentum, decay, decay_all, lr, file=f)
        for i in range(steps):
            if i == 3:  # the rate changes on the way
                for group in sgd.param_groups:
                    group["lr"] = lr / 10
            for p in params:
                p.grad = torch.randn(p.numel())
            sgd.step()
            print(line(torch.cat([p.grad for p in params])), file=f)
            print(line(torch.cat([p.data for p in params])), file=f)
