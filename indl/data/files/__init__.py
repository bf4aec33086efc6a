"""HDF5 files, written and read."""
