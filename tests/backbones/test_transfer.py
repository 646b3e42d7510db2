"""A backbone travels with its card; what does not fit is named."""

import pytest
import torch
from safetensors.torch import save_file
from torch.testing import assert_close

from backbones.cnn import build_trunk
from backbones.start import start_from
from backbones.training.errors import UserError
from backbones.transfer import (
    copy_weights,
    freeze,
    load_backbone,
    parameter_groups,
    read_backbone,
    save_backbone,
)
from backbones.trunk import TrunkSpec

CARD = {"job": "ppo", "data": "ALE/Pong-v5", "progress": 1000, "score": 12.5, "commit": "abc"}


def plain(in_channels=4, **values):
    return build_trunk(TrunkSpec(name="plain", width=0.25, in_channels=in_channels, **values))


def init_trunk(trunk, source):
    """Start a trunk, as a model's only backbone, from what `--init` names; return log lines."""
    return start_from(torch.nn.ModuleDict({"cnn": trunk}), source, lambda run, found: False)


def test_a_saved_backbone_comes_back_with_its_card(tmp_path):
    trunk = plain()
    save_backbone(trunk, tmp_path / "cnn.safetensors", CARD)
    again, card = load_backbone(tmp_path / "cnn.safetensors")
    assert again.spec == trunk.spec
    assert card.items() >= CARD.items()
    for name, tensor in trunk.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name])


def test_init_takes_the_weights_and_says_where_they_come_from(tmp_path):
    source, target = plain(), plain()
    save_backbone(source, tmp_path / "cnn.safetensors", CARD)
    (said,) = init_trunk(target, str(tmp_path / "cnn.safetensors"))
    assert "job ppo" in said
    assert "score 12.5" in said
    assert torch.equal(source.s1[0].weight, target.s1[0].weight)


def test_from_three_channels_to_one_a_grey_picture_gives_the_same_maps():
    colour, grey = plain(3), plain(1)
    said = copy_weights(grey, colour.state_dict())
    assert "sum" in said
    picture = torch.randint(0, 256, (1, 1, 32, 32), dtype=torch.uint8)
    assert_close(grey(picture)["s3"], colour(picture.expand(1, 3, 32, 32))["s3"])


def test_from_one_channel_to_many_equal_channels_give_the_same_maps():
    grey, stack = plain(1), plain(4)
    copy_weights(stack, grey.state_dict())
    picture = torch.randint(0, 256, (1, 1, 32, 32), dtype=torch.uint8)
    assert_close(stack(picture.expand(1, 4, 32, 32))["s3"], grey(picture)["s3"])


def test_from_three_channels_to_four_the_size_of_outputs_is_kept():
    colour, stack = plain(3), plain(4)
    copy_weights(stack, colour.state_dict())
    picture = torch.full((1, 1, 32, 32), 100, dtype=torch.uint8)
    assert_close(
        stack(picture.expand(1, 4, 32, 32))["s1"], colour(picture.expand(1, 3, 32, 32))["s1"]
    )


def test_the_first_layer_that_does_not_fit_is_named():
    wide = build_trunk(TrunkSpec(name="plain", width=0.5))
    with pytest.raises(UserError, match=r"layer s1\.0\.weight has shape"):
        copy_weights(plain(), wide.state_dict())
    with pytest.raises(UserError, match="is missing in the file"):
        copy_weights(plain(), build_trunk(TrunkSpec(name="nature")).state_dict())


def test_a_file_without_a_card_and_junk_are_refused(tmp_path):
    save_file({"a": torch.zeros(1)}, tmp_path / "plain.safetensors")
    (tmp_path / "junk.safetensors").write_bytes(b"junk" * 10)
    for name in ("plain", "junk", "absent"):
        with pytest.raises(UserError, match="not a backbone with a card"):
            read_backbone(tmp_path / f"{name}.safetensors")


@pytest.mark.parametrize(
    ("card", "words"),
    [
        ("[" * 100_000, "nested too deeply"),
        ("[1]", "holds no JSON object"),
        ("{", "is broken"),
        ('{"spec": {"name": "plain", "width": 1e9}}', "far larger than its weights"),
        ('{"spec": {"name": "tower", "blocks": 1000000000}}', "far larger than its weights"),
        ('{"spec": {"name": "plain", "width": "x"}}', "spec.width = 'x' must be a finite number"),
        ('{"spec": {"mean": [[0.0]]}}', "spec.mean"),
        ('{"spec": 3}', "spec = 3"),
    ],
)
def test_a_made_up_card_is_one_line_and_takes_no_memory(tmp_path, card, words):
    save_file(plain().state_dict(), tmp_path / "cnn.safetensors", {"card": card})
    with pytest.raises(UserError, match=words) as error:
        load_backbone(tmp_path / "cnn.safetensors")
    assert "\n" not in str(error.value)


def test_frozen_stages_are_in_no_group_and_the_trunk_learns_at_its_own_rate():
    trunk = plain()
    model = torch.nn.ModuleDict({"cnn": trunk, "head": torch.nn.Linear(2, 2)})
    freeze(model, ("s1",))
    groups = parameter_groups(model, 0.1)
    assert [group["scale"] for group in groups] == [0.1, 1.0]
    inside = {id(p) for p in groups[0]["params"]}
    assert inside == {id(p) for stage in (trunk.s2, trunk.s3) for p in stage.parameters()}
    with pytest.raises(UserError, match="s9: choose from s1, s2, s3, cnn"):
        freeze(model, ("s9",))
