"""An SB3 .zip as an agent of ours, read as data.

SB3's files hold pickles, which can run anything when they are opened. Only tensors and plain
numbers are read, by torch's restricted reader and by JSON; nothing else in the file is touched.
What a file claims to hold is held against its size before memory is taken for it, and every tensor
of the policy must have its place in our network: what is left over would change what the agent
does.
"""

import io
import pickle
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from backbones.cnn import build_trunk
from backbones.lstm import LSTM, LSTMSpec
from backbones.training.checks import trust
from backbones.training.checks.received import parse_json
from backbones.training.checks.values import checked, from_dict
from backbones.training.errors import UserError
from backbones.training.files import check_member, most_unpacked, open_plain
from backbones.training.run import Run
from backbones.trunk import TrunkSpec
from rl.agent import Agent
from rl.games.make import make_environments
from rl.games.options import EnvOptions
from rl.games.stacks import STACK
from rl.networks.actor_critic import ActorCritic
from rl.networks.body import Body
from rl.networks.q_network import QNetwork
from rl.sb3.names import CARD, ONLINE, TARGET, copies_of, sb3_names

# A tensor of SB3's own NatureCNN, and the heads of PPO and of DQN.
STOCK = "features_extractor.cnn.0.weight"
POLICY_HEAD, Q_HEAD = "action_net.weight", f"{ONLINE}q_net.0.weight"

# A policy is some megabytes; a file that unpacks to more than this is none.
LARGEST_BYTES = 2**30
# SB3's data holds the last observations of all environments, as text.
LARGEST_JSON_BYTES = 2**26
# What reading a file that is no model of SB3, or only half of one, ends in.
MALFORMED = (
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    NotImplementedError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    pickle.UnpicklingError,
    zipfile.BadZipFile,
    zlib.error,
)


def import_sb3(path: Path, env: str = "") -> Agent:
    """Return the agent in an SB3 PPO, A2C, DQN or RecurrentPPO .zip; nothing in it is run.

    A .zip that Arcadia wrote says which game it plays and how; others need `env`, and play by the
    usual protocol. UserError names what the file has that we cannot express.
    """
    with errors_about(path):
        tensors, data, card = read_zip(path)
        progress = int(data.get("num_timesteps", 0))
        env, options = game_of(path, card, env)
    envs = make_environments(env, 1, seed=0, options=options)
    (channels, size_px, _), actions = envs.frame_shape, len(envs.action_names)
    envs.close()
    with errors_about(path):
        shapes = (STACK * channels, size_px, actions)
        network = network_of(path, tensors, data, card, env, shapes)
    about = {"num_actions": actions, "progress": progress, "data": env}
    run = Run(path, {"job": "sb3", "config": {}})
    return Agent(network.eval(), env, options, None, about, run)


@contextmanager
def errors_about(path: Path) -> Iterator[None]:
    """Raise a UserError about the file where reading it fails."""
    try:
        yield
    except UserError as error:
        known = str(path) in str(error)
        raise UserError(str(error) if known else f"{path}: {error}") from None
    except MALFORMED as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise UserError(
            f"{path} is not a model of SB3 that can be read safely ({reason})"
        ) from None


def game_of(path: Path, card: dict[str, Any], env: str) -> tuple[str, EnvOptions]:
    """Return the game and how it is played: as the card says, unless another game is asked for."""
    if not env and "env" not in card:
        raise UserError(
            f"{path} does not say which game it plays; add --env, as in --env ALE/Pong-v5"
        )
    if env not in ("", card.get("env")):
        return env, EnvOptions()
    theirs = checked(str, card["env"], "env")
    options = from_dict(EnvOptions, card["env_options"], "env_options.")
    trust.allow(env)
    trust.require_typed(theirs, str(path))
    trust.require_typed_wrappers(card, str(path))
    return theirs, options


