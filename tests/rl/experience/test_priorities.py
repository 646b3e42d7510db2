"""The sum tree against NumPy's sums, and draws in proportion to priorities."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from rl.experience.priorities import LEAST, Priorities, SumTree

CPU = torch.device("cpu")
# Numbers whose sums are exact, so that a share's place is not a matter of rounding.
VALUES = st.integers(0, 1000).map(lambda k: k / 8)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.tuples(st.integers(0, 10), VALUES), min_size=1), min_size=1))
def test_sums_and_places_are_those_of_numpy(rounds):
    tree, slow = SumTree(11, CPU), np.zeros(11)
    for pairs in rounds:
        index, value = (torch.tensor(column) for column in zip(*pairs, strict=True))
        tree.set_(index, value.double())
        for i in set(index.tolist()):
            slow[i] = max(v for j, v in pairs if j == i)
    assert torch.equal(tree.leaves, torch.from_numpy(slow))
    assert float(tree.total) == slow.sum()
    if slow.sum():
        shares = np.linspace(0, slow.sum(), 57, endpoint=False)
        expected = np.searchsorted(np.cumsum(slow), shares, side="right")
        assert tree.find(torch.from_numpy(shares)).tolist() == expected.tolist()


def test_a_leaf_of_nothing_is_never_found_even_at_the_end_of_all_shares():
    tree = SumTree(7, CPU)
    tree.set_(torch.tensor([1, 4]), torch.tensor([0.1, 0.7]))
    shares = torch.cat([torch.rand(1000, dtype=torch.float64), torch.ones(1).double()])
    found = tree.find(shares * tree.total)
    assert set(found.tolist()) == {1, 4}


def test_a_tree_is_a_function_of_its_leaves_in_whatever_order_they_came():
    values = torch.rand(300, generator=torch.Generator().manual_seed(0))
    one, other = SumTree(300, CPU), SumTree(300, CPU)
    one.set_(torch.arange(300), values)
    for part in torch.randperm(300, generator=torch.Generator().manual_seed(1)).split(7):
        other.set_(part, values[part] * 3)
        other.set_(part, values[part])
    assert torch.equal(one.nodes, other.nodes)


def test_draws_are_in_proportion_and_weights_undo_it():
    priorities = Priorities(4, 0.5, CPU)
    priorities.add(torch.arange(4))
    td_error = torch.tensor([4.0, 1.0, 0.0])
    priorities.update(torch.tensor([0, 1, 3]), td_error)
    priorities.remove(torch.tensor([2]))
    p = torch.tensor([(4 + LEAST) ** 0.5, (1 + LEAST) ** 0.5, 0.0, LEAST**0.5])
    assert_close(priorities.tree.leaves.float(), p)
    drawn = priorities.draw(torch.rand(30_000, dtype=torch.float64))
    assert_close(torch.bincount(drawn, minlength=4) / 30_000, p / p.sum(), atol=1e-3, rtol=0)
    weight = priorities.weights(torch.tensor([0, 1]), 3, 1.0)
    assert_close(weight, (p[1] / p[:2]) / (p[1] / p[:2]).max())
    assert_close(priorities.weights(torch.tensor([0, 1]), 3, 0.0), weight**0.4)


def test_new_transitions_have_the_largest_priority_that_there_was():
    priorities = Priorities(3, 1.0, CPU)
    priorities.add(torch.tensor([0]))
    assert float(priorities.tree.leaves[0]) == 1.0
    priorities.update(torch.tensor([0]), torch.tensor([5.0]))
    priorities.update(torch.tensor([0]), torch.tensor([0.5]))
    priorities.add(torch.tensor([1]))
    assert_close(float(priorities.tree.leaves[1]), 5.0 + LEAST)


def test_priorities_go_on_as_they_were():
    one, other = Priorities(5, 0.6, CPU), Priorities(5, 0.6, CPU)
    one.add(torch.arange(5))
    one.update(torch.tensor([1, 2]), torch.tensor([3.3, 0.1]))
    other.load_state_dict(one.state_dict())
    assert torch.equal(one.tree.nodes, other.tree.nodes) and one.largest == other.largest
