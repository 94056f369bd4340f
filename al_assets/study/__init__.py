"""The study: the published experiment in kind on data that anyone can have, hidden labels in the place of experts."""
