"""Makes adam.txt: a trajectory of torch.optim.Adam (lr 1e-3) over 8 parameters and 40 steps. First line: the sizes;
then the start; then for each step the gradient and the parameters after it."""
import torch

torch.manual_seed(7)
n, steps = 8, 40
p = torch.nn.Parameter(torch.randn(n))
adam = torch.optim.Adam([p], lr=1e-3)


def line(t):
    return " ".join(f"{x:.9g}" for x in t.tolist())


with open("adam.txt", "w") as f:
    print(n, steps, file=f)
    print(line(p.data), file=f)
    for i in range(steps):
        p.grad = torch.randn(n) * 10 ** torch.linspace(-6, 2, n)
        if i % 7 == 3:
            p.grad[2] = 0
        adam.step()
        print(line(p.grad), file=f)
        print(line(p.data), file=f)
