"""A folder's own probe: what tells the folder's trouble from that of one file in it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from threading import get_native_id

from bgrd.delivery.archive import try_out
from bgrd.delivery.beneath import folder_faults, opened_directory
from bgrd.delivery.naming import hidden_probe
from bgrd.delivery.outbox import Draft, Outbox
from bgrd.errors import Fault, FileFault, FolderFault, UnknownFault
from bgrd.job import Folder, Job

__all__ = ["probe", "probe_fault", "weighed"]


def probe(folder: Folder, outbox: Outbox) -> None:
    """List the inbox and create, fsync and drop a file in the outbox and, where sources are copied there, the archive.

    Raises FolderFault where any does not work, DaemonFault where bgrd itself is short of something.
    """
    with folder_faults("inbox", folder.inbox), opened_directory(folder.inbox) as inbox:
        with os.scandir(inbox) as entries:
            next(entries, None)
        if folder.policy == "archive":
            _try_archive(folder, inbox)
    outbox.probe()


def _try_archive(folder: Folder, inbox: int) -> None:
    with folder_faults("archive", folder.archive), opened_directory(folder.archive) as archive:
        with os.scandir(archive) as entries:
            next(entries, None)
        try_out(archive, source=inbox, spare=hidden_probe(get_native_id()))


def weighed(fault: FolderFault, outbox: Outbox, drafts: Sequence[Draft], job: Job) -> Fault:
    """Give what a lane's word about its folder is worth while the drafts it was given are still there.

    It is the folder's trouble where writing on to them fails here too; then that fault is given. Else it costs its
    picture alone: that waits once, as the room may have come back just now, and is charged from then on.
    """
    try:
        for draft in drafts:
            outbox.strain(draft)
    except Fault as found:
        return found
    text = f"its result cannot be written although its folder is well: {fault}"
    again = job.kind in {FileFault.kind, UnknownFault.kind}
    return UnknownFault(text) if again else FileFault(text)


def probe_fault(folder: Folder, outbox: Outbox) -> Fault | None:
    """Give what `probe` raises, None where all is well."""
    try:
        probe(folder, outbox)
    except Fault as fault:
        return fault
    return None
