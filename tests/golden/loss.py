"""Makes loss.txt: training losses and their gradients by PyTorch, in double. First line: N, K; then the logits, the
teacher's logits and the labels; then for each case a line `smoothing kind weight temperature alpha beta`, a line
`total labels teacher` and the gradient with respect to the logits. Decoupled distillation is written out after Zhao
et al. 2022, equations 3 to 7: b = (p_t, 1 - p_t), p^ = p without the target, renormalised."""
import torch
import torch.nn.functional as F

torch.manual_seed(11)
N, K = 5, 7
logits = (torch.randn(N, K) * 3).float().double().requires_grad_()
teacher = (torch.randn(N, K) * 4).float().double()
labels = torch.tensor([0, 6, 3, 3, 1])


def kl(z, t, T):
    return T * T * torch.nn.KLDivLoss(reduction="batchmean")(F.log_softmax(z / T, 1), F.softmax(t / T, 1))


def dkd(z, t, T, alpha, beta):
    p, q = F.softmax(z / T, 1), F.softmax(t / T, 1)
    total = 0
    for n in range(N):
        y = labels[n]
        rest = [k for k in range(K) if k != y]
        b_p, b_q = torch.stack([p[n, y], 1 - p[n, y]]), torch.stack([q[n, y], 1 - q[n, y]])
        hat_p, hat_q = p[n, rest] / (1 - p[n, y]), q[n, rest] / (1 - q[n, y])
        tckd = (b_q * (b_q / b_p).log()).sum()
        nckd = (hat_q * (hat_q / hat_p).log()).sum()
        total = total + alpha * tckd + beta * nckd
    return T * T * total / N


cases = [(s, "none", 0.9, 4, 1, 1) for s in (0, 0.1, 1)]
cases += [(0, "kl", 0.9, 4, 1, 1), (0.1, "kl", 0.5, 1, 1, 1), (0, "kl", 1, 2.5, 1, 1)]
cases += [(0, "mse", 0.3, 1, 1, 1), (0.2, "mse", 1, 1, 1, 1)]
cases += [(0, "dkd", 1, 4, 1, 8), (0.1, "dkd", 0.7, 2, 0.5, 0), (0, "dkd", 2, 1, 0, 1.5), (0, "dkd", 1, 3, 2, 2)]


def line(t):
    return " ".join(f"{x:.17g}" for x in t.flatten().tolist())


with open("loss.txt", "w") as f:
    print(N, K, file=f)
    print(line(logits), file=f)
    print(line(teacher), file=f)
    print(*labels.tolist(), file=f)
    for s, kind, weight, T, alpha, beta in cases:
        ce = F.cross_entropy(logits, labels, label_smoothing=s)
        other = {
            "none": lambda: torch.zeros(()).double(),
            "kl": lambda: kl(logits, teacher, T),
            "mse": lambda: F.mse_loss(logits, teacher),
            "dkd": lambda: dkd(logits, teacher, T, alpha, beta),
        }[kind]()
        total = {"none": ce, "dkd": ce + weight * other}.get(kind, (1 - weight) * ce + weight * other)
        print(s, kind, weight, T, alpha, beta, file=f)
        print(line(torch.stack([total, ce, other])), file=f)
        print(line(torch.autograd.grad(total, logits)[0]), file=f)
