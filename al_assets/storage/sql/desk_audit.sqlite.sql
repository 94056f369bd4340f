CREATE TRIGGER desk_audit_no_update BEFORE UPDATE ON desk_audit
BEGIN
    SELECT RAISE(ABORT, 'desk_audit is append-only: what was done is never changed or removed');
END

CREATE TRIGGER desk_audit_no_delete BEFORE DELETE ON desk_audit
BEGIN
    SELECT RAISE(ABORT, 'desk_audit is append-only: what was done is never changed or removed');
END

-- INSERT OR REPLACE deletes the old row without firing a delete trigger: refuse the insert instead.
CREATE TRIGGER desk_audit_no_replace BEFORE INSERT ON desk_audit
WHEN EXISTS (SELECT 1 FROM desk_audit AS old WHERE old.seq = NEW.seq)
BEGIN
    SELECT RAISE(ABORT, 'desk_audit is append-only: this seq is already taken');
END
