"""What stable-baselines3, rl-baselines3-zoo and CleanRL call the settings of our agents.

Only names that differ from ours are here. Where two of them mean different things by one name, it
means what stable-baselines3 means, and using it says so.
"""

from backbones.training.checks.typed import Meaning

NO_TARGET_AVERAGE = "the target network is a copy, made every --target-every env steps"

OTHER_NAMES = {
    # The game and the length of the run.
    "env_id": Meaning("env"),
    "total_timesteps": Meaning("total_steps"),
    "n_timesteps": Meaning("total_steps"),
    "n_envs": Meaning("num_envs"),
    "n_steps": Meaning("num_steps"),
    "exp_name": Meaning("name"),
    "num_threads": Meaning("threads"),
    "eval_freq": Meaning("eval_every"),
    "n_eval_episodes": Meaning("eval_games"),
    "eval_episodes": Meaning("eval_games"),
    "cuda": Meaning("device", switch=("auto", "cpu")),
    # Learning from rollouts.
    "n_epochs": Meaning("num_epochs"),
    "update_epochs": Meaning("num_epochs"),
    "batch_size": Meaning("minibatch_size"),
    "anneal_lr": Meaning("anneal_from", switch=(0.0, 1.0)),
    "ent_coef": Meaning("entropy_coef"),
    "vf_coef": Meaning(
        "value_coef",
        note="taken as stable-baselines3's, the weight of the mean squared error; CleanRL's PPO "
        "halves that error first, so its number means half of this",
    ),
    "clip_range": Meaning("clip"),
    "clip_coef": Meaning("clip"),
    "clip_vloss": Meaning("clip_values"),
    "normalize_rewards": Meaning("normalise_rewards"),
    "norm_reward": Meaning("normalise_rewards"),
    "normalize_over": Meaning("normalise_over"),
    "color": Meaning("colour"),
    "centered": Meaning("centred"),
    # Learning from a replay.
    "train_freq": Meaning(
        "train_every",
        note="it counts env steps of all environments together; stable-baselines3's counts "
        "steps of the whole set, so multiply its number by its environments",
    ),
    "train_frequency": Meaning("train_every"),
    "target_update_interval": Meaning("target_every"),
    "target_network_frequency": Meaning("target_every"),
    "exploration_fraction": Meaning("epsilon_fraction"),
    "exploration_final_eps": Meaning("epsilon"),
    "end_e": Meaning("epsilon"),
    # What has no setting of the same meaning here.
    "num_minibatches": Meaning(
        why_not="CleanRL's counts the parts of a rollout; give their size, --minibatch-size: "
        "num_envs * num_steps / num_minibatches"
    ),
    "clip_range_vf": Meaning(
        why_not="stable-baselines3's clips values by a range of its own and takes the clipped "
        "error alone; --clip-values clips by --clip and takes the larger error, as baselines do"
    ),
    "norm_adv": Meaning(
        why_not="advantages are always normalised; --normalise-over minibatch is CleanRL's way"
    ),
    "normalize_advantage": Meaning(
        why_not="advantages are always normalised; --normalise-over minibatch is "
        "stable-baselines3's way"
    ),
    "norm_obs": Meaning(
        why_not="pictures are scaled by fixed numbers; --centred measures them before the run"
    ),
    "frame_stack": Meaning(why_not="agents always see the last four frames"),
    "policy": Meaning(why_not="--trunk says which network sees, --memory lstm adds an LSTM"),
    "exploration_initial_eps": Meaning(why_not="the chance of a random action falls from 1"),
    "start_e": Meaning(why_not="the chance of a random action falls from 1"),
    "gradient_steps": Meaning(why_not="--train-every says how many env steps go to one update"),
    "tau": Meaning(why_not=NO_TARGET_AVERAGE),
    "capture_video": Meaning(
        why_not="every run films a game at its end; --video-every-s says how "
        "often TensorBoard shows one"
    ),
    "track": Meaning(why_not="every run writes TensorBoard files; `arcadia board` shows them"),
}
# DQN of stable-baselines3 learns from returns of so many steps; PPO and A2C play so many.
OF_DQN = {**OTHER_NAMES, "n_steps": Meaning("n_step")}
OF_STOCK_DQN = {**OF_DQN, "train_freq": Meaning("train_every")}