def read_zip(path: Path) -> tuple[dict[str, Tensor], dict[str, Any], dict[str, Any]]:
    """Return the tensors, SB3's data, and our card if there is one, else an empty one."""
    with open_plain(path) as file, zipfile.ZipFile(file) as archive:
        policy = read_member(archive, "policy.pth", path, LARGEST_BYTES)
        data = parse_json(read_member(archive, "data", path, LARGEST_JSON_BYTES), "data")
        known = CARD in archive.namelist()
        text = read_member(archive, CARD, path, LARGEST_JSON_BYTES) if known else "{}"
        card = parse_json(text, CARD)
    # torch unpacks this one, which is a .zip as well.
    with zipfile.ZipFile(io.BytesIO(policy)) as inner:
        most = min(LARGEST_BYTES, most_unpacked(len(policy)))
        if sum(member.file_size for member in inner.infolist()) > most:
            raise UserError(f"policy.pth would unpack to more than {most >> 20} MiB")
    tensors = torch.load(io.BytesIO(policy), map_location="cpu", weights_only=True)
    if not isinstance(tensors, dict):
        raise TypeError("policy.pth is no table")
    if not all(isinstance(t, Tensor) and t.layout == torch.strided for t in tensors.values()):
        raise UserError(f"{path}: policy.pth holds more than tensors, which is not read")
    return tensors, data, card


def read_member(archive: zipfile.ZipFile, name: str, path: Path, most_bytes: int) -> bytes:
    """Return one file of an archive; UserError if it is missing or absurdly large."""
    if name not in archive.namelist():
        raise UserError(f"{path} has no {name}: it is no model of SB3")
    check_member(archive, name, path)
    most = min(most_bytes, most_unpacked(path.stat().st_size))
    if archive.getinfo(name).file_size > most:
        raise UserError(f"{name} would unpack to more than {most >> 20} MiB")
    return archive.read(name)


def network_of(
    path: Path,
    tensors: dict[str, Tensor],
    data: dict[str, Any],
    card: dict[str, Any],
    env: str,
    shapes: tuple[int, int, int],
) -> Body:
    """Return our network with the weights of SB3's policy; UserError if ours cannot hold them.

    `shapes`: channels of an observation, its height and width in pixels, and the actions of `env`.
    """
    channels, size_px, actions = shapes
    of_dqn = Q_HEAD in tensors
    stock = (ONLINE + STOCK if of_dqn else STOCK) in tensors
    refuse_foreign(path, tensors, data, stock=stock, card=bool(card))
    heads = tensors[Q_HEAD if of_dqn else POLICY_HEAD]
    if heads.shape[0] != actions:
        raise UserError(f"{path} has {heads.shape[0]} actions, {env} has {actions}")
    first = tensors[ONLINE + STOCK if of_dqn else STOCK] if stock else None
    spec = trunk_of(path, tensors, first, card, env, channels)
    memory = memory_of(tensors)
    hidden = memory.inputs if memory else heads.shape[1]

    def build() -> Body:
        if of_dqn:
            return QNetwork(build_trunk(spec), size_px, actions, hidden)
        lstm = LSTM(memory) if memory else None
        return ActorCritic(build_trunk(spec), size_px, actions, hidden, lstm)

    # On this device tensors have a shape and no memory.
    with torch.device("meta"):
        sketch = build()
    names = sb3_names(sketch)
    refuse_misfits(path, tensors, names, sketch.state_dict())
    network = build()
    network.load_state_dict(
        network.state_dict() | {ours: tensors[theirs] for ours, theirs in names.items()}
    )
    return network


