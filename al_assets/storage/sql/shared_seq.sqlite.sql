-- Votes and adjudications share one order: a reader of one table up to a seq must not miss a row of the other.
CREATE TRIGGER votes_seq_is_free BEFORE INSERT ON votes
WHEN EXISTS (SELECT 1 FROM adjudications AS other WHERE other.seq = NEW.seq)
BEGIN
    SELECT RAISE(ABORT, 'votes: this seq is already taken by an adjudication');
END

CREATE TRIGGER adjudications_seq_is_free BEFORE INSERT ON adjudications
WHEN EXISTS (SELECT 1 FROM votes AS other WHERE other.seq = NEW.seq)
BEGIN
    SELECT RAISE(ABORT, 'adjudications: this seq is already taken by a vote');
END
