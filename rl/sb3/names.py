"""What stable-baselines3 calls the tensors of our networks; it need not be installed."""

from torch import Tensor

from backbones.trunk import TrunkSpec
from rl.networks.body import Body
from rl.networks.q_network import QNetwork

# Our layer -> SB3's, for the trunk that both have.
NATURE = {"s1": "cnn.0", "s2": "cnn.2", "s3": "cnn.4"}
# What SB3 does not say of an agent, in its .zip.
CARD = "arcadia.json"


# Of a DQN, the network that learns and its target.
ONLINE, TARGET = "q_net.", "q_net_target."


def is_stock(network: Body) -> bool:
    """Say whether SB3's own NatureCNN is the very same network."""
    spec = network.cnn.spec
    return spec.to_dict() == TrunkSpec(name="nature", in_channels=spec.in_channels).to_dict()


def copies_of(theirs: str) -> tuple[str, ...]:
    """Return the other names that SB3 lists a tensor under: a shared extractor is there three
    times, and all of a DQN's network twice, once as its target."""
    if theirs.startswith(ONLINE):
        return (TARGET + theirs.removeprefix(ONLINE),)
    return ("pi_" + theirs, "vf_" + theirs) if theirs.startswith("features_extractor") else ()


def sb3_names(network: Body) -> dict[str, str]:
    """Return our tensor's name -> SB3's, without the prefixes of `copies_of`."""
    of_dqn = isinstance(network, QNetwork)
    heads = {"q": "q_net.0"} if of_dqn else {"policy": "action_net", "value": "value_net"}
    names = {}
    for name in network.state_dict():
        layer, _, rest = name.removeprefix("cnn.").partition(".")
        theirs = ""
        if layer == "lstm":
            theirs = f"lstm_actor.{rest.removeprefix('lstm.')}"
        elif layer in heads:
            theirs = f"{heads[layer]}.{rest}"
        elif of_dqn and layer == "value":
            continue  # Advantages take it in: see `as_sb3`.
        elif not is_stock(network):
            theirs = f"features_extractor.{name}"
        elif layer == "hidden":
            theirs = f"features_extractor.linear.0.{rest}"
        elif layer in NATURE:
            theirs = f"features_extractor.{NATURE[layer]}.{rest}"
        if theirs:
            names[name] = ONLINE + theirs if of_dqn else theirs
    return names


def as_sb3(network: Body) -> dict[str, Tensor]:
    """Return the tensors of a network under our names, as SB3's layers compute with them.

    Value and advantages of a dueling network are linear in the same numbers, so that one layer
    computes their sum.
    """
    tensors = {name: tensor.cpu() for name, tensor in network.state_dict().items()}
    if isinstance(network, QNetwork) and network.value is not None:
        for part in ("weight", "bias"):
            advantage = tensors[f"q.{part}"]
            tensors[f"q.{part}"] = tensors[f"value.{part}"] + advantage - advantage.mean(0)
    return tensors
