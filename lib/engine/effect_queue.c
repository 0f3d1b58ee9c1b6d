#include "effect_queue.h"

#include "operating.h"

bool effect_room(Service *s) {
        bool room = s->effects.n + EFFECT_ROOM_KEPT <= ENGINE_EFFECTS_PER_SERVICE &&
                    s->effects.words_used + EFFECT_WORDS_KEPT <= EFFECT_WORDS_SIZE;
        s->crowded = s->crowded || !room;
        return room;
}

/* Returns the offset of the copied text, 0 for none. */
static uint16_t put_words(Engine *e, EffectQueue *q, const char *text) {
        if (!text || !*text)
                return 0;
        size_t size = strlen(text) + 1;
        if (q->words_used + size > sizeof q->words) {
                e->lost_effects++;
                return 0;
        }
        uint16_t at = q->words_used;
        memcpy(q->words + at, text, size);
        q->words_used = (uint16_t)(at + size);
        return at;
}

static void mark_ready(Engine *e, Service *s) {
        if (s->queued)
                return;
        s->queued = true;
        e->ready[(e->ready_head + e->ready_n++) % e->n_slots] = s->handle;
}

void effect_push(Engine *e, Service *s, EffectItem item, const char *id, const char *key,
                 const char *text) {
        EffectQueue *q = &s->effects;

        if (q->n == ENGINE_EFFECTS_PER_SERVICE) {
                e->lost_effects++;
                return;
        }
        if (q->n == 0) {
                q->words[0] = '\0';
                q->words_used = 1;
        }
        item.id = put_words(e, q, id);
        item.key = put_words(e, q, key);
        item.text = put_words(e, q, text);
        q->items[(q->head + q->n++) % ENGINE_EFFECTS_PER_SERVICE] = item;
        mark_ready(e, s);
}

static bool is_about_operation(EventKind event) {
        return event >= EVENT_ROLLBACK_WOULD && event <= EVENT_RESTORE_FAILED &&
               event != EVENT_ROLLBACK_HELD;
}

void effect_alert(Engine *e, Service *s, EffectItem item, const char *key, const AlertWords *w) {
        const EventRow *row = event_row(item.event);
        STRBUF(epoch, 24);
        strbuf_add_u64(&epoch, item.epoch);
        const EventFieldValue fields[] = {
                { "service", s->policy->service },
                { "version", w->version },
                { "epoch", epoch.text },
                { "from", s->plan.from_version },
                { "to", s->plan.to_version },
                { "operation", s->plan.id },
                { "rule", w->rule },
                { "reading", w->reading },
                { "guard", w->guard },
                { "held", w->held },
                { "detail", w->detail },
                { "reason", w->reason },
                { "actor", w->actor },
                { "since", w->since },
        };

        STRBUF(text, ENGINE_TEXT_SIZE);
        event_render(item.raise || !row->over ? row->text : row->over, fields, ELEMENTSOF(fields),
                     &text);
        text_mark_cut(&text);
        item.kind = EFFECT_ALERT;
        effect_push(e, s, item, is_about_operation(item.event) ? s->plan.id : NULL, key, text.text);
}

/* The words of what was taken make room once nothing else refers to them. */
static void forget_words(EffectQueue *q) {
        if (q->n == 0)
                q->words_used = 0;
}

bool effect_evidence_pending(const Service *s) {
        for (uint16_t i = 0; i < s->effects.n; i++)
                if (s->effects.items[(s->effects.head + i) % ENGINE_EFFECTS_PER_SERVICE].evidence)
                        return true;
        return false;
}

void effect_cancel(Service *s, EffectKind kind) {
        EffectQueue *q = &s->effects;
        uint16_t kept = 0;

        for (uint16_t i = 0; i < q->n; i++) {
                EffectItem item = q->items[(q->head + i) % ENGINE_EFFECTS_PER_SERVICE];
                if (item.kind != kind)
                        q->items[(q->head + kept++) % ENGINE_EFFECTS_PER_SERVICE] = item;
        }
        q->n = kept;
        forget_words(q);
}

static void fill_effect(const Service *s, const EffectItem *item, Effect *ret) {
        const char *words = s->effects.words;

        *ret = (Effect){
                .kind = item->kind,
                .service = s->handle,
                .probe = item->probe,
                .row = item->row,
                .state = item->state,
                .event = item->event,
                .raise = item->raise,
                .adopt = item->adopt,
                .epoch = item->epoch,
                .evidence = item->evidence ? &s->evidence : NULL,
        };
        /* The plan stands until the next operation takes its place. */
        if (item->kind == EFFECT_COMMIT || (item->id != 0 && streq(words + item->id, s->plan.id)))
                ret->operation = s->plan;
        else {
                text_copy(ret->operation.id, sizeof ret->operation.id, words + item->id);
                ret->operation.kind = item->operation_kind;
                ret->operation.automatic = item->automatic;
        }
        name_copy(ret->key, words + item->key);
        text_copy(ret->text, sizeof ret->text, words + item->text);
}

bool engine_take_effect(Engine *e, Effect *ret) {
        while (e->ready_n > 0) {
                Service *s = e->slots[e->ready[e->ready_head]];
                if (s && s->effects.n > 0) {
                        EffectQueue *q = &s->effects;
                        const EffectItem item = q->items[q->head];
                        q->head = (uint16_t)((q->head + 1) % ENGINE_EFFECTS_PER_SERVICE);
                        q->n--;
                        fill_effect(s, &item, ret);
                        forget_words(q);
                        if (item.kind == EFFECT_COMMIT)
                                operation_sent(s);
                        return true;
                }
                if (s)
                        s->queued = false;
                e->ready_head = (e->ready_head + 1) % e->n_slots;
                e->ready_n--;
        }
        return false;
}
