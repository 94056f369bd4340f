-- Run once, when PostgreSQL makes its data folder: the ledger has a database and a role of its own, so that whoever
-- records votes cannot touch Dagster's storage.
\getenv ledger_password AL_LEDGER_PASSWORD
create role al_ledger login password :'ledger_password';
create database ledger owner al_ledger;
revoke all on database ledger from public;
revoke all on database dagster from public;
