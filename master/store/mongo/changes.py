"""What becomes of photos when files come, change and go: what the MongoDB store reads is decided upon here. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from master.store import File, Photo
from master.store.mongo.documents import UNFINISHED, Document, lists, photo_document, with_files

Found = Mapping[str, File | None]  # by path; None: it is gone


class Changes:
    """Files found at paths, against the documents of these paths."""

    def __init__(self, found: Found, before: Mapping[str, Document]) -> None:
        self.found = found
        self.before = before
        self.lost: defaultdict[str, set[str]] = defaultdict(set)  # paths, by photo
        self.gained: defaultdict[str, dict[str, int]] = defaultdict(dict)  # modification times by path, by photo
        self.resumed: set[str] = set()  # photos of a change that was broken off by a kill: nothing of it is sure
        self.marks: dict[str, Document] = {}
        for path, file in found.items():
            self._compare(path, file, before.get(path, {}))

    def _compare(self, path: str, file: File | None, before: Document) -> None:
        claimed = before["claims"] if "claims" in before else [before["photo"]] if "photo" in before else []
        photos = [file.photo] if file and file.photo else []
        for photo in claimed:
            if photo not in photos:
                self.lost[photo].add(path)
        if file and file.photo:
            self.gained[file.photo][path] = file.mtime_ns
        if "claims" in before:
            self.resumed.update(claimed)
        if claimed != photos:
            # Until all is done the file says which photos may list it, and differs from what any scan finds: killed in
            # between, it is looked at again, or forgotten again, and nothing is left behind.
            claims = [photo for photo in claimed if photo not in photos] + photos
            self.marks[path] = {"size": UNFINISHED, "mtime_ns": UNFINISHED, "claims": claims}
            if file:
                self.marks[path] |= {"folder": file.folder, "name": file.name}

    def photos(self) -> set[str]:
        """The photos whose documents are needed."""
        return {*self.lost, *self.gained}

    def after(self, known: Mapping[str, Document], given: Mapping[str, Photo]) -> dict[str, Document]:
        """What these photos' documents are to be; those not known begin as they are given."""
        new = {photo: photo_document(value) for photo, value in given.items() if photo not in known}
        return {
            photo: with_files(document, self.lost.get(photo, ()), self.gained.get(photo, {}))
            for photo, document in {**known, **new}.items()
        }

    def turned(self, known: Mapping[str, Document], after: Mapping[str, Document]) -> dict[str, bool]:
        """Photos that have a file now and had none, or the other way round."""
        return {
            photo: "path" in after[photo]
            for photo, document in known.items()
            if photo in self.resumed or ("path" in document) != ("path" in after[photo])
        }

    def beyond(self, file: File, after: Mapping[str, Document]) -> bool:
        """Whether the file's photo has too many files to list this one."""
        return file.photo is not None and file.photo in after and not lists(after[file.photo], file.path)
