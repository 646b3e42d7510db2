"""What stable-baselines3 calls the tensors of our networks; it need not be installed."""

from backbones.trunk import TrunkSpec
from rl.networks.actor_critic import ActorCritic

# Our layer -> SB3's, for the trunk that both have.
NATURE = {"s1": "cnn.0", "s2": "cnn.2", "s3": "cnn.4"}
# SB3 lists a shared extractor three times: under its name and with these before it.
COPIES = ("pi_", "vf_")
# What SB3 does not say of an agent, in its .zip.
CARD = "arcadia.json"


def is_stock(network: ActorCritic) -> bool:
    """Say whether SB3's own NatureCNN is the very same network."""
    spec = network.cnn.spec
    return spec.to_dict() == TrunkSpec(name="nature", in_channels=spec.in_channels).to_dict()


def sb3_names(network: ActorCritic) -> dict[str, str]:
    """Return our tensor's name -> SB3's, without the extractor's prefix for trunk and hidden."""
    names = {}
    for name in network.state_dict():
        layer, _, rest = name.removeprefix("cnn.").partition(".")
        if layer == "lstm":
            names[name] = f"lstm_actor.{rest.removeprefix('lstm.')}"
        elif layer in ("policy", "value"):
            names[name] = f"{'action_net' if layer == 'policy' else 'value_net'}.{rest}"
        elif not is_stock(network):
            names[name] = f"features_extractor.{name}"
        elif layer == "hidden":
            names[name] = f"features_extractor.linear.0.{rest}"
        elif layer in NATURE:
            names[name] = f"features_extractor.{NATURE[layer]}.{rest}"
    return names
