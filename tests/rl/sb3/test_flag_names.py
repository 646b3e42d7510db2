"""The names of stable-baselines3, its zoo and CleanRL: each means one setting, or is refused."""

import inspect

import pytest

import arcadia
from backbones.training.checks.typed import field_types
from backbones.training.find_job import load_job, parse_flags
from rl.sb3.flag_names import OTHER_NAMES

AGENTS = [name for name, entry in arcadia.JOBS.items() if entry.kind == "agent"]


def read(job: str, *args: str):
    return parse_flags(load_job(job), args, "arcadia")[0]


def test_a_command_of_the_others_trains_the_same():
    theirs = "--env-id ALE/Breakout-v5 --total-timesteps 1e5 --n-envs 8 --n-steps 128 --n-epochs 3"
    theirs += " --batch-size 512 --ent-coef 0.02 --clip-range 0.2 --vf-coef 0.7 --clip-vloss True"
    ours = "--env ALE/Breakout-v5 --total-steps 100000 --num-envs 8 --num-steps 128 --num-epochs 3"
    ours += " --minibatch-size 512 --entropy-coef 0.02 --clip 0.2 --value-coef 0.7 --clip-values"
    assert read("ppo", *theirs.split()) == read("ppo", *ours.split())
    theirs = "--exploration-fraction 0.2 --exploration-final-eps 0.05 --target-update-interval 500"
    ours = "--epsilon-fraction 0.2 --epsilon 0.05 --target-every 500"
    for job in ("dqn", "sb3-dqn"):
        assert read(job, *theirs.split()) == read(job, *ours.split())
    assert read("dqn", "--n-steps", "2").n_step == 2


def test_every_name_means_a_setting_that_some_agent_has_or_says_what_to_give():
    settings = {name for job in AGENTS for name in field_types(load_job(job).config_type)}
    for name, meaning in OTHER_NAMES.items():
        assert name not in settings, f"{name} is a setting of ours"
        assert (meaning.setting in settings) != bool(meaning.why_not), name


def test_what_stable_baselines3_s_ppo_takes_is_known_here():
    from stable_baselines3 import PPO

    # What has no meaning for pixels, or belongs to Python.
    left_out = {"self", "env", "use_sde", "sde_sample_freq", "rollout_buffer_class", "verbose"}
    left_out |= {"rollout_buffer_kwargs", "stats_window_size", "tensorboard_log", "policy_kwargs"}
    left_out |= {"_init_setup_model"}
    known = {*field_types(load_job("ppo").config_type), *OTHER_NAMES}
    assert {*inspect.signature(PPO.__init__).parameters} - left_out <= known


@pytest.mark.parametrize("job", arcadia.JOBS)
def test_every_preset_is_described(job):
    assert list(arcadia.JOBS[job].presets) == list(load_job(job).presets)
    assert all(arcadia.JOBS[job].presets.values())
