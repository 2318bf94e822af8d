"""What other packages may listen to."""

from django.dispatch import Signal

# Sent inside the transaction that ends an interview, with `interview`.
interview_finished = Signal()
# Sent inside the transaction that writes a finished run's event, with `question` and `run`.
hidden_run_finished = Signal()
