"""`faceswarm report`: static pages with every stored face, photo by photo."""

from __future__ import annotations

import itertools
import os
import shutil
from html import escape
from pathlib import Path

from faceswarm.exits import CommandError, Exit
from master.crops import Crops
from master.store import Store, StoredFace

PHOTOS_A_PAGE = 200  # a page of about a thousand small pictures opens at once in any browser

STYLE = """
body { font: 15px/1.4 system-ui, sans-serif; margin: 1.5rem auto; max-width: 75rem; padding: 0 1rem;
       color: #222; background: #fafafa }
nav a { margin-right: .8rem }
section { margin: 1.2rem 0; padding: .6rem .8rem; background: #fff; border-radius: .4rem }
h2 { font-size: 1rem; margin: 0 0 .5rem; overflow-wrap: anywhere }
figure { display: inline-block; margin: 0 .5rem .5rem 0; text-align: center }
img { height: 120px; border-radius: .3rem; display: block }
figcaption { font-size: .75rem; color: #666 }
@media (prefers-color-scheme: dark) { body { color: #ddd; background: #181818 } section { background: #242424 } }
"""


def write_report(store: Store, crops_folder: Path, folder: Path) -> Path:
    """Writes the pages and copies of the crops into ``folder``; returns the first page."""
    crops = Crops(crops_folder)
    counts = store.counts()
    title = f"{counts.faces:,} faces in {counts.photos:,} photos"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        by_photo = itertools.groupby(store.faces(), key=lambda face: face.photo)
        pages: list[Path] = []
        while sections := [
            _section(list(faces), crops, folder) for _, faces in itertools.islice(by_photo, PHOTOS_A_PAGE)
        ]:
            pages.append(folder / (f"page{len(pages) + 1}.html" if pages else "index.html"))
            pages[-1].write_text("\n".join(sections), encoding="utf-8")
        if not pages:
            pages.append(folder / "index.html")
            pages[0].write_text("<p>No faces yet.</p>", encoding="utf-8")
        for number, page in enumerate(pages, 1):  # again, now that the number of pages is known
            page.write_text(_page(title, page.read_text(encoding="utf-8"), number, pages), encoding="utf-8")
    except OSError as error:
        raise CommandError(Exit.USAGE, f"{folder} can't be written ({error.strerror}).") from error
    return pages[0]


def _section(faces: list[StoredFace], crops: Crops, folder: Path) -> str:
    figures = []
    for face in faces:
        source = crops.path(face.face)
        target = folder / source.relative_to(crops.folder)
        if not target.exists() and source.exists():
            target.parent.mkdir(exist_ok=True)
            try:
                os.link(source, target)
            except OSError:
                shutil.copyfile(source, target)
        figures.append(
            f'<figure><img src="{target.relative_to(folder)}" alt="face {face.face}" loading="lazy">'
            f"<figcaption>score {face.score:.2f} · doubt {face.doubt:.2f}</figcaption></figure>"
        )
    return f"<section><h2>{escape(', '.join(faces[0].paths))}</h2>{''.join(figures)}</section>"


def _page(title: str, sections: str, number: int, pages: list[Path]) -> str:
    links = "".join(
        f"<b>{other} </b>" if other == number else f'<a href="{page.name}">{other}</a>'
        for other, page in enumerate(pages, 1)
        if len(pages) > 1
    )
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{title}</title><style>{STYLE}</style><h1>{title}</h1><nav>{links}</nav>{sections}<nav>{links}</nav>"
    )
