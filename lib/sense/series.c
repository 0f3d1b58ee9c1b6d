#include <math.h>

#include "series.h"

/* Odd constants without structure: two lanes that share no step. */
#define LANE_ONE 0xA0761D6478BD642FULL
#define LANE_TWO 0xE7037ED1A0B428DBULL

typedef struct Lanes {
        uint64_t one, two;
} Lanes;

/* The 128-bit product folded to 64 bits. */
static uint64_t fold(uint64_t a, uint64_t b) {
        unsigned __int128 product = (unsigned __int128)a * b;

        return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static Lanes lanes_add(Lanes l, Slice s) {
        uint64_t word = 0;
        size_t i;

        for (i = 0; i + sizeof word <= s.n; i += sizeof word) {
                memcpy(&word, s.p + i, sizeof word);
                l.one = fold(l.one ^ word, LANE_ONE);
                l.two = fold(l.two + word, LANE_TWO);
        }
        word = 0;
        if (i < s.n)
                memcpy(&word, s.p + i, s.n - i);
        /* The length closes the slice: what moves from one to the next makes another pair. */
        l.one = fold(fold(l.one ^ word, LANE_ONE) ^ s.n, LANE_TWO);
        l.two = fold(fold(l.two + word, LANE_TWO) + s.n, LANE_ONE);
        return l;
}

void series_hash(Slice name, Slice labels, uint64_t *ret_hash, uint64_t *ret_check) {
        Lanes l = { .one = 0x8EBC6AF09C88C6E3ULL, .two = 0x589965CC75374CC3ULL };

        l = lanes_add(lanes_add(l, name), labels);
        *ret_hash = l.one != 0 ? l.one : 1;
        *ret_check = l.two != 0 ? l.two : 1;
}

static void clear_page(Series *s) {
        s->resets = 0;
        s->duplicate = s->not_finite = false;
        s->seen = 0;
        s->taken = 0;
        memset(s->increases, 0, sizeof s->increases);
}

void series_init(Series *s, SeriesEntry *storage, size_t capacity) {
        assert(capacity >= 4 && (capacity & (capacity - 1)) == 0);
        *s = (Series){ .entries = storage, .capacity = capacity };
        memset(storage, 0, capacity * sizeof *storage);
}

void series_begin_page(Series *s) {
        s->page++;
        if (s->page == 0) { /* 2^32 pages later: only "seen before" needs to survive */
                for (size_t i = 0; i < s->capacity; i++)
                        if (s->entries[i].page != 0)
                                s->entries[i].page = 1;
                s->page = 2;
        }
        clear_page(s);
}

static size_t most_used(const Series *s) {
        return s->capacity / 4 * 3;
}

/* The place of a label set: its entry, or the free one where it belongs. */
static SeriesEntry *place_of(const Series *s, uint64_t hash, uint64_t check) {
        size_t mask = s->capacity - 1, i = hash & mask;

        while (s->entries[i].hash != 0 &&
               (s->entries[i].hash != hash || s->entries[i].check != check))
                i = (i + 1) & mask;
        return &s->entries[i];
}

SeriesEntry *series_find(Series *s, uint64_t hash, uint64_t check) {
        SeriesEntry *e = place_of(s, hash, check);

        return e->hash != 0 ? e : NULL;
}

SeriesEntry *series_add(Series *s, uint64_t hash, uint64_t check, uint32_t operands) {
        SeriesEntry *e;

        assert(hash != 0);
        if (s->used >= most_used(s))
                return NULL;
        e = place_of(s, hash, check);
        assert(e->hash == 0);
        *e = (SeriesEntry){ .hash = hash, .check = check, .operands = operands };
        s->used++;
        return e;
}

static void count(Series *s, uint32_t operands, double increase) {
        for (; operands != 0; operands &= operands - 1) {
                int i = __builtin_ctz(operands);

                s->increases[i] += increase;
        }
}

void series_take(Series *s, SeriesEntry *e, double value) {
        bool is_new = e->page == 0, wanted = e->operands != 0;

        if (e->page == s->page) {
                s->duplicate |= wanted;
                return;
        }
        e->page = s->page;
        s->taken++;
        s->seen |= e->operands;
        if (!(value >= 0 && value < (double)INFINITY)) {
                s->not_finite |= wanted;
                if (is_new)
                        e->value = (double)NAN; /* no base: the next value is one */
                return;
        }
        if (value < e->value) {
                s->resets += wanted;
                count(s, e->operands, value);
        } else if (!isnan(e->value)) /* a new one stands at 0; what a base page adds up is dropped
                                        at its end */
                count(s, e->operands, value - e->value);
        e->value = value;
}

/* Takes an entry out and moves back those behind it that it had pushed on. */
static void forget(Series *s, size_t hole) {
        size_t mask = s->capacity - 1;

        for (size_t i = (hole + 1) & mask; s->entries[i].hash != 0; i = (i + 1) & mask) {
                size_t home = s->entries[i].hash & mask;

                if (((i - home) & mask) < ((i - hole) & mask))
                        continue; /* its home lies behind the hole */
                s->entries[hole] = s->entries[i];
                hole = i;
        }
        s->entries[hole] = (SeriesEntry){};
        s->used--;
}

static void forget_left(Series *s) {
        for (size_t i = 0; i < s->capacity;)
                if (s->entries[i].hash != 0 && s->entries[i].page != s->page)
                        forget(s, i);
                else
                        i++;
}

bool series_end_page(Series *s, size_t n_operands, double ret_increases[]) {
        bool was_based = s->based;

        assert(n_operands <= SAMPLE_VALUES_MAX);
        for (size_t i = 0; i < n_operands; i++)
                ret_increases[i] = !(s->seen >> i & 1) ? (double)NAN :
                                   was_based           ? s->increases[i] :
                                                         0;
        s->based = true;
        if (s->used - s->taken > s->capacity / 4)
                forget_left(s);
        return was_based;
}

void series_abandon_page(Series *s) {
        clear_page(s);
        s->based = false;
        if (s->used < most_used(s))
                return;
        /* The page may have failed for want of room that label sets hold which have left. */
        memset(s->entries, 0, s->capacity * sizeof *s->entries);
        s->used = 0;
}

void series_move(Series *s, SeriesEntry *storage, size_t capacity) {
        SeriesEntry *old = s->entries;
        size_t n = s->capacity;

        assert(capacity > n && (capacity & (capacity - 1)) == 0);
        memset(storage, 0, capacity * sizeof *storage);
        s->entries = storage;
        s->capacity = capacity;
        for (size_t i = 0; i < n; i++)
                if (old[i].hash != 0)
                        *place_of(s, old[i].hash, old[i].check) = old[i];
}
