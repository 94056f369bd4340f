CREATE OR REPLACE FUNCTION al_desk_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION USING
        MESSAGE = TG_TABLE_NAME || ' is append-only: what was done is never changed or removed';
END
$$

CREATE TRIGGER desk_audit_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON desk_audit
FOR EACH STATEMENT EXECUTE FUNCTION al_desk_append_only()
