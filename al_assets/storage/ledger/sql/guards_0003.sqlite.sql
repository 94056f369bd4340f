CREATE TRIGGER label_readings_no_update BEFORE UPDATE ON label_readings
BEGIN
    SELECT RAISE(ABORT, 'label_readings is append-only: what was read is never changed or removed');
END

CREATE TRIGGER label_readings_no_delete BEFORE DELETE ON label_readings
BEGIN
    SELECT RAISE(ABORT, 'label_readings is append-only: what was read is never changed or removed');
END

CREATE TRIGGER label_readings_no_replace BEFORE INSERT ON label_readings
WHEN EXISTS (SELECT 1 FROM label_readings AS old WHERE old.policy = NEW.policy AND old.seq = NEW.seq)
BEGIN
    SELECT RAISE(ABORT, 'label_readings is append-only: this reading is already on record');
END
