-- Votes and adjudications share one order: a reader of one table up to a seq must not miss a row of the other.
-- The other table is named with its schema: data restored from a dump come in without a search path.
CREATE OR REPLACE FUNCTION al_seq_is_free() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    taken boolean;
BEGIN
    EXECUTE format('SELECT EXISTS (SELECT FROM %I.%I WHERE seq = $1)', TG_TABLE_SCHEMA, TG_ARGV[0])
    INTO taken USING NEW.seq;
    IF taken THEN
        RAISE EXCEPTION USING
            ERRCODE = 'unique_violation',
            MESSAGE = TG_TABLE_NAME || ': this seq is already taken by a row of ' || TG_ARGV[0];
    END IF;
    RETURN NEW;
END
$$

CREATE TRIGGER votes_seq_is_free BEFORE INSERT ON votes
FOR EACH ROW EXECUTE FUNCTION al_seq_is_free('adjudications')

CREATE TRIGGER adjudications_seq_is_free BEFORE INSERT ON adjudications
FOR EACH ROW EXECUTE FUNCTION al_seq_is_free('votes')
