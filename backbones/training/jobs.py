"""Every job: the module that it lives in, and what it is. Strings only, so that `--help` is quick.

A run's config.json names its job, and a run may come from anybody: this table alone says which
module is imported for it.
"""

from backbones.training.errors import UserError

# job: (module, what it is)
JOBS = {
    "ppo": ("rl.ppo", "PPO agents on Atari, or any game seen as pixels"),
    "sb3-ppo": ("rl.sb3.ppo", "stock PPO of stable-baselines3 on our environments and trunks"),
    "sb3-a2c": ("rl.sb3.a2c", "stock A2C of stable-baselines3"),
    "sb3-dqn": ("rl.sb3.dqn", "stock DQN of stable-baselines3"),
    "classify": ("tasks.labels.classify", "image classification: MNIST, CIFAR-10, class folders"),
    "translate": ("tasks.words.translate", "translation of text, line by line"),
}


def package_of(job: str) -> str:
    """Return `rl` for the job of an agent, `tasks` for one of a task, "" for an unknown one."""
    return JOBS[job][0].split(".")[0] if job in JOBS else ""


def module_of_agent(run: str, job: str) -> str:
    """Return the module of an agent's job; UserError, with the run's name, for any other."""
    if package_of(job) != "rl":
        raise UserError(f"{run} is a run of the job {job!r}, which plays no games")
    return JOBS[job][0]


def module_of_task(run: str, job: str) -> str:
    """Return the module of a task's job; UserError, with the run's name, for any other."""
    if package_of(job) == "rl":
        raise UserError(
            f"{run} is an agent ({job}), which predicts nothing of files; `arcadia watch {run}` "
            f"shows it playing, `arcadia eval {run}` scores it"
        )
    if not package_of(job):
        raise UserError(f"{run} is a run of the job {job!r}; choose one of {', '.join(JOBS)}")
    return JOBS[job][0]
