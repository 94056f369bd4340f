"""Adapters to heavy libraries, which are imported only when a model is used: labelers, embedders, students."""
