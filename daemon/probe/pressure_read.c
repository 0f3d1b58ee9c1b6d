#include "pressure_read.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "loop.h"

#define FILE_MAX ((size_t)32 * 1024) /* the largest is /proc/vmstat, with some 5 KiB */
#define PATH_SIZE 1280
#define CGROUPS "/sys/fs/cgroup"
/* Where systemd keeps the second version beside the first. */
#define CGROUPS_HYBRID "/sys/fs/cgroup/unified"

/* Where the figures are: /proc, or the directory of the group. */
typedef struct Place {
        char directory[PATH_SIZE];
        bool group;
        char text[FILE_MAX]; /* of the file that was read last */
        size_t n;
} Place;

static void fail(PressureReading *r, const char *words, const char *what, int error) {
        StrBuf b;

        r->failed = true;
        strbuf_init(&b, r->words, sizeof r->words);
        strbuf_add(&b, words);
        strbuf_add_escaped(&b, what, strlen(what));
        if (error == 0)
                return;
        strbuf_add(&b, " (");
        strbuf_add(&b, strerrorname_np(error) ?: "an errno without a name");
        strbuf_add(&b, ")");
}

/* Reads a file of the place. Returns 0 or a negative errno. */
static int read_file(Place *p, const char *name) {
        char path[PATH_SIZE + 32];
        ssize_t k = 1;
        int fd, r = 0;

        (void)snprintf(path, sizeof path, "%s/%s", p->directory, name);
        p->n = 0;
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
        if (fd < 0)
                return -errno;
        while (p->n < sizeof p->text && k > 0) {
                k = read(fd, p->text + p->n, sizeof p->text - p->n);
                if (k > 0)
                        p->n += (size_t)k;
                else if (k < 0)
                        r = -errno;
        }
        (void)close(fd);
        /* Of a file that is longer, whole lines only. */
        while (p->n == sizeof p->text && p->n > 0 && p->text[p->n - 1] != '\n')
                p->n--;
        return r;
}

static void read_averages(Place *p, const char *name, PressureAverages *ret, PressureReading *r) {
        int error = read_file(p, name);

        if (error >= 0)
                error = pressure_parse_averages(p->text, p->n, ret);
        if (error == -ENOENT || error == -EOPNOTSUPP)
                fail(r, "the kernel keeps no pressure figures here; boot it with psi=1", "", 0);
        else if (error < 0)
                fail(r, "cannot read the pressure figure ", name, -error);
}

/* One number of a keyed file. */
static bool read_keyed(Place *p, const char *name, const char *key, uint64_t *ret) {
        return read_file(p, name) >= 0 && pressure_parse_keyed(p->text, p->n, key, ret) >= 0;
}

static double host_memory(void) {
        Place p = { .directory = "/proc" };
        uint64_t total;

        return read_keyed(&p, "meminfo", "MemTotal", &total) ? (double)total * 1024 : NAN;
}

static void read_host(Place *p, PressureReading *r) {
        uint64_t available;
        double total = host_memory();

        r->has_ticks = read_file(p, "stat") >= 0 &&
                       pressure_parse_ticks(p->text, p->n, &r->ticks) >= 0;
        r->has_oom_kills = read_keyed(p, "vmstat", "oom_kill", &r->oom_kills);
        if (!read_keyed(p, "meminfo", "MemAvailable", &available))
                return;
        r->memory_bytes = total - (double)available * 1024;
        r->memory_percent = 100 * r->memory_bytes / total;
}

/* A group without a limit of its own may take what the host has. */
static double group_limit(Place *p) {
        uint64_t limit;
        double host = host_memory();

        if (read_file(p, "memory.max") < 0 || pressure_parse_number(p->text, p->n, &limit) < 0)
                return host;
        return (double)limit > host ? host : (double)limit;
}

static void read_group(Place *p, PressureReading *r) {
        uint64_t now;

        r->has_ticks = read_keyed(p, "cpu.stat", "usage_usec", &r->ticks.busy);
        r->ticks.all = loop_clock();
        r->has_oom_kills = read_keyed(p, "memory.events", "oom_kill", &r->oom_kills);
        if (read_file(p, "memory.current") < 0 || pressure_parse_number(p->text, p->n, &now) < 0)
                return;
        r->memory_bytes = (double)now;
        r->memory_percent = 100 * r->memory_bytes / group_limit(p);
}

/* ProtectHome= puts an empty directory that nobody may enter over what it hides. */
static bool is_hidden(const char *disk) {
        struct stat s;

        return stat(disk, &s) >= 0 && S_ISDIR(s.st_mode) && (s.st_mode & 0777) == 0;
}

/* As df counts: what is kept for root is neither used nor free. */
static void read_disk(const char *disk, PressureReading *r) {
        struct statvfs s;

        if (statvfs(disk, &s) < 0) {
                fail(r, "cannot look at the file system of ", disk, errno);
                return;
        }
        if (is_hidden(disk)) {
                fail(r, "rollbackd's own sandbox hides (ProtectHome=) ", disk, 0);
                return;
        }
        double used = (double)(s.f_blocks - s.f_bfree), available = (double)s.f_bavail;

        r->disk_free_bytes = available * (double)s.f_frsize;
        if (used + available > 0)
                r->disk_percent = 100 * used / (used + available);
        if (s.f_files > 0)
                r->inodes_percent = 100 * (double)(s.f_files - s.f_ffree) / (double)s.f_files;
}

static void find_group(Place *p, const char *cgroup, PressureReading *r) {
        bool hybrid = access(CGROUPS "/cgroup.controllers", F_OK) < 0;

        (void)snprintf(p->directory, sizeof p->directory, "%s/%s",
                       hybrid ? CGROUPS_HYBRID : CGROUPS, cgroup);
        if (access(p->directory, F_OK) < 0)
                fail(r, "this host has no control group ", cgroup, errno == ENOENT ? 0 : errno);
}

void pressure_read(const char *cgroup, const char *disk, PressureReading *ret) {
        PressureReading r = { .cpu = { NAN, NAN }, .memory = { NAN, NAN }, .io = { NAN, NAN } };
        Place p = { .directory = "/proc", .group = cgroup };

        r.memory_bytes = r.memory_percent = NAN;
        r.disk_percent = r.disk_free_bytes = r.inodes_percent = NAN;
        if (cgroup)
                find_group(&p, cgroup, &r);
        if (!r.failed)
                read_averages(&p, p.group ? "cpu.pressure" : "pressure/cpu", &r.cpu, &r);
        if (!r.failed)
                read_averages(&p, p.group ? "memory.pressure" : "pressure/memory", &r.memory, &r);
        if (!r.failed)
                read_averages(&p, p.group ? "io.pressure" : "pressure/io", &r.io, &r);
        if (!r.failed && p.group)
                read_group(&p, &r);
        else if (!r.failed)
                read_host(&p, &r);
        if (!r.failed && disk)
                read_disk(disk, &r);
        *ret = r;
}
