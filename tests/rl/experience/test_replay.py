"""The replay against lists of whole games, however it is filled, and exact saving by chunks."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from backbones.training.errors import UserError
from rl.experience import replay as module
from rl.experience.replay import Replay, require_room
from rl.experience.rollout import Rollout
from rl.games.stacks import STACK

CPU = torch.device("cpu")
GAMMA = 0.9


class World:
    """Random games of a few steps, with every kind of ending, as rollouts and as plain lists."""

    def __init__(self, seed, num_envs, shape=(1, 2, 2), dtype=torch.uint8):
        self.rng, self.num_envs, self.shape, self.dtype = (
            np.random.default_rng(seed),
            num_envs,
            shape,
            dtype,
        )
        self.frames = [self.picture() for _ in range(STACK)]
        self.like = torch.stack(self.frames)
        self.age = [torch.zeros(num_envs, dtype=torch.int64)]
        # Of each env step: action, reward, terminated, truncated, over, last frame.
        self.steps = []

    def picture(self):
        drawn = self.rng.integers(1, 256, (self.num_envs, *self.shape))
        return torch.from_numpy(drawn).to(self.dtype)

    def play(self, count):
        """Play a block; return it as the collector does."""
        first, cuts, cut_frames = len(self.steps), [], []
        for t in range(count):
            kind = torch.from_numpy(self.rng.integers(0, 12, self.num_envs))
            terminated, truncated = kind <= 1, kind == 2  # 0: the game is lost, 1: a life
            over = (kind == 0) | truncated
            reward = torch.from_numpy(self.rng.integers(-3, 4, self.num_envs)).float()
            action = torch.from_numpy(self.rng.integers(0, 5, self.num_envs))
            last = self.picture()
            self.frames.append(
                torch.where(over.view(-1, *[1] * len(self.shape)), self.picture(), last)
            )
            self.age.append(torch.where(over, 0, self.age[-1] + 1))
            self.steps.append((action, reward, terminated, terminated | truncated, last))
            for n in truncated.nonzero()[:, 0].tolist():
                cuts.append((t, n))
                cut_frames.append(last[n])
        action, reward, terminated, done = (
            torch.stack(column) for column in list(zip(*self.steps[first:], strict=True))[:4]
        )
        nothing = torch.zeros(0, *self.shape, dtype=self.dtype)
        return Rollout(
            frames=torch.stack(self.frames[first : first + count + STACK]),
            action=action,
            age=torch.stack(self.age[first : first + count + 1]),
            reward=reward,
            terminated=terminated,
            done=done,
            cuts=torch.tensor(cuts, dtype=torch.int64).reshape(-1, 2),
            cut_frames=torch.stack([*cut_frames]) if cuts else nothing,
        )

    def obs(self, step, n, last=None):
        """The K frames up to a step, or to a game's last one after it; zeros before it began."""
        frames = []
        for k in range(STACK):
            back = STACK - 1 - k
            if last is not None:
                frames.append(last if back == 0 else self.shown(step, n, back - 1))
            else:
                frames.append(self.shown(step, n, back))
        return torch.cat(frames)

    def shown(self, step, n, back):
        there = self.age[step][n] >= back
        frame = self.frames[step - back + STACK - 1][n]
        return frame if there else torch.zeros_like(frame)

    def window(self, step, n, n_step):
        """Return (returns, discount, next observation) by walking along."""
        returns = 0.0
        for k in range(n_step):
            _, reward, terminated, done, last = (column[n] for column in self.steps[step + k])
            returns += GAMMA**k * float(reward)
            if terminated:
                return returns, 0.0, None
            if done:
                return returns, GAMMA ** (k + 1), self.obs(step + k, n, last)
        return returns, GAMMA**n_step, self.obs(step + n_step, n)


def hold_against_lists(world, replay, n_step):
    """Compare every transition that can be drawn."""
    positions = torch.tensor(list(replay.drawable), dtype=torch.int64)
    if not len(positions):
        return
    found = replay.transitions(positions, gamma=GAMMA, clip=False)
    for row, position in enumerate(positions.tolist()):
        step, n = divmod(position, world.num_envs)
        returns, discount, next_obs = world.window(step, n, n_step)
        assert torch.equal(found.obs[row], world.obs(step, n))
        assert found.action[row] == world.steps[step][0][n]
        assert_close(float(found.returns[row]), returns, atol=1e-5, rtol=0)
        assert_close(float(found.discount[row]), discount, atol=1e-6, rtol=0)
        if next_obs is not None:
            assert torch.equal(found.next_obs[row], next_obs)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    num_envs=st.integers(1, 3),
    live=st.integers(12, 40),
    n_step=st.integers(1, 5),
    blocks=st.lists(st.integers(1, 7), min_size=1, max_size=25),
    chunk_bytes=st.integers(1, 60),
)
def test_every_transition_is_that_of_the_games_themselves(
    seed, num_envs, live, n_step, blocks, chunk_bytes
):
    world = World(seed, num_envs)
    replay = Replay(live * num_envs, world.like, n_step=n_step, chunk_bytes=chunk_bytes)
    for count in blocks:
        replay.append(world.play(count))
    first, last = max(0, sum(blocks) - live), max(0, sum(blocks) - n_step)
    assert replay.drawable == range(first * num_envs, max(first, last) * num_envs)
    hold_against_lists(world, replay, n_step)


