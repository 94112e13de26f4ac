"""Listing folders."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from common.paths import path_text
from master.scan.walk import IGNORE_MARK, walk


def names(root: Path, *ignore: str) -> dict[str, list[str]]:
    """Every folder listed, with its files in order."""
    return {listing.folder: sorted(e.name for e in listing.entries) for listing in walk(str(root), ignore)}


def files(root: Path, *paths: str) -> None:
    """Makes files, with their folders."""
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(b"x")


def test_every_folder_is_listed_once(tmp_path: Path) -> None:
    """Files are named below their folder, folders below the root."""
    files(tmp_path, "a.jpg", "x/b.jpg", "x/y/c.jpg")
    assert names(tmp_path) == {"": ["a.jpg"], "x": ["b.jpg"], "x/y": ["c.jpg"]}


def test_hidden_files_and_litter_are_left_out(tmp_path: Path) -> None:
    """What network storage and desktops leave behind is not listed, nor what lies in it."""
    files(tmp_path, "a.jpg", ".hidden.jpg", "@eaDir/thumb.jpg", "#recycle/old.jpg", ".Trash-1000/b.jpg", "Thumbs.db")
    assert names(tmp_path) == {"": ["a.jpg"]}


def test_ignored_paths_are_left_out_with_all_below(tmp_path: Path) -> None:
    """A path to ignore may be absolute or below the root, and takes its children along."""
    files(tmp_path, "a.jpg", "private/b.jpg", "private/x/c.jpg", "y/private/d.jpg", "z/e.jpg", "privately/f.jpg")
    assert names(tmp_path, "private", str(tmp_path / "z")) == {
        "": ["a.jpg"],
        "privately": ["f.jpg"],
        "y": [],
        "y/private": ["d.jpg"],
    }


def test_a_marked_folder_is_left_out_with_all_below(tmp_path: Path) -> None:
    """A folder that holds the mark shows nothing."""
    files(tmp_path, "a.jpg", f"crops/{IGNORE_MARK}", "crops/b.jpg", "crops/ab/c.jpg")
    assert names(tmp_path) == {"": ["a.jpg"], "crops": []}


def test_links_to_folders_are_not_followed(tmp_path: Path) -> None:
    """A loop of links ends the walk no later; a link to a file is a file."""
    files(tmp_path, "x/a.jpg")
    (tmp_path / "x" / "loop").symlink_to(tmp_path)
    (tmp_path / "b.jpg").symlink_to(tmp_path / "x" / "a.jpg")
    (tmp_path / "dangling.jpg").symlink_to(tmp_path / "nothing")
    assert names(tmp_path) == {"": ["b.jpg"], "x": ["a.jpg"]}


def test_pipes_and_sockets_are_no_files(tmp_path: Path) -> None:
    """What would block when opened is not listed."""
    os.mkfifo(tmp_path / "pipe.jpg")
    with socket.socket(socket.AF_UNIX) as unix:
        unix.bind(str(tmp_path / "s.jpg"))
        assert names(tmp_path) == {"": []}


def test_odd_names_are_listed(tmp_path: Path) -> None:
    """Names that are not UTF-8, or hold a newline, have a text like any other."""
    for raw in (b"caf\xe9.jpg", b"two\nlines.jpg"):
        with open(os.path.join(os.fsencode(tmp_path), raw), "wb"):
            pass
    assert names(tmp_path)[""] == sorted(path_text(raw) for raw in (b"caf\xe9.jpg", b"two\nlines.jpg"))


def test_a_folder_that_can_not_be_listed_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The others are listed all the same."""
    files(tmp_path, "a/x.jpg", "b/y.jpg")
    real = os.scandir

    def scandir(path: str) -> object:  # as root, permissions refuse nothing
        if str(path).endswith("/a"):
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    listings = {listing.folder: listing for listing in walk(str(tmp_path))}
    assert listings["a"].error == "Permission denied"
    assert [entry.name for entry in listings["b"].entries] == ["y.jpg"]


def test_an_empty_folder_is_told_from_one_whose_files_are_left_out(tmp_path: Path) -> None:
    """Only a folder with nothing at all in it is empty."""
    (tmp_path / "empty").mkdir()
    files(tmp_path, "hidden/.a.jpg")
    assert {listing.folder: listing.empty for listing in walk(str(tmp_path))} == {
        "": False,
        "empty": True,
        "hidden": False,
    }


def test_a_root_that_is_not_there_is_one_listing_with_an_error(tmp_path: Path) -> None:
    """A vanished root is an error in words, not an exception."""
    (listing,) = walk(str(tmp_path / "gone"))
    assert listing.error == "No such file or directory"
