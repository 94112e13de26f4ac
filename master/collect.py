"""What workers answer, into the store: idempotent, since every answer may arrive twice or late."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from common.messages import Answer, Changed, Failure, PhotoResult
from master.crops import Crops
from master.store import Store
from master.store.ids import face_id

Outcome = Literal["stored", "changed", "known"]


def collect(
    answers: Sequence[Answer],
    *,
    store: Store,
    crops: Crops,
    look_again: Callable[[str], None],
    read: tuple[str, int] | None = None,
) -> list[Outcome]:
    """Keeps answers, and then that a topic was read up to an offset; says of each what became of it: "known" if it
    changed nothing.

    Crops are written before the results that speak of them, so that a stored face always has its crop. Raises
    StoreError when the disk is full; then the answers are read, or their photos dealt, again.
    """
    known = store.known([(answer.photo, answer.recipe) for answer in answers])
    kept: list[PhotoResult | Failure] = []
    for answer in answers:
        if isinstance(answer, Changed):
            store.end_attempt(answer.photo, answer.recipe, answer.attempt, counts=False)
            look_again(answer.path)
            continue
        kept.append(answer)
        key = (answer.photo, answer.recipe)
        if isinstance(answer, PhotoResult) and key not in known:
            known.add(key)  # a twin's faces differ by a pixel or two: none of its crops may be mixed in
            for position, face in enumerate(answer.faces):
                crops.write(face_id(*key, position), face.crop)
    stored = iter(store.put(kept, read))
    return ["changed" if isinstance(answer, Changed) else next(stored) for answer in answers]
