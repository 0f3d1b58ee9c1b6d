#include "effect_queue.h"

#include "operating.h"

#define FIELD_LEAST 16 /* a value that must be shorter is left out */

enum {
        FIELD_VERSION,
        FIELD_FROM,
        FIELD_TO,
        FIELD_RULE,
        FIELD_GUARD,
        FIELD_SINCE,
        FIELD_ACTOR,
        FIELD_READING,
        FIELD_REASON,
        FIELD_HELD,
        FIELD_DETAIL,
};

static const char *const alert_fields[] = {
        [FIELD_VERSION] = "version", [FIELD_FROM] = "from",       [FIELD_TO] = "to",
        [FIELD_RULE] = "rule",       [FIELD_GUARD] = "guard",     [FIELD_SINCE] = "since",
        [FIELD_ACTOR] = "actor",     [FIELD_READING] = "reading", [FIELD_REASON] = "reason",
        [FIELD_HELD] = "held",       [FIELD_DETAIL] = "detail",
};
_Static_assert(ELEMENTSOF(alert_fields) == ENGINE_ALERT_FIELDS, "an effect has room for all");

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

/* With room in the queue for the words; false without any for the effect. */
static bool begin_effect(Engine *e, EffectQueue *q) {
        if (q->n == ENGINE_EFFECTS_PER_SERVICE) {
                e->lost_effects++;
                return false;
        }
        if (q->n == 0) {
                q->words[0] = '\0';
                q->words_used = 1;
        }
        return true;
}

static void end_effect(Engine *e, Service *s, EffectItem item, const char *id, const char *key) {
        EffectQueue *q = &s->effects;

        item.id = put_words(e, q, id);
        item.key = put_words(e, q, key);
        q->items[(q->head + q->n++) % ENGINE_EFFECTS_PER_SERVICE] = item;
        mark_ready(e, s);
}

void effect_push(Engine *e, Service *s, EffectItem item, const char *id, const char *key,
                 const char *text) {
        if (!begin_effect(e, &s->effects))
                return;
        item.text = put_words(e, &s->effects, text);
        end_effect(e, s, item, id, key);
}

static bool is_about_operation(EventKind event) {
        return event >= EVENT_ROLLBACK_WOULD && event <= EVENT_RESTORE_FAILED &&
               event != EVENT_ROLLBACK_HELD;
}

static const char *sentence_of(const EffectItem *item) {
        const EventRow *row = event_row(item->event);

        return item->raise || !row->over ? row->text : row->over;
}

static bool is_named(const char *sentence, const char *field) {
        STRBUF(place, 32);

        strbuf_add_char(&place, '{');
        strbuf_add(&place, field);
        strbuf_add_char(&place, '}');
        return strstr(sentence, place.text);
}

/* What the sentence names, each as its number in the table and its value; all of them together are
 * as long as a sentence may be, the long ones last. */
static void put_fields(Engine *e, EffectQueue *q, EffectItem *item, const AlertWords *w,
                       const OperationPlan *plan) {
        const char *const values[] = {
                [FIELD_VERSION] = w->version,
                [FIELD_FROM] = plan ? plan->from_version : NULL,
                [FIELD_TO] = plan ? plan->to_version : NULL,
                [FIELD_RULE] = w->rule,
                [FIELD_GUARD] = w->guard,
                [FIELD_SINCE] = w->since,
                [FIELD_ACTOR] = w->actor,
                [FIELD_READING] = w->reading,
                [FIELD_REASON] = w->reason,
                [FIELD_HELD] = w->held,
                [FIELD_DETAIL] = w->detail,
        };
        size_t left = ENGINE_TEXT_SIZE;

        for (size_t i = 0; i < ELEMENTSOF(values); i++) {
                char storage[ENGINE_TEXT_SIZE];
                StrBuf one;
                uint16_t at;

                if (!values[i] || !*values[i] || left < FIELD_LEAST ||
                    !is_named(sentence_of(item), alert_fields[i]))
                        continue;
                strbuf_init(&one, storage, left);
                strbuf_add_char(&one, (char)(i + 1));
                strbuf_add(&one, values[i]);
                text_mark_cut(&one);
                at = put_words(e, q, one.text);
                if (at == 0)
                        return;
                if (item->n_fields++ == 0)
                        item->fields = at;
                left -= one.length + 1;
        }
}

void effect_alert(Engine *e, Service *s, EffectItem item, const char *key, const AlertWords *w) {
        bool about = is_about_operation(item.event);

        if (!begin_effect(e, &s->effects))
                return;
        item.kind = EFFECT_ALERT;
        put_fields(e, &s->effects, &item, w, about ? &s->plan : NULL);
        end_effect(e, s, item, about ? s->plan.id : NULL, key);
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

static void fill_alert(const Service *s, const EffectItem *item, Effect *ret) {
        const char *at = s->effects.words + item->fields;
        EventFieldValue all[ENGINE_ALERT_FIELDS + 3];
        size_t n = 0;
        STRBUF(epoch, 24);
        StrBuf text;

        for (; ret->n_fields < item->n_fields; ret->n_fields++) {
                ret->fields[ret->n_fields] = (EventFieldValue){ alert_fields[*at - 1], at + 1 };
                all[n++] = ret->fields[ret->n_fields];
                at += strlen(at) + 1;
        }
        strbuf_add_u64(&epoch, item->epoch);
        all[n++] = (EventFieldValue){ "service", s->policy->service };
        all[n++] = (EventFieldValue){ "epoch", epoch.text };
        all[n++] = (EventFieldValue){ "operation", ret->operation.id };
        strbuf_init(&text, ret->text, sizeof ret->text);
        event_render(sentence_of(item), all, n, &text);
        text_mark_cut(&text);
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
        if (item->kind == EFFECT_ALERT)
                fill_alert(s, item, ret);
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
