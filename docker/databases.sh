#!/bin/sh
# Run by the Postgres image when its volume is new: a role and databases of their own for Temporal and for Syncline, so
# that neither can read or break the other's tables. Owners, because since Postgres 15 nobody else may create tables.
set -eu
: "${TEMPORAL_DB_PASSWORD:?not set, see .env.example}"
: "${SYNCLINE_DB_PASSWORD:?not set, see .env.example}"

# The passwords reach psql by the environment: an argument would show in the list of processes.
psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username "${POSTGRES_USER:-postgres}" --dbname postgres <<'SQL'
\getenv temporal_password TEMPORAL_DB_PASSWORD
\getenv syncline_password SYNCLINE_DB_PASSWORD
-- A statement that fails is written to the log with its text: keep these two out of it.
SET log_min_error_statement = panic;
CREATE ROLE temporal LOGIN PASSWORD :'temporal_password';
CREATE ROLE syncline LOGIN PASSWORD :'syncline_password';
CREATE DATABASE temporal OWNER temporal;
CREATE DATABASE temporal_visibility OWNER temporal;
CREATE DATABASE syncline OWNER syncline;
REVOKE CONNECT, TEMPORARY ON DATABASE temporal, temporal_visibility, syncline FROM PUBLIC;
SQL
