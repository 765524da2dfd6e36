"""Files that only their owner can read: what every command sets before it makes one.

The mode of a file that SQLite, a library or a child makes is decided when it is made; so each
process takes the rights of all others away beforehand, and nothing is ever open for a moment.
What an earlier release or a copy by hand has left open is closed when it is used again.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

from acquirer.config.loading import ConfigError

PRIVATE_UMASK = 0o077


def make_files_private() -> None:
    """Give group and others no right on anything that this process and its children make."""
    os.umask(PRIVATE_UMASK)


def own_folder(folder: Path) -> None:
    """Make a data folder, or take one that is there; close it and its files to all others.

    Raises:
        ConfigError: it is no folder, or one that is shared with others, such as ``/tmp``.
        OSError: it cannot be made.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except FileExistsError:
        raise ConfigError(folder, "", "is no folder; --data takes one") from None
    if folder.stat().st_mode & stat.S_ISVTX:
        reason = "is shared with other users; name a folder of its own, such as one in it"
        raise ConfigError(folder, "", reason)
    close_to_others(folder, *folder.iterdir())


def close_to_others(*paths: Path) -> None:
    """Take the rights of group and others off files and folders that are there.

    Links are left alone, and so is what belongs to somebody else.
    """
    for path in paths:
        with suppress(FileNotFoundError, PermissionError):
            mode = path.lstat().st_mode
            if mode & PRIVATE_UMASK and not stat.S_ISLNK(mode):
                path.chmod(stat.S_IMODE(mode) & ~PRIVATE_UMASK)
