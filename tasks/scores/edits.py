"""How far a text is from the one that was meant: letters put in, left out or exchanged."""

import torch

from tasks.scores.sums import Counts, Sums


def edits(said: str, meant: str) -> int:
    """Return the least number of letters to put in, leave out or exchange (Levenshtein 1966)."""
    row = list(range(len(meant) + 1))
    for i, letter in enumerate(said, 1):
        before, row = row, [i]
        for j, wanted in enumerate(meant, 1):
            row.append(min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (letter != wanted)))
    return row[-1]


def edit_sums(said: list[str], meant: list[str]) -> Counts:
    """Return the sums over some texts that `edit_scores` makes scores of."""
    wrong = [edits(*pair) for pair in zip(said, meant, strict=True)]
    return {
        "edits": torch.tensor(sum(wrong)),
        "letters": torch.tensor(sum(map(len, meant))),
        "right": torch.tensor(sum(not each for each in wrong)),
        "lines": torch.tensor(len(meant)),
    }


def edit_scores(sums: Sums) -> dict[str, float]:
    """Return the character error rate, edits for each 100 letters that were meant, and how many of
    100 lines are right."""
    return {
        "cer": 100 * float(sums["edits"] / sums["letters"]),
        "right": 100 * float(sums["right"] / sums["lines"]),
    }
