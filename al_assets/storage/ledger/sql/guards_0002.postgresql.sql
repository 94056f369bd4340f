CREATE OR REPLACE FUNCTION al_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION USING
        MESSAGE = TG_TABLE_NAME || ' is append-only: ' || TG_OP || ' is refused; a new row supersedes an old one';
END
$$

CREATE TRIGGER queue_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON queue
FOR EACH STATEMENT EXECUTE FUNCTION al_append_only()

CREATE TRIGGER votes_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON votes
FOR EACH STATEMENT EXECUTE FUNCTION al_append_only()

CREATE TRIGGER adjudications_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON adjudications
FOR EACH STATEMENT EXECUTE FUNCTION al_append_only()

CREATE TRIGGER rater_changes_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON rater_changes
FOR EACH STATEMENT EXECUTE FUNCTION al_append_only()

CREATE TRIGGER policy_texts_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON policy_texts
FOR EACH STATEMENT EXECUTE FUNCTION al_append_only()

CREATE TRIGGER imports_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON imports
FOR EACH STATEMENT EXECUTE FUNCTION al_append_only()

CREATE TRIGGER desk_audit_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON desk_audit
FOR EACH STATEMENT EXECUTE FUNCTION al_append_only()

CREATE TRIGGER desk_policy_proposals_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON desk_policy_proposals
FOR EACH STATEMENT EXECUTE FUNCTION al_append_only()

CREATE TRIGGER desk_policy_withdrawals_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON desk_policy_withdrawals
FOR EACH STATEMENT EXECUTE FUNCTION al_append_only()

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

DROP FUNCTION IF EXISTS al_desk_append_only()

DROP FUNCTION IF EXISTS al_desk_policy_proposals_append_only()

DROP FUNCTION IF EXISTS al_desk_policy_withdrawals_append_only()
