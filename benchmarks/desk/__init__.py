"""The review desk under load: many raters at once, and a server that is killed under their hands."""
