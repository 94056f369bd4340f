"""The review desk: a web application where experts label, blind and in peace."""
