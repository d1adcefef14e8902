/*
 * A disk that loses power, for queue_power.py: LD_PRELOAD this, and what was written and not synced is
 * never in the file.
 *
 * Writes to files whose name begins with $UNSYNCED are kept in memory, and read back from there; fsync
 * and fdatasync bring those of their file to it.  When the process dies, the rest is gone, as with
 * the page cache when power fails.  ($UNSYNCED_LIES makes a disk that says it has synced and has not,
 * to see that the test sees it.)  Shared memory of the -shm file is not written, and need not be.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

enum { PAGE = 512, FILES = 64 };

/* One file: its name, its size as the process sees it, and the pieces that are not synced. */
struct piece { off_t at; unsigned char data[PAGE]; struct piece *next; };
struct file { char name[512]; off_t size; int truncated; struct piece *table[4096]; };

static struct file *files[FILES];
static struct file *of_descriptor[1024];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static struct file *find(int fd, const char *path) {
    const char *wanted = getenv("UNSYNCED");
    char real[512];
    if (!wanted || fd < 0 || fd >= 1024 || !realpath(path, real)) return NULL;
    if (strncmp(real, wanted, strlen(wanted)) || strstr(real, "-shm") || strstr(real, "-owner")) return NULL;
    for (int i = 0; i < FILES; i++) {
        if (files[i] && !strcmp(files[i]->name, real)) return files[i];
        if (files[i]) continue;
        struct stat st;
        if (fstat(fd, &st) || !S_ISREG(st.st_mode)) return NULL;
        files[i] = calloc(1, sizeof(struct file));
        strcpy(files[i]->name, real);
        files[i]->size = st.st_size;
        return files[i];
    }
    return NULL;
}

static struct piece **slot(struct file *f, off_t at) {
    struct piece **p = &f->table[(at / PAGE) % 4096];
    while (*p && (*p)->at != at) p = &(*p)->next;
    return p;
}

static int opened(int fd, const char *path, int flags) {
    if (fd < 0 || fd >= 1024) return fd;
    pthread_mutex_lock(&lock);
    of_descriptor[fd] = find(fd, path);
    if (of_descriptor[fd] && (flags & O_TRUNC)) of_descriptor[fd]->size = 0;
    pthread_mutex_unlock(&lock);
    return fd;
}

#define OPEN(name) \
    int name(const char *path, int flags, ...) { \
        va_list more; va_start(more, flags); int mode = va_arg(more, int); va_end(more); \
        return opened(REAL(name)(path, flags, mode), path, flags); \
    }
OPEN(open)
OPEN(open64)

int close(int fd) {
    if (fd >= 0 && fd < 1024) of_descriptor[fd] = NULL;
    return REAL(close)(fd);
}

static struct file *mine(int fd) { return fd >= 0 && fd < 1024 ? of_descriptor[fd] : NULL; }

static ssize_t get(struct file *f, int fd, unsigned char *to, size_t n, off_t at) {
    if (at >= f->size) return 0;
    if ((off_t)n > f->size - at) n = f->size - at;
    size_t done = 0;
    while (done < n) {
        off_t where = at + done, base = where - where % PAGE;
        size_t part = PAGE - where % PAGE;
        if (part > n - done) part = n - done;
        struct piece *p = *slot(f, base);
        if (p) memcpy(to + done, p->data + where % PAGE, part);
        else {
            memset(to + done, 0, part);
            if (REAL(pread)(fd, to + done, part, where) < 0) return -1;
        }
        done += part;
    }
    return n;
}

static ssize_t put(struct file *f, int fd, const unsigned char *from, size_t n, off_t at) {
    size_t done = 0;
    while (done < n) {
        off_t where = at + done, base = where - where % PAGE;
        size_t part = PAGE - where % PAGE;
        if (part > n - done) part = n - done;
        struct piece **p = slot(f, base);
        if (!*p) {
            struct piece *made = calloc(1, sizeof *made);
            made->at = base;
            if (base < f->size) get(f, fd, made->data, PAGE, base);
            *p = made;
        }
        memcpy((*p)->data + where % PAGE, from + done, part);
        done += part;
    }
    if (at + (off_t)n > f->size) f->size = at + n;
    return n;
}

#define IO(name, type, act) \
    ssize_t name(int fd, type buf, size_t n, off_t at) { \
        struct file *f = mine(fd); \
        if (!f) return REAL(name)(fd, buf, n, at); \
        pthread_mutex_lock(&lock); \
        ssize_t done = act(f, fd, buf, n, at); \
        pthread_mutex_unlock(&lock); \
        return done; \
    }
IO(pread, void *, get)
IO(pread64, void *, get)
IO(pwrite, const void *, put)
IO(pwrite64, const void *, put)

#define CUT(name) \
    int name(int fd, off_t size) { \
        struct file *f = mine(fd); \
        if (!f) return REAL(name)(fd, size); \
        pthread_mutex_lock(&lock); \
        f->size = size; \
        f->truncated = 1; \
        for (int i = 0; i < 4096; i++) \
            for (struct piece **p = &f->table[i]; *p;) { \
                struct piece *gone = *p; \
                if (gone->at >= size) { *p = gone->next; free(gone); } else p = &gone->next; \
            } \
        pthread_mutex_unlock(&lock); \
        return 0; \
    }
CUT(ftruncate)
CUT(ftruncate64)

#define STAT(name, type) \
    int name(int fd, type *st) { \
        int code = REAL(name)(fd, st); \
        struct file *f = mine(fd); \
        if (!code && f) st->st_size = f->size; \
        return code; \
    }
STAT(fstat, struct stat)
STAT(fstat64, struct stat64)

static int sync_file(int fd) {
    struct file *f = mine(fd);
    if (!f || getenv("UNSYNCED_LIES")) return 0;
    pthread_mutex_lock(&lock);
    if (f->truncated) REAL(ftruncate)(fd, f->size);
    f->truncated = 0;
    for (int i = 0; i < 4096; i++)
        for (struct piece *p = f->table[i]; p;) {
            size_t n = f->size - p->at < PAGE ? f->size - p->at : PAGE;
            if (p->at < f->size) REAL(pwrite)(fd, p->data, n, p->at);
            struct piece *next = p->next;
            free(p);
            p = next;
        }
    memset(f->table, 0, sizeof f->table);
    pthread_mutex_unlock(&lock);
    return 0;
}

int fsync(int fd) { return mine(fd) ? sync_file(fd) : REAL(fsync)(fd); }
int fdatasync(int fd) { return mine(fd) ? sync_file(fd) : REAL(fdatasync)(fd); }
