"""Search with a network: networks that know nothing, or everything, and what must come of it."""

import json
import re

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch.testing import assert_close

from backbones.transfer import backbones
from rl.go.network.evaluator import network_evaluator
from rl.go.network.features import PLANES, turned
from rl.go.network.go_network import (
    PRESETS,
    GoNetwork,
    NetworkSpec,
    build_network,
    load_network,
    save_network,
)
from rl.go.rules.board import BLACK, WHITE
from rl.go.rules.position import Position, read_vertex, vertex
from rl.go.search import forest, mcts
from rl.go.search.mcts import NetworkPlayer, Search, SearchConfig, planes_of


def blind(planes):
    """Know nothing: all moves alike, all positions even."""
    count, size = len(planes), planes.shape[-1]
    return np.zeros((count, size * size + 1), np.float32), np.zeros(count, np.float32)


def noisy(planes):
    """Answer by chance, but the same for the same planes."""
    size = planes.shape[-1]
    logits, values = [], []
    for plane in planes:
        rng = np.random.default_rng(int(plane.astype(np.uint64).ravel() @ WEIGHTS[: plane.size]))
        logits.append(rng.normal(size=size * size + 1))
        values.append(rng.uniform(-0.9, 0.9))
    return np.array(logits, np.float32), np.array(values, np.float32)


WEIGHTS = np.random.default_rng(0).integers(1, 2**40, PLANES * 81, np.uint64)


def searched(evaluate=blind, size=5, games=1, simulations=64, leaves=1, nodes=512, **config):
    search = Search(
        games,
        size,
        nodes,
        evaluate,
        leaves=leaves,
        seed=1,
        config=SearchConfig(**config),
        threads=1,
    )
    for game in range(games):
        search.begin(game, Position(size, 0.5))
    search.run(simulations)
    return search


def check_sums(search, game=0):
    """Check that every node's visits are those of its edges, and values lie in [-1, 1]."""
    trees = search.forest
    for node in range(1, trees.used[game] + 1):
        visits, child = trees.visits[game, node], trees.child[game, node]
        assert visits.sum() <= trees.seen[game, node]
        assert (np.abs(trees.total[game, node]) <= visits + 1e-4).all()
        for move in np.flatnonzero(child):
            assert trees.seen[game, child[move]] == visits[move]
        assert (visits[trees.prior[game, node] < 0] == 0).all()


@pytest.mark.parametrize("leaves", [1, 4])
def test_visits_add_up(leaves):
    search = searched(noisy, leaves=leaves)
    check_sums(search)
    total = search.forest.visits[0, 1].sum()
    assert total == 64 if leaves == 1 else 200 <= total <= 256


def test_many_games_search_as_each_alone():
    many = searched(noisy, games=5, simulations=40)
    alone = searched(noisy, simulations=40)
    for game in range(5):
        assert np.array_equal(many.forest.visits[game, 1], alone.forest.visits[0, 1])


def test_threads_change_nothing():
    one = searched(noisy, games=6)
    two = Search(6, 5, 512, noisy, seed=1, threads=2)
    for game in range(6):
        two.begin(game, Position(5, 0.5))
    two.run(64)
    assert np.array_equal(one.forest.visits, two.forest.visits)


def test_the_end_of_a_game_is_counted_and_not_guessed():
    # White has passed on an empty board with komi 0.5: Black loses by passing.
    for komi, wins in ((0.5, False), (-0.5, True)):
        position = Position(3, komi)
        position.play(position.pass_move)
        position.play(position.pass_move - 9, WHITE)
        position.undo()
        search = Search(1, 3, 256, blind, threads=1)
        search.begin(0, position)  # white to play; a pass ends the game
        search.run(100)
        ended = search.forest.child[0, 1, 9]
        assert search.forest.state[0, ended] == forest.ENDED
        mean = search.forest.total[0, 1, 9] / search.forest.visits[0, 1, 9]
        assert mean == (-1 if wins else 1)
        assert (search.forest.visits[0, 1].argmax() == 9) != wins


def test_a_capture_that_wins_is_found_without_knowledge():
    # Whoever takes wins: all else loses by what a network that counts stones would say.
    def counts(planes):
        value = (planes[:, 0] > 0).sum((1, 2)) - 1.0 * (planes[:, 1] > 0).sum((1, 2))
        return blind(planes)[0], np.tanh(value / 3).astype(np.float32)

    position = Position(5, 0.5)
    position.set_up([(BLACK, read_vertex(w, 5)) for w in "B3 C4 D3".split()])
    position.set_up([(WHITE, read_vertex("C3", 5))])
    position.whose(BLACK)
    search = Search(1, 5, 512, counts, threads=1)
    search.begin(0, position)
    search.run(200)
    assert vertex(int(search.forest.visits[0, 1].argmax()), 5) == "C2"