def test_vectors_and_colours_are_kept_like_pictures():
    for shape, dtype in (((3,), torch.float32), ((3, 2, 2), torch.uint8)):
        world = World(5, 2, shape, dtype)
        replay = Replay(40, world.like, n_step=2)
        for _ in range(9):
            replay.append(world.play(5))
        hold_against_lists(world, replay, 2)


def test_clipped_rewards_are_signs():
    world = World(3, 1)
    replay = Replay(30, world.like)
    replay.append(world.play(20))
    positions = torch.arange(19)
    raw = replay.transitions(positions, gamma=GAMMA, clip=False).returns
    assert raw.abs().max() > 1
    assert torch.equal(replay.transitions(positions, gamma=GAMMA, clip=True).returns, raw.sign())


def test_uniform_draws_reach_everything_alike():
    world = World(3, 2)
    replay = Replay(20, world.like, n_step=3)
    for _ in range(5):
        replay.append(world.play(4))
    uniform = torch.rand(20_000, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    drawn, weight = replay.draw(uniform, 0.0)
    assert weight is None
    assert set(drawn.tolist()) == set(replay.drawable) and len(replay.drawable) == 14
    rates = torch.bincount(drawn - replay.drawable.start) / 20_000
    assert_close(rates, torch.full((14,), 1 / 14), atol=0.01, rtol=0)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32), st.lists(st.integers(1, 6), min_size=2, max_size=20))
def test_priorities_follow_their_transitions_round_the_ring(seed, blocks):
    world = World(seed, 2)
    replay = Replay(24, world.like, n_step=2, exponent=1.0, chunk_bytes=8)
    errors = {}  # position -> its last error
    rng = np.random.default_rng(seed)
    for count in blocks:
        replay.append(world.play(count))
        drawable = torch.tensor(list(replay.drawable), dtype=torch.int64)
        if not len(drawable):
            continue
        drawn = replay.draw(torch.from_numpy(rng.random(4000)), 1.0)[0]
        assert set(drawn.tolist()) <= set(drawable.tolist())
        most = float(replay.priorities.largest)
        wanted = torch.tensor([errors.setdefault(p, most) for p in drawable.tolist()])
        leaves = replay.priorities.tree.leaves
        assert_close(leaves[drawable % (replay.rows * 2)].float(), wanted, rtol=1e-5, atol=1e-5)
        assert int((leaves > 0).sum()) == len(drawable)
        update = torch.unique(drawn)[::2]
        error = torch.from_numpy(rng.random(len(update))).float() * 3
        replay.learnt(update, error)
        errors |= dict(zip(update.tolist(), error.tolist(), strict=True))


@pytest.mark.parametrize("exponent", [None, 0.5])
def test_a_replay_goes_on_from_its_chunks_which_are_written_once(exponent):
    world = World(7, 2)

    def make():
        return Replay(70, world.like, n_step=3, exponent=exponent, chunk_bytes=24)

    replay, disk = make(), {}
    for _ in range(25):
        replay.append(world.play(4))
        for name, give in replay.chunks().items():
            written = give()
            # What a name stands for never changes, long after others have overwritten the ring.
            for key, tensor in disk.setdefault(name, written).items():
                assert torch.equal(tensor, written[key])
        again = make()
        again.load(replay.head, replay.state_dict(), disk.__getitem__)
        hold_against_lists(world, again, 3)
        uniform = torch.rand(50, dtype=torch.float64)
        if len(replay.drawable):
            drawn = replay.draw(uniform, 0.5), again.draw(uniform, 0.5)
            assert torch.equal(drawn[0][0], drawn[1][0])
        # The next block finds the same, whichever of the two it is added to.
        replay = again
    assert replay.chunk_rows == 2 and len(replay.chunk_names()) > 18


def test_a_replay_beyond_memory_is_refused_with_what_fits(monkeypatch):
    monkeypatch.setattr(module, "free_bytes", lambda: 8e9)
    with pytest.raises(UserError, match=r"10,000,000 transitions takes 70\.7 GB.*8\.0 GB are free"):
        require_room(10_000_000, 84 * 84, CPU, prioritised=False)
    require_room(1_000_000, 84 * 84, CPU, prioritised=False)
    monkeypatch.setattr(module, "free_bytes", lambda: 1e9)
    with pytest.raises(UserError, match=r"about 12\d,\d\d\d fit \(--buffer-size\)"):
        require_room(1_000_000, 84 * 84, CPU, prioritised=True)


def test_a_million_transitions_take_less_than_7_5_gb():
    frames = torch.empty(1, 16, 1, 84, 84, dtype=torch.uint8, device="meta")
    assert Replay(1_000_000, frames).nbytes < 7.1e9
    assert Replay(1_000_000, frames, exponent=0.5).nbytes < 7.15e9
