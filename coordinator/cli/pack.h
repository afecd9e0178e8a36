/*
 * pack - a folder of images on its way to the coordinator: its index and, part by part, its files' bytes, joined in
 * memory while they're sent.
 */
#ifndef COORDINATOR_CLI_PACK_H
#define COORDINATOR_CLI_PACK_H

#include "common/pictures/index.h"
#include "coordinator/cli/upload.h"

struct pack { /* zeroed is empty */
    struct picture_index index;
    char *folder;
    int index_fd; /* over 0 where there is one: the index's bytes, in memory */
};

/* Looks at the folder's files, see picture_folder_scan; an earlier call's result stays. */
MUST_CHECK int pack_init(struct pack *p, const char *folder, const char *labels, struct err *e);
void pack_release(struct pack *p);

/* Reads all files, for their hashes. The index is a file to upload, open for as long as the pack or what this
 * process turns into by exec. */
MUST_CHECK int pack_index(struct pack *p, struct upload *u, struct err *e);

/* Sends the parts that the coordinator lacks. ERR_INVALID when a file has changed meanwhile. */
MUST_CHECK int pack_send(const struct pack *p, struct client *cl, struct err *e);

#endif
