"""What experts are asked: the queue of a round, its random samples and hidden items, and why an item is there."""
