"""What a classifier answers, for people: classes with their chances, mistakes, an embedding.

Letters: N pictures, A classes, C channels, D features.
"""

from collections.abc import Sequence

from jaxtyping import Float, Int64, Shaped
from torch import Tensor

from backbones.training.log import Board
from tasks.answers import Answer
from tasks.looks.projector import write_embedding
from tasks.looks.sheet import confusion_picture, contact_sheet

WORST = 36  # mistakes shown


def label_answer(chance: Float[Tensor, "A"], classes: Sequence[str], several: bool) -> Answer:
    """Return the likeliest class, or all that are likelier than not where a picture may have
    several."""
    best = chance.argsort(descending=True)
    chances = {classes[int(i)]: round(float(chance[i]), 4) for i in best}
    shown = [i for i in best if chance[i] > 0.5] if several else best[:1]
    text = ", ".join(f"{classes[int(i)]} {100 * float(chance[i]):.1f} %" for i in shown)
    return Answer(text or "nothing", {"chances": chances})


def title(label: int, answer: Float[Tensor, "A"], classes: Sequence[str]) -> str:
    """Return a picture's class and, of a mistake, the answer; else how sure the answer was."""
    best = int(answer.argmax())
    chance = f"{float(answer.softmax(-1)[label]):.0%}"
    return f"{classes[label]} {chance if best == label else f'not {classes[best]}'}"


def show_labels(
    board: Board,
    progress: int,
    picture: Shaped[Tensor, "N C H W"],
    label: Int64[Tensor, "N"],
    answer: Float[Tensor, "N A"],
    features: Float[Tensor, "N D"],
    classes: Sequence[str],
    confusion: Float[Tensor, "A A"],
) -> None:
    """Write the confusions, the worst mistakes, and the features for the embedding projector."""
    board.picture(progress, "val/confusion", confusion_picture(confusion, classes))
    worst = (-answer.gather(1, label[:, None])[:, 0]).argsort(descending=True)[:WORST]
    titles = [title(int(label[i]), answer[i], classes) for i in worst]
    board.picture(progress, "val/worst", contact_sheet(picture[worst], titles))
    answers = answer.argmax(1)
    words = {
        "class": [classes[int(i)] for i in label],
        "answer": [classes[int(i)] for i in answers],
        "right": ["no" if wrong else "yes" for wrong in answers != label],
    }
    write_embedding(board.folder, features, words, picture)
