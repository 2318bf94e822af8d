"""What others may listen to."""

from django.dispatch import Signal

# Sent after commit with run_id and kind: "queued", "started", "test", "finished". In a worker's process or a web one.
run_changed = Signal()
