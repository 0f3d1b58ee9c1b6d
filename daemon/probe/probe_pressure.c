/* probe_pressure.c: reports how loaded this host or one of its control groups is. Good whenever it
 * could be read: what is too much is said by the policy's limits. */
#include <errno.h>
#include <math.h>

#include "pressure_read.h"
#include "reader.h"

/* What a target keeps: the counters that the next probe compares with. */
typedef struct PressureMemory {
        Reader *reader;
        bool has_ticks, has_oom_kills;
        PressureTicks ticks;
        uint64_t oom_kills;
} PressureMemory;

/* What a worker needs; nothing in it is the loop's. */
typedef struct PressureAsked {
        char *cgroup, *disk;
} PressureAsked;

static int pressure_memory_new(_unused_ const ProbeConfig *config, void **ret) {
        PressureMemory *memory = calloc(1, sizeof *memory);
        int r = memory ? reader_new(&memory->reader) : -ENOMEM;

        if (r < 0) {
                free(memory);
                return r;
        }
        *ret = memory;
        return 0;
}

static void pressure_memory_free(void *p) {
        PressureMemory *memory = p;

        reader_free(memory->reader);
        free(memory);
}

static void pressure_memory_start_epoch(void *p) {
        PressureMemory *memory = p;

        memory->has_ticks = memory->has_oom_kills = false;
}

static void asked_free(void *p) {
        PressureAsked *asked = p;

        free(asked->cgroup);
        free(asked->disk);
        free(asked);
}

static int asked_new(const PressureConfig *config, PressureAsked **ret) {
        PressureAsked *asked = calloc(1, sizeof *asked);

        if (!asked)
                return -ENOMEM;
        asked->cgroup = config->cgroup ? strdup(config->cgroup) : NULL;
        asked->disk = config->disk ? strdup(config->disk) : NULL;
        if ((config->cgroup && !asked->cgroup) || (config->disk && !asked->disk)) {
                asked_free(asked);
                return -ENOMEM;
        }
        *ret = asked;
        return 0;
}

static void *read_asked(void *p) {
        const PressureAsked *asked = p;
        PressureReading *reading = malloc(sizeof *reading);

        if (reading)
                pressure_read(asked->cgroup, asked->disk, reading);
        return reading;
}

static void add(ProbeResult *result, const char *name, double value) {
        if (!isnan(value))
                (void)probe_result_add_value(result, name, value);
}

/* The first probe only sets a base. Counters of a group that was made anew begin at nought. */
static void add_increases(PressureMemory *memory, const PressureReading *r, ProbeResult *result) {
        if (r->has_ticks && memory->has_ticks && r->ticks.busy >= memory->ticks.busy &&
            r->ticks.all > memory->ticks.all)
                add(result, "cpu_percent",
                    100 * (double)(r->ticks.busy - memory->ticks.busy) /
                            (double)(r->ticks.all - memory->ticks.all));
        if (r->has_oom_kills && memory->has_oom_kills)
                add(result, "oom_kills",
                    (double)(r->oom_kills >= memory->oom_kills ? r->oom_kills - memory->oom_kills :
                                                                 r->oom_kills));
        if (r->has_ticks && !memory->has_ticks)
                probe_result_set(result, OUTCOME_OK,
                                 "the first probe only sets a base for cpu_percent and oom_kills");
        memory->has_ticks = r->has_ticks;
        memory->ticks = r->ticks;
        memory->has_oom_kills = r->has_oom_kills;
        memory->oom_kills = r->oom_kills;
}

static void take_reading(void *memory, const void *value, ProbeResult *result) {
        const PressureReading *r = value;

        if (r->failed) {
                probe_result_set(result, OUTCOME_LOCAL, r->words);
                return;
        }
        result->outcome = OUTCOME_OK;
        add(result, "cpu_some_avg10", r->cpu.some);
        add(result, "memory_some_avg10", r->memory.some);
        add(result, "memory_full_avg10", r->memory.full);
        add(result, "io_some_avg10", r->io.some);
        add(result, "io_full_avg10", r->io.full);
        add(result, "memory_bytes", r->memory_bytes);
        add(result, "memory_percent", r->memory_percent);
        add(result, "disk_percent", r->disk_percent);
        add(result, "disk_free_bytes", r->disk_free_bytes);
        add(result, "inodes_percent", r->inodes_percent);
        add_increases(memory, r, result);
}

static int pressure_start(const ProbeStart *start, ProbeResult *ret, void **ret_run) {
        PressureAsked *asked;

        if (asked_new(&start->config->pressure, &asked) < 0) {
                probe_result_set_errno(ret, ENOMEM);
                return 0;
        }
        return reader_start(start,
                            &(ReadingSetup){ .reader = ((PressureMemory *)start->memory)->reader,
                                             .work = read_asked,
                                             .argument = asked,
                                             .free_argument = asked_free,
                                             .take = take_reading,
                                             .what = "load of " },
                            ret, ret_run);
}

const ProbeKind probe_kind_pressure = {
        .name = "pressure",
        .memory_new = pressure_memory_new,
        .memory_free = pressure_memory_free,
        .memory_start_epoch = pressure_memory_start_epoch,
        .start = pressure_start,
        .waiting_for = reader_waiting_for,
        .cancel = reader_cancel,
};
