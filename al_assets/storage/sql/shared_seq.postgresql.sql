-- Votes and adjudications share one order: a reader of one table up to a seq must not miss a row of the other.
CREATE OR REPLACE FUNCTION al_seq_is_free() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM votes WHERE seq = NEW.seq) OR EXISTS (SELECT FROM adjudications WHERE seq = NEW.seq) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'unique_violation',
            MESSAGE = TG_TABLE_NAME || ': this seq is already taken by a vote or an adjudication';
    END IF;
    RETURN NEW;
END
$$

CREATE TRIGGER votes_seq_is_free BEFORE INSERT ON votes
FOR EACH ROW EXECUTE FUNCTION al_seq_is_free()

CREATE TRIGGER adjudications_seq_is_free BEFORE INSERT ON adjudications
FOR EACH ROW EXECUTE FUNCTION al_seq_is_free()
