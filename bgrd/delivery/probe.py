"""A folder's own probe: what tells the folder's trouble from that of one file in it."""

from __future__ import annotations

import os

from bgrd.delivery.beneath import folder_faults
from bgrd.delivery.outbox import Outbox
from bgrd.errors import Fault
from bgrd.job import Folder

__all__ = ["probe", "probe_fault"]


def probe(folder: Folder, outbox: Outbox) -> None:
    """List the inbox and, where sources go there, the archive; create, fsync and drop a file in the outbox.

    Raises FolderFault where any does not work, DaemonFault where bgrd itself is short of something.
    """
    with folder_faults("inbox", folder.inbox), os.scandir(folder.inbox) as entries:
        next(entries, None)
    if folder.policy == "archive":
        with folder_faults("archive", folder.archive), os.scandir(folder.archive) as entries:
            next(entries, None)
    outbox.probe()


def probe_fault(folder: Folder, outbox: Outbox) -> Fault | None:
    """Give what `probe` raises, None where all is well."""
    try:
        probe(folder, outbox)
    except Fault as fault:
        return fault
    return None
