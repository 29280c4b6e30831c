/* copy.c - copies of blobs, so that what a task refers to survives whatever the task does.
 *
 * A copy is made under a passing name and renamed when it is whole and on disk, so a copy that is there is right. Under
 * `memory` there are none: shared memory survives the same things as the page cache.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/internal.h"

#define CHUNK 65536
#define PATH_BYTES PATH_MAX
#define PASSING ".new"

static int is_hash(const char *text)
{
    return strspn(text, "0123456789abcdef") == GN_HASH_CHARS && !text[GN_HASH_CHARS];
}

static int path_of(const gn_store *store, const char *hash, const char *tail, char path[PATH_BYTES])
{
    return snprintf(path, PATH_BYTES, "%s/%s%s", store->blob_dir, hash, tail) < PATH_BYTES ? 0 : -ENAMETOOLONG;
}

static int shm_name(const gn_store *store, const char *hash, char name[NAME_MAX])
{
    return snprintf(name, NAME_MAX, "%s%s", store->shm_prefix, hash) < NAME_MAX ? 0 : -ENAMETOOLONG;
}

/* All of one into the other. 0 or -errno. */
static int copy_bytes(int from, int to)
{
    uint8_t chunk[CHUNK];
    uint64_t at = 0;
    ssize_t n;

    while ((n = pread(from, chunk, sizeof chunk, (off_t)at))) {
        int r = n < 0 ? errno == EINTR ? 0 : -errno : gn_write_all(to, chunk, (size_t)n, at);

        if (r)
            return r;
        at += n > 0 ? (uint64_t)n : 0;
    }
    return 0;
}

static int sync_folder(const gn_store *store)
{
    int fd = open(store->blob_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), r;

    if (fd < 0)
        return -errno;
    r = fsync(fd) ? -errno : 0;
    close(fd);
    return r;
}

int gn_copy_blob(const gn_store *store, const char *hash, int durable)
{
    char path[PATH_BYTES], passing[PATH_BYTES], name[NAME_MAX];
    int from, to, r = 0;

    if (path_of(store, hash, "", path) || path_of(store, hash, PASSING, passing) || shm_name(store, hash, name))
        return -ENAMETOOLONG;
    if (!access(path, F_OK))
        return 0;
    from = shm_open(name, O_RDONLY | O_CLOEXEC, 0);
    if (from < 0)
        return errno == ENOENT ? 0 : -errno; /* its task will say no_blob */
    if (mkdir(store->blob_dir, 0700) && errno != EEXIST)
        r = -errno;
    to = r ? -1 : open(passing, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (!r)
        r = to < 0 ? -errno : copy_bytes(from, to);
    if (!r && durable && fdatasync(to))
        r = -errno;
    if (to >= 0)
        close(to);
    close(from);
    if (!r && rename(passing, path))
        r = -errno;
    if (!r && durable)
        r = sync_folder(store);
    if (r)
        unlink(passing);
    return r;
}

void gn_store_blob_keep(gn_store *store, const char *hash)
{
    struct gn_copy *copy;

    if (store->config.policy == GN_STORE_MEMORY || !store->shm_prefix[0] || !is_hash(hash))
        return;
    copy = malloc(sizeof *copy);
    if (!copy)
        return; /* shared memory has it: only the end of the machine would show */
    memcpy(copy->hash, hash, sizeof copy->hash);
    pthread_mutex_lock(&store->lock);
    copy->next = store->copies;
    store->copies = copy;
    gn_sync_wake(store);
    pthread_mutex_unlock(&store->lock);
}

void gn_store_blob_drop(gn_store *store, const char *hash)
{
    char path[PATH_BYTES];

    if (!is_hash(hash) || path_of(store, hash, "", path))
        return;
    pthread_mutex_lock(&store->lock);
    for (struct gn_copy **at = &store->copies; *at;) {
        struct gn_copy *copy = *at;

        if (strcmp(copy->hash, hash)) {
            at = &copy->next;
            continue;
        }
        *at = copy->next;
        free(copy);
    }
    pthread_mutex_unlock(&store->lock);
    unlink(path);
}

/* A segment that is there but not as long as its copy is what a restore left that did not end. */
static int is_there(const char *name, int from)
{
    int fd = shm_open(name, O_RDONLY | O_CLOEXEC, 0);
    struct stat here, copy;
    int whole;

    if (fd < 0)
        return 0;
    whole = from < 0 || (!fstat(fd, &here) && !fstat(from, &copy) && here.st_size == copy.st_size);
    close(fd);
    if (!whole)
        shm_unlink(name);
    return whole;
}

int gn_store_blob_restore(gn_store *store, const char *hash)
{
    char path[PATH_BYTES], name[NAME_MAX];
    int from, to, r = 1;

    if (!is_hash(hash) || path_of(store, hash, "", path) || shm_name(store, hash, name))
        return -EINVAL;
    from = open(path, O_RDONLY | O_CLOEXEC);
    if (!is_there(name, from)) {
        to = from < 0 ? -1 : shm_open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (from < 0)
            r = errno == ENOENT ? 0 : -errno;
        else
            r = to < 0 ? -errno : copy_bytes(from, to);
        if (to >= 0 && r)
            shm_unlink(name);
        if (to >= 0)
            close(to);
        r = from >= 0 && !r ? 1 : r;
    }
    if (from >= 0)
        close(from);
    return r;
}

void gn_store_blob_sweep(gn_store *store, int (*wanted)(void *arg, const char *hash), void *arg)
{
    char path[PATH_BYTES];
    struct dirent *entry;
    DIR *dir = opendir(store->blob_dir);

    if (!dir)
        return;
    while ((entry = readdir(dir))) {
        char hash[GN_HASH_CHARS + 1];
        int copy = is_hash(entry->d_name);

        snprintf(hash, sizeof hash, "%.64s", entry->d_name);
        if (!is_hash(hash) || (copy && wanted(arg, hash)) || path_of(store, entry->d_name, "", path))
            continue;
        unlink(path);
    }
    closedir(dir);
}