@pytest.mark.parametrize("leaves", [1, 3])
def test_a_part_of_the_tree_is_kept_when_a_move_is_played(leaves):
    search = searched(noisy, simulations=120, leaves=leaves)
    trees = search.forest
    move = int(trees.visits[0, 1].argmax())
    below = int(trees.child[0, 1, move])
    visits, prior = trees.visits[0, below].copy(), trees.prior[0, below].copy()
    search.play(0, move)
    assert np.array_equal(trees.visits[0, 1], visits)
    assert np.array_equal(trees.prior[0, 1], prior)
    check_sums(search)
    search.run(20)
    check_sums(search)
    search.begin(0, Position(5, 0.5))
    search.run(4)
    search.play(0, int(np.flatnonzero(trees.visits[0, 1] == 0)[0]))
    assert trees.used[0] == 1 and trees.state[0, 1] == forest.UNKNOWN


def test_memory_is_what_is_said_and_a_full_tree_goes_on():
    search = searched(noisy, nodes=20, simulations=200)
    trees = search.forest
    assert trees.used[0] <= 20
    check_sums(search)
    assert trees.visits[0, 1].sum() == 200
    per_node = (
        sum(
            array.nbytes
            for name, array in trees._asdict().items()
            if name in ("prior", "visits", "total", "child", "value", "state", "seen")
        )
        / 21
    )
    assert per_node == forest.bytes_per_node(5)


def test_the_next_root_gets_noise_of_its_own():
    search = searched(noisy, simulations=60, noise=0.25)
    move = int(search.forest.visits[0, 1].argmax())
    below = search.forest.prior[0, search.forest.child[0, 1, move]].copy()
    search.play(0, move)
    prior, legal = search.forest.prior[0, 1], below >= 0
    assert np.array_equal(prior >= 0, legal) and not np.allclose(prior, below)
    assert prior[legal].sum() == pytest.approx(1, abs=1e-5)


def test_noise_touches_the_root_only_and_keeps_a_policy():
    search = searched(noisy, simulations=10, noise=0.25)
    plain = searched(noisy, simulations=10)
    mixed, prior = search.forest.prior[0, 1], plain.forest.prior[0, 1]
    assert not np.allclose(mixed, prior) and mixed[mixed >= 0].sum() == pytest.approx(1, abs=1e-5)
    assert (mixed >= 0.75 * prior - 1e-6).all()


def test_halving_by_hand():
    assert mcts.halving(1, 3) == [0, 1, 2]
    # 16 simulations of 4 moves: two rounds; each of 4 twice, then each of 2 four times.
    assert mcts.halving(4, 16) == [0] * 4 + [1] * 4 + [2] * 2 + [3] * 2 + [4] * 2 + [5] * 2
    assert mcts.halving(4, 2) == [0, 0]
    for considered in (2, 3, 5, 16):
        for simulations in (1, 2, 7, 33):
            assert len(mcts.halving(considered, simulations)) == simulations


@pytest.mark.parametrize("simulations", [2, 8, 16, 33])
def test_gumbel_uses_exactly_its_simulations_on_the_moves_it_considers(simulations):
    search = Search(4, 5, 128, noisy, seed=3, threads=1)
    for game in range(4):
        search.begin(game, Position(5, 0.5))
    moves = search.run_gumbel(simulations, considered=8)
    for game, move in enumerate(moves):
        visits = search.forest.visits[game, 1]
        assert visits.sum() == simulations and (visits > 0).sum() <= 8
        assert visits[move] == visits.max()
        check_sums(search, game)
    assert len(set(moves.tolist())) > 1  # each game has noise of its own


@pytest.mark.parametrize("seed", range(20))
def test_the_improved_policy_is_no_worse_than_the_prior(seed):
    rng = np.random.default_rng(seed)
    moves = 12
    prior = rng.dirichlet(np.full(moves, 0.5))[None]
    q = rng.uniform(-1, 1, (1, moves))
    visits = rng.integers(0, 4, (1, moves)) * (rng.random((1, moves)) < 0.6)
    value = (prior * q).sum(1)
    completed = mcts.completed_q(prior, visits, visits * q, value)
    logits = mcts.log_prior(prior) + mcts.sigma(visits, completed)
    policy = np.exp(logits - logits.max())
    policy /= policy.sum()
    assert np.allclose(completed[visits > 0], q[visits > 0])
    assert (policy * completed).sum() >= (prior * completed).sum() - 1e-9


