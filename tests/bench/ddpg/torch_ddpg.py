"""The update of ddpg.c in PyTorch on one thread: DDPG as AMC runs it (critic fc11(s) + fc12(a)); the batch is there
as tensors already. Prints the best of several rounds in microseconds."""
import time

import torch
from torch import nn

S, H, N, ROUNDS, UPDATES, TAU = 10, 300, 64, 10, 50, 0.01
torch.set_num_threads(1)
torch.manual_seed(1)


class Actor(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1, self.fc2, self.fc3 = nn.Linear(S, H), nn.Linear(H, H), nn.Linear(H, 1)

    def forward(self, s):
        h = torch.relu(self.fc1(s))
        h = torch.relu(self.fc2(h))
        return torch.sigmoid(self.fc3(h))


class Critic(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc11, self.fc12, self.fc2, self.fc3 = nn.Linear(S, H), nn.Linear(1, H), nn.Linear(H, H), nn.Linear(H, 1)

    def forward(self, s, a):
        h = torch.relu(self.fc11(s) + self.fc12(a))
        h = torch.relu(self.fc2(h))
        return self.fc3(h)


actor, actor_target, critic, critic_target = Actor(), Actor(), Critic(), Critic()
actor_target.load_state_dict(actor.state_dict())
critic_target.load_state_dict(critic.state_dict())
actor_adam = torch.optim.Adam(actor.parameters(), lr=1e-4)
critic_adam = torch.optim.Adam(critic.parameters(), lr=1e-3)
s, s2, a, r = torch.rand(N, S), torch.rand(N, S), torch.rand(N, 1), torch.randn(N, 1)
going = (torch.arange(N) % 10 != 0).float().unsqueeze(1)


def follow(target, net):
    with torch.no_grad():
        for t, p in zip(target.parameters(), net.parameters()):
            t.copy_(t * (1 - TAU) + p * TAU)


def update():
    with torch.no_grad():
        y = r + going * critic_target(s2, actor_target(s2))
    critic_adam.zero_grad()
    nn.functional.mse_loss(critic(s, a), y).backward()
    critic_adam.step()
    actor_adam.zero_grad()
    (-critic(s, actor(s)).mean()).backward()
    actor_adam.step()
    follow(actor_target, actor)
    follow(critic_target, critic)


best = float("inf")
for _ in range(ROUNDS):
    start = time.perf_counter()
    for _ in range(UPDATES):
        update()
    best = min(best, (time.perf_counter() - start) / UPDATES)
print(f"{best * 1e6:.1f} torch {torch.__version__}")
