"""Where committers' events wait for the main loop."""

from __future__ import annotations

from bgrd.engine.events import Fed
from bgrd.engine.mailbox import Mailbox


def test_events_come_out_in_order_once() -> None:
    """All that was posted is given, first come first, and then forgotten."""
    mailbox = Mailbox()
    events = [Fed(folder=name) for name in "aba"]
    for event in events:
        mailbox.post(event)
    assert mailbox.take() == events
    assert mailbox.take() == []


def test_a_folder_that_is_served_no_more_is_forgotten() -> None:
    """Its events would be taken for those of the next desk of that name; the others' stay in order."""
    mailbox = Mailbox()
    for name in "abcab":
        mailbox.post(Fed(folder=name))
    mailbox.forget("a")
    assert [event.folder for event in mailbox.take()] == ["b", "c", "b"]
