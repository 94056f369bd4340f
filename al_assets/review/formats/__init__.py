"""Questions and votes in the forms of other labelling tools."""
