/* blob.c - removing segments that nobody needs.
 *
 * A segment may go when no task refers to it and nobody holds a lock on it. The order keeps it from going
 * under somebody's hands: open, take the exclusive lock, see that the name still means this segment, unlink,
 * let go of the lock. Whoever publishes or maps a segment opens it, takes the shared lock, and then looks whether
 * the name still means it (st_nlink is not 0); if not, starts over. So each of the two sees the other.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "loop/internal.h"

#define HASH_CHARS 64
#define SHM_DIR "/dev/shm"

int gn_blob_unlink(const char *name)
{
    struct stat mine;
    int fd = shm_open(name, O_RDONLY | O_CLOEXEC, 0), r = 0;

    if (fd < 0)
        return errno == ENOENT ? 0 : -errno;
    if (flock(fd, LOCK_EX | LOCK_NB))
        r = errno == EWOULDBLOCK ? 0 : -errno;
    else if (fstat(fd, &mine))
        r = -errno;
    else if (mine.st_nlink) /* else it was removed between open and lock, and the name may mean another by now */
        r = shm_unlink(name) ? -errno : 1;
    close(fd);
    return r;
}

static int is_hash(const char *text)
{
    size_t n = strspn(text, "0123456789abcdef");

    return n == HASH_CHARS && !text[n];
}

void gn_blob_drop(gn_loop *loop, const char *hash)
{
    char name[sizeof loop->config.blob_prefix + HASH_CHARS + 1];
    int r;

    if (!loop->config.blob_prefix[0] || !is_hash(hash) || (loop->core && gn_core_blob_refs(loop->core, hash)) || gn_journal_parts(loop, hash))
        return;
    if (loop->journal.store)
        gn_store_blob_drop(loop->journal.store, hash);
    snprintf(name, sizeof name, "%s%s", loop->config.blob_prefix, hash);
    r = gn_blob_unlink(name);
    if (r < 0)
        gn_loop_log(loop, "cannot remove segment %s: %s", name, strerror(-r));
}

/* Each of this instance's segments. */
static void each(gn_loop *loop, void (*visit)(gn_loop *loop, const char *hash))
{
    const char *prefix = loop->config.blob_prefix;
    size_t len = strlen(prefix);
    struct dirent *entry;
    DIR *dir;

    if (len < 2 || prefix[0] != '/')
        return;
    dir = opendir(SHM_DIR);
    if (!dir)
        return;
    while ((entry = readdir(dir)))
        if (!strncmp(entry->d_name, prefix + 1, len - 1))
            visit(loop, entry->d_name + len - 1);
    closedir(dir);
}

void gn_blob_sweep(gn_loop *loop)
{
    each(loop, gn_blob_drop);
}

static void keep(gn_loop *loop, const char *hash)
{
    if (is_hash(hash) && gn_core_blob_refs(loop->core, hash))
        gn_store_blob_keep(loop->journal.store, hash);
}

void gn_blob_keep_all(gn_loop *loop)
{
    each(loop, keep);
}
