#!/bin/sh
# Creates Temporal's two databases and brings their schemas up to this image's version. Runs to its end at every start;
# what is there already stays as it is. SQL_HOST, SQL_USER and SQL_PASSWORD are in the environment.
set -eu

export SQL_PLUGIN=postgres12
export SQL_PORT="${SQL_PORT:-5432}"
schemas="${SCHEMAS:-/etc/temporal/schema/postgresql/v12}"

setup() {
  temporal-sql-tool --database "$1" create-database
  temporal-sql-tool --database "$1" setup-schema --version 0.0
  temporal-sql-tool --database "$1" update-schema --schema-dir "$schemas/$2/versioned"
}

setup temporal temporal
setup temporal_visibility visibility
