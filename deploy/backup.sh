#!/bin/sh
# Backs up the database of an installation, and restores it. The programs of PostgreSQL 18 or newer are needed; a prefix of their
# names, such as a folder, can be given in ROUTEPLANE_PG_TOOLS. A command line has to pass on the variable PGPASSWORD, as with
# `docker run --env PGPASSWORD …`.
#
#   ROUTEPLANE_BACKUP_DATABASE_URL=postgres://routeplane_backup:…@host/routeplane  backup.sh dump <file>
#   ROUTEPLANE_ADMIN_DATABASE_URL=postgres://postgres:…@host/routeplane            backup.sh restore <file>
#
# `restore` needs a superuser, and a database that provision has just created: one with tables is refused. packages/postgres/README.md lists
# the steps before and after it.
set -eu

usage() {
  echo "usage: backup.sh dump <file> | backup.sh restore <file>" >&2
  exit 2
}

# Decodes the percent-encoded bytes of a text.
decode() {
  printf '%s\n' "$1" | LC_ALL=C awk '{
    digits = "0123456789ABCDEF"
    for (decoded = ""; match($0, /%[0-9A-Fa-f][0-9A-Fa-f]/); $0 = substr($0, RSTART + 3)) {
      hex = toupper(substr($0, RSTART + 1, 2))
      code = 16 * (index(digits, substr(hex, 1, 1)) - 1) + index(digits, substr(hex, 2, 1)) - 1
      decoded = decoded substr($0, 1, RSTART - 1) sprintf("%c", code)
    }
    print decoded $0
  }'
}

# Sets `url` to a connection string without its password, which goes into the environment: every user can read command lines.
connect_to() {
  url=$(printf '%s\n' "$1" | sed -E 's#^([a-z]+://[^:/@]*):[^/@]*@#\1@#')
  [ "$url" = "$1" ] && return
  PGPASSWORD=$(decode "$(printf '%s\n' "$1" | sed -E 's#^[a-z]+://[^:/@]*:([^/@]*)@.*#\1#')")
  export PGPASSWORD
}

[ $# -eq 2 ] || usage
file=$2
case $1 in
dump)
  : "${ROUTEPLANE_BACKUP_DATABASE_URL:?is required: the connection string of the role for backups}"
  connect_to "$ROUTEPLANE_BACKUP_DATABASE_URL"
  umask 077
  # Unquoted: the prefix may be a command line.
  ${ROUTEPLANE_PG_TOOLS:-}pg_dump --format=custom --file="$file.partial" --dbname="$url"
  # A file under its own name is complete.
  mv "$file.partial" "$file"
  ;;
restore)
  : "${ROUTEPLANE_ADMIN_DATABASE_URL:?is required: the connection string of a superuser, to the database}"
  connect_to "$ROUTEPLANE_ADMIN_DATABASE_URL"
  tables=$(${ROUTEPLANE_PG_TOOLS:-}psql --no-psqlrc --tuples-only --no-align --dbname="$url" --command="
    select count(*) from pg_tables where schemaname in ('auth', 'policy', 'usage')")
  if [ "$tables" != 0 ]; then
    echo "the database is not empty: it has $tables tables. Drop it and provision it again first" >&2
    exit 1
  fi
  # All or nothing. The empty schemas that provision has created are replaced by those of the backup.
  ${ROUTEPLANE_PG_TOOLS:-}pg_restore --clean --if-exists --exit-on-error --single-transaction \
    --dbname="$url" "$file"
  ;;
*) usage ;;
esac
