/* Preloaded into the processes under test: their wall clock is off by an offset, their fsync is slow and accounted for.
 *
 * CHAOS_CLOCK names a file of one int64: by how many ms CLOCK_REALTIME is off.
 * CHAOS_SYNC names a file of one int64, by how many µs every fsync is late, and SLOTS pairs (inode, bytes that are
 * durable): what a power loss leaves of a file is at least that. Both files are mapped, so that a change holds at once.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define SLOTS 1024

struct sync_page { int64_t delay_us; struct { int64_t inode, durable; } files[SLOTS]; };

static volatile int64_t *offset_ms;
static volatile struct sync_page *syncs;
static int (*real_clock)(clockid_t, struct timespec *);
static int (*real_fsync)(int);
static int (*real_fdatasync)(int);

static void *mapped(const char *variable, size_t size) {
    const char *path = getenv(variable);
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0) return NULL;
    void *page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    return page == MAP_FAILED ? NULL : page;
}

__attribute__((constructor)) static void begin(void) {
    real_clock = dlsym(RTLD_NEXT, "clock_gettime");
    real_fsync = dlsym(RTLD_NEXT, "fsync");
    real_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
    offset_ms = mapped("CHAOS_CLOCK", sizeof(int64_t));
    syncs = mapped("CHAOS_SYNC", sizeof(struct sync_page));
}

int clock_gettime(clockid_t clock, struct timespec *at) {
    if (!real_clock) real_clock = dlsym(RTLD_NEXT, "clock_gettime");
    int code = real_clock(clock, at);
    if (code || !offset_ms || (clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE)) return code;
    int64_t ns = at->tv_nsec + (*offset_ms % 1000) * 1000000LL;
    at->tv_sec += *offset_ms / 1000 + (ns >= 1000000000LL) - (ns < 0);
    at->tv_nsec = ns >= 1000000000LL ? ns - 1000000000LL : ns < 0 ? ns + 1000000000LL : ns;
    return 0;
}

int gettimeofday(struct timeval *restrict at, void *restrict zone) {
    (void)zone;
    struct timespec now;
    if (clock_gettime(CLOCK_REALTIME, &now)) return -1;
    at->tv_sec = now.tv_sec;
    at->tv_usec = now.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *at) {
    struct timespec now;
    if (clock_gettime(CLOCK_REALTIME, &now)) return -1;
    if (at) *at = now.tv_sec;
    return now.tv_sec;
}

/* The size before the call is what is durable after it. */
static int synced(int (*sync)(int), int fd) {
    struct stat before;
    int known = syncs && !fstat(fd, &before) && S_ISREG(before.st_mode);
    if (known && syncs->delay_us) usleep((useconds_t)syncs->delay_us);
    int code = sync(fd);
    for (int i = 0; known && !code && i < SLOTS; i++) {
        if (syncs->files[i].inode && syncs->files[i].inode != (int64_t)before.st_ino) continue;
        syncs->files[i].inode = (int64_t)before.st_ino;
        syncs->files[i].durable = before.st_size;
        break;
    }
    return code;
}

int fsync(int fd) { return synced(real_fsync, fd); }
int fdatasync(int fd) { return synced(real_fdatasync, fd); }
