#include "deadlines.h"

static usec_t key(const Engine *e, size_t i) {
        return e->slots[e->heap[i]]->deadline;
}

static void place(Engine *e, size_t i, uint32_t handle) {
        e->heap[i] = handle;
        e->slots[handle]->heap_index = (uint32_t)i;
}

static void sift_up(Engine *e, size_t i) {
        uint32_t handle = e->heap[i];
        usec_t deadline = e->slots[handle]->deadline;

        while (i > 0 && key(e, (i - 1) / 2) > deadline) {
                place(e, i, e->heap[(i - 1) / 2]);
                i = (i - 1) / 2;
        }
        place(e, i, handle);
}

static void sift_down(Engine *e, size_t i) {
        uint32_t handle = e->heap[i];
        usec_t deadline = e->slots[handle]->deadline;

        for (;;) {
                size_t child = 2 * i + 1;
                if (child >= e->heap_n)
                        break;
                if (child + 1 < e->heap_n && key(e, child + 1) < key(e, child))
                        child++;
                if (key(e, child) >= deadline)
                        break;
                place(e, i, e->heap[child]);
                i = child;
        }
        place(e, i, handle);
}

static void heap_remove(Engine *e, Service *s) {
        size_t i = s->heap_index;
        uint32_t last = e->heap[--e->heap_n];

        s->heap_index = UINT32_MAX;
        if (last == s->handle)
                return;
        place(e, i, last);
        sift_up(e, i);
        sift_down(e, e->slots[last]->heap_index);
}

void deadline_set(Engine *e, Service *s, usec_t deadline) {
        usec_t before = s->deadline;

        s->deadline = deadline;
        if (s->heap_index == UINT32_MAX) {
                if (deadline == USEC_INFINITY)
                        return;
                e->heap[e->heap_n] = s->handle;
                sift_up(e, e->heap_n++);
        } else if (deadline == USEC_INFINITY)
                heap_remove(e, s);
        else if (deadline < before)
                sift_up(e, s->heap_index);
        else if (deadline > before)
                sift_down(e, s->heap_index);
}

Service *deadline_first(const Engine *e) {
        return e->heap_n > 0 ? e->slots[e->heap[0]] : NULL;
}

void service_mark_fed(Engine *e, Service *s) {
        if (s->fed)
                return;
        s->fed = true;
        e->fed[e->fed_n++] = s->handle;
}
