"""What a learner says is saved: bulk comes in chunks, written once and linked afterwards."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import torch

from backbones.training import checkpoint
from backbones.training.config import RunConfig, changed
from backbones.training.distributed import World
from rl import ppo
from rl.experience.learner import LearnerState, RolloutLearner
from rl.training import AgentJob, Training

TINY = changed(
    ppo.SMOKE, env="Arcadia/Catch-v0", run=RunConfig(precision="fp32"), num_envs=2, num_steps=32
)


class Remembers(ppo.Learner):
    """PPO that keeps the actions of every rollout, as a replay keeps its frames."""

    def __init__(self, *args):
        super().__init__(*args)
        self.replay, self.written = [], []

    def learn(self, rollout, pool=None):
        self.replay.append(rollout.action.clone())
        return super().learn(rollout, pool)

    def give(self, k):
        self.written.append(k)
        return {"action": self.replay[k]}

    def state(self):
        chunks = {f"replay-{k:06d}": partial(self.give, k) for k in range(len(self.replay))}
        tensors, info, _ = super().state()
        return LearnerState(tensors, {**info, "replay": list(chunks)}, chunks)

    def load_state(self, tensors, info, read_chunk):
        super().load_state(tensors, info, read_chunk)
        self.replay = [read_chunk(name)["action"] for name in info["replay"]]


JOB = AgentJob("ppo", ppo.PRESETS, ppo.build_network, Remembers)


def test_chunks_are_written_once_linked_later_and_read_back(tmp_path):
    training = Training(JOB, TINY, World())
    training.start()
    learner = training.learner
    assert isinstance(learner, RolloutLearner)
    folders = []
    with ThreadPoolExecutor(1) as pool:
        for _ in range(2):
            training.advance(pool)
            made = training.checkpoint()
            folders.append(
                checkpoint.save(
                    tmp_path, made.progress, made.parts, made.info, made.metadata, made.chunks
                )
            )
    assert learner.written == [0, 1]
    first, second = ((folder / "replay-000000.safetensors").stat() for folder in folders)
    assert first.st_ino == second.st_ino
    assert not (folders[0] / "replay-000001.safetensors").exists()

    again = Training(JOB, TINY, World())
    assert again.restore(checkpoint.load_newest(tmp_path)[0]) == []
    assert len(again.learner.replay) == 2 and again.learner.rollouts == 2
    for mine, theirs in zip(again.learner.replay, learner.replay, strict=True):
        assert torch.equal(mine, theirs)
    for name, tensor in again.learner.state().tensors.items():
        assert torch.equal(tensor, learner.state().tensors[name]), name