def test_gumbel_on_average_finds_better_moves_than_the_prior():
    # One step deep: the value of a move is known, the network's prior is flat.
    truth = np.random.default_rng(5).uniform(-0.5, 0.5, 26).astype(np.float32)

    def oracle(planes):
        logits, values = blind(planes)
        for i, plane in enumerate(planes):
            last = np.flatnonzero(plane[5])
            if len(last):
                values[i] = -truth[last[0]]  # of who is to play after the move
        return logits, values

    search = Search(64, 5, 64, oracle, seed=2, threads=1)
    for game in range(64):
        search.begin(game, Position(5, 0.5))
    moves = search.run_gumbel(16, considered=8)
    assert truth[moves].mean() > np.sort(truth)[-8:].mean() - 0.1
    policy = search.improved_policy()
    assert policy.shape == (64, 26) and np.allclose(policy.sum(1), 1)
    assert (policy @ truth).mean() > truth.mean() + 0.1


# The network


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_judge_from_the_view_of_who_is_to_play(preset):
    network = build_network(preset)
    planes = torch.zeros(2, PLANES, 9, 9, dtype=torch.uint8)
    planes[:, -1] = 255
    judged = network(planes)
    assert judged.policy.shape == (2, 82) and judged.value.shape == (2,)
    assert judged.ownership.shape == (2, 9, 9) and judged.score.shape == (2,)
    assert judged.value.abs().max() < 1 and judged.ownership.abs().max() <= 1
    blocks, channels = PRESETS[preset]
    assert network.cnn.channels["s3"] == channels and network.cnn.spec.blocks == blocks


def test_a_small_board_is_judged_the_same_in_any_room():
    torch.manual_seed(0)
    network = GoNetwork(NetworkSpec(blocks=3, channels=16, smallest=5, largest=9)).eval()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    room = torch.randint(0, 256, (3, PLANES, 5, 5), dtype=torch.uint8)
    room[:, -1] = 255
    padded = torch.zeros(3, PLANES, 9, 9, dtype=torch.uint8)
    padded[..., :5, :5] = room
    ours, theirs = network(room), network(padded)
    inside = theirs.policy[:, :81].view(3, 9, 9)[:, :5, :5].flatten(1)
    assert_close(ours.policy[:, :25], inside)
    assert torch.isinf(theirs.policy[:, :81].view(3, 9, 9)[:, 5:]).all()
    assert_close(ours.policy[:, 25], theirs.policy[:, 81])
    for name in ("value", "score"):
        assert_close(getattr(ours, name), getattr(theirs, name))
    assert_close(ours.ownership, theirs.ownership[:, :5, :5])


def test_far_corners_hear_of_each_other():
    torch.manual_seed(0)
    network = build_network("b2c32").eval()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    planes = torch.zeros(1, PLANES, 9, 9, dtype=torch.uint8)
    planes[:, -1] = 255
    other = planes.clone()
    other[0, 0, 0, 0] = 255
    assert (network(planes).policy[0, 80] - network(other).policy[0, 80]).abs() > 1e-6


def test_an_evaluator_turns_boards_and_turns_answers_back():
    class Copy(torch.nn.Module):
        """Says of every point what stands there."""

        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(1))

        def forward(self, planes):
            points = planes[:, 0].float().flatten(1)
            policy = torch.cat([points, torch.full((len(planes), 1), 7.0)], 1)
            return mcts_judgement(policy)

    def mcts_judgement(policy):
        from rl.go.network.go_network import GoJudgement

        zero = torch.zeros(len(policy))
        return GoJudgement(policy, zero, torch.zeros(len(policy), 5, 5), zero)

    planes = np.random.default_rng(0).integers(0, 256, (2, PLANES, 5, 5)).astype(np.uint8)
    evaluate = network_evaluator(Copy(), seed=0)
    for _ in range(20):
        policy, _ = evaluate(planes)
        assert np.array_equal(policy[:, :25], planes[:, 0].reshape(2, 25).astype(np.float32))
        assert (policy[:, 25] == 7).all()
    assert turned(planes, 3).shape == planes.shape


