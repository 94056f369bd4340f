"""Label Studio as the raters' page: questions pushed to a project, annotations pulled into the ledger."""
