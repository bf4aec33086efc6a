"""The single checks that :func:`indl.data.examine` makes, by what they look at."""
