"""Pure curation: what to ask the experts next. Arrays in, polars frames out, a seed where chance is involved."""
