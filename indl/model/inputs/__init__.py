"""What a model reads: arrays of a recording, labels, and their form."""
