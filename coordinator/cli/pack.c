#include "coordinator/cli/pack.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/pictures/folder.h"
#include "coordinator/cli/network.h"

int pack_init(struct pack *p, const char *folder, const char *labels, struct err *e)
{
    if (p->folder)
        return 0;
    *p = (struct pack){.folder = xstrdup(folder)};
    int rc = picture_folder_scan(&p->index, folder, labels, e);
    if (rc < 0)
        pack_release(p);
    return rc;
}

void pack_release(struct pack *p)
{
    if (p->index_fd > 0)
        close(p->index_fd);
    picture_index_release(&p->index);
    free(p->folder);
    *p = (struct pack){.folder = NULL};
}

int pack_index(struct pack *p, struct upload *u, struct err *e)
{
    const char *name = data_kind_files(DATA_IMAGES, false)[0].name;
    struct buf bytes = {0};
    int rc = picture_folder_hash(&p->index, p->folder, e);
    if (rc < 0)
        return rc;
    picture_index_encode(&p->index, &bytes);
    rc = network_hold(name, bytes.p, bytes.n, &p->index_fd, e);
    buf_release(&bytes);
    if (rc < 0)
        return rc;
    char *path = xasprintf("/proc/self/fd/%d", p->index_fd);
    rc = upload_init(u, path, name, e);
    free(path);
    return rc;
}

static int send_part(const struct pack *p, int i, struct client *cl, struct err *e)
{
    const struct picture_part *part = &p->index.parts[i];
    struct buf bytes = {0};
    struct upload u = {.path = NULL};
    int fd, rc = picture_folder_part(&p->index, p->folder, i, &bytes, e);
    struct hash is = hash_of(bytes.p, bytes.n);
    if (rc == 0 && !hash_equal(&is, &part->hash))
        rc = err_set(e, ERR_INVALID, "\"%s\": an image has changed since it was looked at", p->folder);
    if (rc == 0)
        rc = network_hold("images", bytes.p, bytes.n, &fd, e);
    buf_release(&bytes);
    if (rc < 0)
        return rc;
    u.path = xasprintf("/proc/self/fd/%d", fd);
    u.file = (struct data_file){.hash = part->hash, .size = part->size};
    snprintf(u.file.name, sizeof(u.file.name), "images, part %d of %d", i + 1, p->index.n_parts);
    rc = upload_send(cl, &u, 1, e);
    upload_release(&u);
    close(fd);
    return rc;
}

int pack_send(const struct pack *p, struct client *cl, struct err *e)
{
    int rc = 0;
    for (int i = 0; i < p->index.n_parts && rc == 0; i++) {
        bool has;
        rc = client_has_blob(cl, &p->index.parts[i].hash, &has, e);
        if (rc == 0 && !has)
            rc = send_part(p, i, cl, e);
    }
    return rc;
}
