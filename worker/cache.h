/*
 * cache - local copies of what the coordinator names by hash: a cache folder with one file a blob, DIR/<64 hex
 * digits>, which several workers may share, and folders of data sets that lie on this machine anyway.
 *
 * No file is used before its bytes were hashed by this process; that is remembered by (path, size, mtime). What is
 * fetched goes to <hash>.part, which the next try resumes, and gets its name when the hash is right.
 */
#ifndef WORKER_CACHE_H
#define WORKER_CACHE_H

#include "worker/desk.h"

struct cache_folder { /* --data NAME=PATH */
    const char *kind; /* data sets of that kind's name are looked for ... */
    const char *path; /* ... here, by their files' names */
};

struct cache;

/* Makes the cache folder. `folders` and their texts are borrowed for the cache's life. */
MUST_CHECK int cache_new(struct cache **b, const char *dir, const struct cache_folder *folders, int n_folders,
                         struct desk *d, struct err *e);
void cache_free(struct cache *b); /* NULL is fine; the files stay */

/* The nth folder for that kind, or NULL. Images lie there one by one, not as the files that are asked for by hash: who
 * uses them checks them. */
const char *cache_folder(const struct cache *b, const char *data_kind, int nth);

/*
 * *path: where the blob lies, fetched first if need be; borrowed until cache_free. size 0: not known. data_name,
 * data_kind: of a data set's file, else NULL. Errors as in transfer.h; ERR_IO also when what came has another hash.
 */
MUST_CHECK int cache_get(struct cache *b, const struct hash *h, uint64_t size, const char *data_name,
                         const char *data_kind, const char **path, struct err *e);

#endif
