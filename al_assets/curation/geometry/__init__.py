"""Where items lie: vectors, cells, clusters, neighbours, overlaps, near-duplicates, pairs across the labels."""
