"""Files of votes and questions: the project's own sheets, or what another labelling tool reads and writes."""
