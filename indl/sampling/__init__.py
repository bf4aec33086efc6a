"""Random numbers, sampling layers, and the modes in which a built model samples."""
