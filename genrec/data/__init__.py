"""Files of the outside world -> checked tables -> batches."""
