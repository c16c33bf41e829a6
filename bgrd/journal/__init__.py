"""Every job's state, durable: the journal is the queue."""
