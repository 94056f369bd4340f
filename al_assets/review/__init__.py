"""How questions reach the experts and votes come back: the review desk, sheets, the drop folder, Label Studio."""