def trunk_of(
    path: Path,
    tensors: dict[str, Tensor],
    first: Tensor | None,
    card: dict[str, Any],
    env: str,
    channels: int,
) -> TrunkSpec:
    """Return what the trunk of SB3's policy is made of; UserError if it does not fit `env`.

    `first` are the weights of the first layer of a NatureCNN of SB3's own.
    """
    nature = TrunkSpec(name="nature", in_channels=channels)
    spec = TrunkSpec.from_dict(card["spec"]) if first is None else nature
    theirs = spec.in_channels if first is None else first.shape[1]
    if theirs != channels:
        raise UserError(
            f"{path} sees {theirs} channels, our observations of {env} have {channels}: "
            f"{STACK} frames of {channels // STACK}"
        )
    # Deeper than it has tensors it cannot be.
    if spec.blocks > len(tensors):
        raise UserError(f"{path} says that its trunk has {spec.blocks} blocks, and has fewer")
    return spec


def memory_of(tensors: dict[str, Tensor]) -> LSTMSpec | None:
    """Return what the LSTM of SB3's policy is made of; None without one."""
    if "lstm_actor.weight_ih_l0" not in tensors:
        return None
    units, inputs = (
        tensors["action_net.weight"].shape[1],
        tensors["lstm_actor.weight_ih_l0"].shape[1],
    )
    layers = sum(name.startswith("lstm_actor.weight_ih") for name in tensors)
    return LSTMSpec(inputs=inputs, units=units, layers=layers)


def refuse_foreign(
    path: Path, tensors: dict[str, Tensor], data: dict[str, Any], *, stock: bool, card: bool
) -> None:
    """UserError if a policy is built unlike ours."""
    if not tensors.keys() & {POLICY_HEAD, Q_HEAD} or not (stock or card):
        kinds = sorted({str(name).split(".")[0] for name in tensors})
        raise UserError(
            f"{path} has {', '.join(kinds)}; PPO, A2C and DQN with NatureCNN can be read"
        )
    if {POLICY_HEAD, Q_HEAD} <= tensors.keys():
        raise UserError(f"{path} has the heads of PPO and of DQN")
    if f"{ONLINE}q_net.2.weight" in tensors:
        raise UserError(f"{path} has layers between NatureCNN and the Q values (net_arch)")
    if any(name.startswith("mlp_extractor") for name in tensors):
        raise UserError(
            f"{path} has layers between NatureCNN and the heads (net_arch), unlike ours"
        )
    if any(name.startswith("lstm_critic") for name in tensors):
        raise UserError(f"{path} has a second LSTM for the value; ours share one (shared_lstm)")
    # SB3 writes the table as it is, or as text beside a pickle.
    kwargs = data.get("policy_kwargs") or {}
    if stock and str(kwargs.get("normalize_images", True)) != "True":
        raise UserError(f"{path} does not divide pictures by 255 (normalize_images), ours do")


def refuse_misfits(
    path: Path, tensors: dict[str, Tensor], names: dict[str, str], sketch: dict[str, Tensor]
) -> None:
    """UserError unless the tensors are those of a network of ours, no more and no fewer.

    `names`: our tensor's name -> SB3's; `sketch`: our tensors, of which only the shapes count.
    """
    left = set(tensors)
    for ours, theirs in names.items():
        tensor = tensors.get(theirs)
        wanted = sketch[ours].shape
        if tensor is None or tensor.shape != wanted:
            found = "is missing" if tensor is None else f"is {list(tensor.shape)}"
            raise UserError(f"{path} does not fit: {theirs} {found}, not {list(wanted)}")
        # A tensor that repeats its numbers can be larger than the file.
        if tensor.numel() * tensor.itemsize > tensor.untyped_storage().nbytes():
            raise UserError(f"{path}: {theirs} is larger than what is stored of it")
        left.discard(theirs)
        for copy in copies_of(theirs):
            # A target is an older network, with other numbers.
            if not copy.startswith(TARGET) and not torch.equal(tensors.get(copy, tensor), tensor):
                raise UserError(
                    f"{path} has two feature extractors (share_features_extractor), ours has one"
                )
            left.discard(copy)
    if left:
        raise UserError(f"{path} also has {', '.join(sorted(left))}, which ours has no place for")
