#!/bin/sh
# Brings the tables of Temporal's two databases up to the version of this image. Safe to repeat: `setup-schema` leaves a
# newer version alone, and `update-schema` applies only what is missing. The server's address, user and password come
# from SQL_PLUGIN, SQL_HOST, SQL_PORT, SQL_USER and SQL_PASSWORD.
set -eu
: "${SQL_HOST:?not set: host name of the Postgres server}"
: "${SQL_PASSWORD:?not set: password of the role that owns the databases}"

# $1 database, $2 schema name inside the tool. The databases exist already (docker/databases.sh): the role needs no
# right to create one.
bring_up_to_date() {
  echo "schema: $1"
  temporal-sql-tool --db "$1" setup-schema --version 0.0
  temporal-sql-tool --db "$1" update-schema --schema-name "$2"
}

bring_up_to_date temporal postgresql/v12/temporal
bring_up_to_date temporal_visibility postgresql/v12/visibility
