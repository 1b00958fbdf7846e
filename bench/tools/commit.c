/*
 * The latency of one synced LMDB commit.
 *
 *     commit DIR COUNT PAUSE SIZE
 *
 * COUNT times one record of SIZE bytes under a rising key of 16 bytes, each in
 * a transaction of its own, PAUSE milliseconds between them.  DIR must exist
 * and be empty.  One line of JSON.
 */

#include <lmdb.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "http.h"
#include "pace.h"


static MDB_env  *env;
static MDB_dbi   dbi;
static MDB_val   record;


static void
check(int rc, const char *what)
{
    if (rc != MDB_SUCCESS) {
        http_die("%s: %s", what, mdb_strerror(rc));
    }
}


static void
put(int i)
{
    int             n;
    MDB_txn        *txn;
    MDB_val         key;
    unsigned char   id[16];

    memset(id, 0, sizeof(id));
    for (n = 0; n < 4; n++) {
        id[n] = (unsigned char) (i >> (24 - 8 * n));
    }

    key.mv_size = sizeof(id);
    key.mv_data = id;

    check(mdb_txn_begin(env, NULL, 0, &txn), "mdb_txn_begin()");
    check(mdb_put(txn, dbi, &key, &record, MDB_APPEND), "mdb_put()");
    check(mdb_txn_commit(txn), "mdb_txn_commit()");
}


int
main(int argc, char **argv)
{
    MDB_txn  *txn;

    if (argc != 5) {
        http_die("usage: commit DIR COUNT PAUSE SIZE");
    }

    alarm(60);

    record.mv_size = strtoul(argv[4], NULL, 10);
    record.mv_data = calloc(1, record.mv_size);

    check(mdb_env_create(&env), "mdb_env_create()");
    check(mdb_env_set_mapsize(env, (size_t) 1 << 30), "mdb_env_set_mapsize()");
    check(mdb_env_open(env, argv[1], MDB_NOTLS, 0600), "mdb_env_open()");

    check(mdb_txn_begin(env, NULL, 0, &txn), "mdb_txn_begin()");
    check(mdb_dbi_open(txn, NULL, 0, &dbi), "mdb_dbi_open()");
    check(mdb_txn_commit(txn), "mdb_txn_commit()");

    pace(atoi(argv[2]), atoi(argv[3]), put);
    mdb_env_close(env);

    return 0;
}