def test_networks_are_written_and_read_and_other_files_refused(tmp_path):
    network = build_network("b2c32", 5, 9)
    save_network(network, tmp_path / "n.safetensors", {"games": 3})
    again = load_network(tmp_path / "n.safetensors")
    assert again.spec == network.spec
    for name, weight in network.state_dict().items():
        assert torch.equal(weight, again.state_dict()[name])
    (tmp_path / "junk.safetensors").write_bytes(b"junk" * 10)
    for path in ("none.safetensors", "junk.safetensors"):
        with pytest.raises(ValueError, match="safetensors"):
            load_network(tmp_path / path)
    save_file({"a": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match="not a Go network"):
        load_network(tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match="knows boards of 5 to 9, not of 13"):
        again.check_size(13)
    with pytest.raises(ValueError, match="b2c32, b4c32"):
        build_network("b1c1")


def test_a_file_that_calls_the_backbone_trunk_is_read_as_before(tmp_path):
    network, path = build_network("b2c32", 5, 9), tmp_path / "n.safetensors"
    save_network(network, path)
    with safe_open(path, "pt") as file:
        header, old = file.metadata(), {k: file.get_tensor(k) for k in file.keys()}
    save_file({re.sub(r"^cnn\.", "trunk.", k): v for k, v in old.items()}, path, header)
    assert "cnn" in backbones(network) and any(name.startswith("cnn.") for name in old)
    for name, weight in load_network(path).state_dict().items():
        assert torch.equal(weight, network.state_dict()[name])


def test_a_network_plays_a_game():
    torch.manual_seed(0)
    player, position = NetworkPlayer(build_network("b2c32", 5, 9), memory_mb=4.0), Position(5)
    for _ in range(6):
        player.search(position, 24)
        thoughts = player.thoughts(position)
        assert 8 <= sum(c.visits for c in thoughts.candidates) and thoughts.ownership.shape == (25,)
        position.play(thoughts.best.move)
    with pytest.raises(ValueError, match="not of 13"):
        player.search(Position(13), 8)


def test_the_score_of_a_candidate_is_that_of_the_position_after_it():
    torch.manual_seed(1)
    network, position = build_network("b2c32", 5, 5).eval(), Position(5, 2.5)
    player = NetworkPlayer(network, memory_mb=4.0)
    position.play(12)
    player.search(position, 40)
    thoughts = player.thoughts(position)
    after = position.copy()
    after.play(thoughts.best.move)
    with torch.inference_mode():
        judged = float(network(torch.from_numpy(planes_of(after))).score[0])
    assert thoughts.best.score == pytest.approx(-judged, abs=1e-4)
    tried = [c for c in thoughts.candidates if c.visits][:8]
    mean = sum(c.visits * c.score for c in tried) / sum(c.visits for c in tried)
    assert thoughts.score == pytest.approx(mean, abs=1e-4)


def test_who_asks_after_two_passes_wants_to_play_on():
    torch.manual_seed(0)
    player, position = NetworkPlayer(build_network("b2c32", 5, 9), memory_mb=4.0), Position(5)
    player.search(position, 16)
    position.play(position.pass_move)
    position.play(position.pass_move)
    assert position.over
    player.search(position, 64)
    assert sum(c.visits > 0 for c in player.thoughts(position).candidates) > 5


def test_trees_refuse_other_sizes_and_gumbel_several_leaves():
    search = Search(1, 5, 64, blind, leaves=2, threads=1)
    with pytest.raises(ValueError, match="another size"):
        search.begin(0, Position(6))
    search.begin(0, Position(5))
    with pytest.raises(ValueError, match="leaves = 1"):
        search.run_gumbel(8, considered=4)


def test_a_network_is_held_against_its_tensors_before_it_is_built(tmp_path):
    path = tmp_path / "n.safetensors"
    weights = build_network("b2c32").state_dict()
    for spec, said in (
        ({"blocks": 10**9, "channels": 32}, "1000000000 blocks, more than it has tensors"),
        ({"blocks": 2, "channels": 10**8}, "in the file and is"),
        ({"blocks": 1, "channels": 32}, "is missing in its spec"),
        ({"blocks": "2", "channels": 32}, "blocks = '2' must be a whole number"),
        ([], "spec = \\[\\] must be a table"),
    ):
        save_file(weights, path, {"arcadia_go": json.dumps({"spec": spec})})
        with pytest.raises(ValueError, match=said):
            load_network(path)
    save_file(weights, path, {"arcadia_go": "[" * 100_000})
    with pytest.raises(ValueError, match="nested too deeply"):
        load_network(path)
