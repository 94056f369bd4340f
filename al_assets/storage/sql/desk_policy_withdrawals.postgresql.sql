CREATE OR REPLACE FUNCTION al_desk_policy_withdrawals_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION USING
        MESSAGE = TG_TABLE_NAME || ' is append-only: a withdrawal is never changed or removed';
END
$$

CREATE TRIGGER desk_policy_withdrawals_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON desk_policy_withdrawals
FOR EACH STATEMENT EXECUTE FUNCTION al_desk_policy_withdrawals_append_only()
