#!/bin/bash
# A PostgreSQL cluster for one test process, in a directory of its own and on
# loopback only. It trusts everybody and does not care about power cuts.
#
#   pgtmp.sh start DIR PORT OWNER_PID   started when this returns; it goes away
#                                       with the process OWNER_PID, however that ends.
#                                       DIR/cluster may be an empty file system of its own
#   pgtmp.sh restart DIR MODE           connections break; it answers again when this returns.
#                                       MODE "fast" ends it in order, "immediate" as a crash does
#   pgtmp.sh revive DIR                 restarts it if it has ended
#   pgtmp.sh stop DIR
#
# PostgreSQL refuses to run as root; then the cluster belongs to user postgres.
set -euo pipefail

programs=$(find /usr/lib/postgresql /usr/pgsql-* /usr/local/pgsql -maxdepth 2 -type d -name bin \
    2>/dev/null | sort -V | tail -n 1) || true
if [ -z "$programs" ] || [ ! -x "$programs/initdb" ]; then
    initdb=$(command -v initdb || true)
    if [ -z "$initdb" ]; then
        echo "PostgreSQL is not installed; these tests need it (Debian: apt-get install postgresql)" >&2
        exit 3
    fi
    programs=$(dirname "$initdb")
fi

action=$1
directory=$2
cluster=$directory/cluster

unprivileged() {
    if [ "$(id -u)" = 0 ]; then
        runuser -u postgres -- "$@"
    else
        "$@"
    fi
}

stop() {
    unprivileged "$programs/pg_ctl" stop -D "$cluster" -m immediate -w -s >/dev/null 2>&1 || true
}

# With the options it was started with.
restart() {
    unprivileged "$programs/pg_ctl" restart -D "$cluster" -m "$1" -w -s -t 60 \
        -l "$directory/server.log" >/dev/null 2>&1 </dev/null || {
        cat "$directory/server.log" >&2
        exit 1
    }
}

case $action in
start)
    port=$3
    owner=$4
    if [ "$(id -u)" = 0 ]; then
        chown postgres "$directory"
        if [ -d "$cluster" ]; then
            chown postgres "$cluster"
        fi
    fi
    cd "$directory"
    if [ ! -e "$cluster/PG_VERSION" ]; then
        # Small segments of the log, so that it often needs another one.
        unprivileged "$programs/initdb" -D "$cluster" -U postgres --auth=trust --encoding=UTF8 \
            --locale=C --no-sync --wal-segsize=1 >"$directory/initdb.log" 2>&1 || {
            cat "$directory/initdb.log" >&2
            exit 1
        }
    fi
    settings="-p $port -h 127.0.0.1 -c unix_socket_directories='' -c max_connections=100"
    settings="$settings -c fsync=off -c full_page_writes=off -c synchronous_commit=off"
    settings="$settings -c min_wal_size=2MB -c max_wal_size=64MB"
    unprivileged "$programs/pg_ctl" start -D "$cluster" -w -s -t 60 -l "$directory/server.log" \
        -o "$settings" >/dev/null 2>&1 </dev/null || {
        cat "$directory/server.log" >&2
        exit 1
    }
    # Drop of the owner's guard stops the cluster; this is for an owner that was killed.
    (
        while kill -0 "$owner" 2>/dev/null && [ -d "$cluster" ]; do sleep 1; done
        stop
    ) >/dev/null 2>&1 </dev/null &
    ;;
restart)
    cd "$directory"
    restart "$3"
    ;;
revive)
    cd "$directory"
    if ! unprivileged "$programs/pg_ctl" status -D "$cluster" -s >/dev/null 2>&1; then
        restart fast
    fi
    ;;
stop)
    cd /
    stop
    ;;
*)
    echo "usage: $0 start DIR PORT OWNER_PID | restart DIR MODE | revive DIR | stop DIR" >&2
    exit 2
    ;;
esac
