"""What others may listen to."""

from django.dispatch import Signal

# Sent after commit with run_id and kind: "queued", "started", "test", "finished". In a worker's process or a web one. "finished" comes inside a transaction
# of its own, which is rolled back where the end was told already: what a listener does there belongs to that transaction, or to its on_commit.
run_changed = Signal()
