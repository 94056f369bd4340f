CREATE OR REPLACE FUNCTION al_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION USING
        MESSAGE = TG_TABLE_NAME || ' is append-only: ' || TG_OP || ' is refused; a new row supersedes an old one';
END
$$

CREATE TRIGGER votes_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON votes
FOR EACH STATEMENT EXECUTE FUNCTION al_append_only()

CREATE TRIGGER queue_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON queue
FOR EACH STATEMENT EXECUTE FUNCTION al_append_only()

CREATE TRIGGER imports_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON imports
FOR EACH STATEMENT EXECUTE FUNCTION al_append_only()

