/* syncpoint.c - what would survive a power cut: notes every fdatasync(2) and fsync(2) that has succeeded.
 *
 * Loaded into the coordinator with LD_PRELOAD. It appends to the file named by CRASH_SYNCS, before its caller learns
 * of the success and so before any promise that rests on it can leave. The file has its length from the beginning and is
 * mapped, so that a limit on the length of files (how the harness fills a disk) is none on the notes; its first eight
 * bytes say how many bytes of notes follow:
 *
 *     F <bytes> <inode> <path>   these many bytes at least are safe
 *     D <path> <name>            the folder's entry of this name is safe; one line for each entry
 *
 * CRASH_SYNC_US makes every call take so many us longer, as a slow disk does: on a file system in memory there would
 * hardly ever be something that is written and not synced.
 *
 * Owns: that file. Knows nothing of who is watched.
 */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static struct notes {
    _Atomic uint64_t len;
    char text[];
} *notes;
static uint64_t notes_cap;
static long slower_us;

__attribute__((constructor)) static void open_notes(void)
{
    const char *path = getenv("CRASH_SYNCS"), *us = getenv("CRASH_SYNC_US");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    struct stat st;

    slower_us = us ? atol(us) : 0;
    if (fd < 0)
        return;
    if (fstat(fd, &st) || (notes = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)) == MAP_FAILED)
        abort(); /* better no run than one without notes */
    notes_cap = (uint64_t)st.st_size - sizeof *notes;
    close(fd);
}

static void note(const char *text, int len)
{
    uint64_t at = atomic_fetch_add(&notes->len, (uint64_t)len);

    if (at + (uint64_t)len > notes_cap)
        abort();
    memcpy(notes->text + at, text, (size_t)len);
}

static void note_folder(int fd, const char *path)
{
    int again = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *folder = again < 0 ? NULL : fdopendir(again);
    char line[1024];

    if (!folder)
        return;
    for (struct dirent *entry = readdir(folder); entry; entry = readdir(folder))
        if (entry->d_name[0] != '.')
            note(line, snprintf(line, sizeof line, "D %s %s\n", path, entry->d_name));
    closedir(folder);
}

/* What is in the file before the call is safe after it. */
static int noted(const char *name, int fd)
{
    int (*real)(int) = 0;
    struct stat before;
    char link[64], path[512], line[1024];
    int known = notes && fstat(fd, &before) == 0;
    struct timespec slower = {slower_us / 1000000, slower_us % 1000000 * 1000};
    int done, error;
    ssize_t len;

    if (slower_us)
        nanosleep(&slower, NULL);
    *(void **)&real = dlsym(RTLD_NEXT, name);
    done = real(fd);
    error = errno;
    if (done == 0 && known) {
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        len = readlink(link, path, sizeof path - 1);
        path[len < 0 ? 0 : len] = 0;
        if (S_ISDIR(before.st_mode))
            note_folder(fd, path);
        else
            note(line, snprintf(line, sizeof line, "F %lld %llu %s\n", (long long)before.st_size,
                                (unsigned long long)before.st_ino, path));
    }
    errno = error;
    return done;
}

int fdatasync(int fd)
{
    return noted("fdatasync", fd);
}

int fsync(int fd)
{
    return noted("fsync", fd);
}
