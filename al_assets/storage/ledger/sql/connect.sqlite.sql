PRAGMA busy_timeout = 30000

PRAGMA journal_mode = WAL

PRAGMA synchronous = FULL

PRAGMA foreign_keys = ON
