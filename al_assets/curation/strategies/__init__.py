"""Strategies: small objects that say what to ask the experts next, behind one interface."""
