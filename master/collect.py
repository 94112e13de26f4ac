"""What workers answer, into the store: idempotent, since every answer may arrive twice or late."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from common.messages import Answer, Changed, Failure
from master.crops import Crops
from master.store import Store
from master.store.ids import face_id

Outcome = Literal["stored", "failed", "changed", "known"]


def collect(answer: Answer, *, store: Store, crops: Crops, look_again: Callable[[str], None]) -> Outcome:
    """Keeps an answer; says what became of it: "known" if it changed nothing.

    Crops are written before the result that speaks of them, so that a stored face always has its crop. Raises
    StoreError when the disk is full; then nothing of the answer counts, and the photo is dealt again.
    """
    if isinstance(answer, Changed):
        store.end_attempt(answer.photo, answer.recipe, answer.attempt, counts=False)
        look_again(answer.path)
        return "changed"
    if isinstance(answer, Failure):
        return "failed" if store.put([answer]) == ["stored"] else "known"
    if store.known([(answer.photo, answer.recipe)]):
        return "known"  # its faces differ by a pixel or two from those stored: none of them may be mixed in
    for position, face in enumerate(answer.faces):
        crops.write(face_id(answer.photo, answer.recipe, position), face.crop)
    return store.put([answer])[0]
