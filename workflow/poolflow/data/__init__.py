"""Files of a study: HDF5 and JSON, rows read by blocks, candidates, labelled sets, archives, published files."""
