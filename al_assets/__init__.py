"""An open implementation of the expert-label curation loop, as a graph of Dagster assets."""

__version__ = "0.1.0"
