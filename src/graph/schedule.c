/* Segments: which steps lie between the same two barriers.
 *
 * A barrier is needed where a step reads what another thread wrote, or writes what another thread
 * read or wrote. Two steps touch the same part of a buffer on each thread if both are by samples,
 * or by the same blocks; what a thread has for itself nobody else touches. So a step belongs to the
 * first segment that is behind, or, with the same owner, not before, the segments of all earlier
 * steps that it depends on; program order alone is no reason to wait. Within a segment a thread
 * does first what is for each thread, then blocks, then its samples chunk by chunk.
 */
#include <stdlib.h>

#include "graph/build.h"

static int order_of(tr_partition partition) {
    return partition == TR_PER_THREAD ? 0 : partition == TR_BY_BLOCKS ? 1 : 2;
}

/* May two threads meet, where one made access `a` and the other makes `b`? */
static bool meets(const tr_buffer *buffer, tr_owner a, int key_a, tr_owner b, int key_b) {
    if (buffer->kind == TR_THREAD_BUFFER) return false;
    return a != b || a == TR_OWNER_ANY || (a == TR_OWNER_BLOCKS && key_a != key_b);
}

int tr_build_earliest(const tr_builder *b, tr_partition partition, int key,
                      const tr_access *access) {
    const tr_buffer *buffer = &b->program->buffers[access->buffer];
    int segment = 0;
    for (int i = b->newest[access->buffer]; i != TR_NONE; i = b->touches[i].next) {
        const tr_past *t = &b->touches[i];
        if (!t->writes && !access->writes) continue;
        bool later =
            meets(buffer, t->owner, t->key, access->owner, key) || t->order > order_of(partition);
        segment = (int)tr_max(segment, t->segment + later);
    }
    return segment;
}

int tr_build_buffer(tr_builder *b, const tr_buffer *buffer) {
    tr_program *p = b->program;
    tr_buffer *place =
        b->failed ? NULL : tr_grow(&p->buffers, p->n_buffers, sizeof *p->buffers, b->err);
    int *newest = place ? tr_grow(&b->newest, p->n_buffers, sizeof *b->newest, b->err) : NULL;
    if (newest == NULL) {
        b->failed = true;
        return 0;
    }
    *place = *buffer;
    *newest = TR_NONE;
    return p->n_buffers++;
}

/* Behind a write only what came since matters: whoever stays behind the write stays behind what
 * that had to stay behind. */
static void note(tr_builder *b, const tr_step *step, const tr_access *access) {
    tr_past *place =
        b->failed ? NULL : tr_grow(&b->touches, b->n_touches, sizeof *b->touches, b->err);
    if (place == NULL) {
        b->failed = true;
        return;
    }
    *place = (tr_past){.segment = step->segment,
                       .key = step->key,
                       .order = order_of(step->partition),
                       .writes = access->writes,
                       .owner = access->owner,
                       .next = b->newest[access->buffer]};
    b->newest[access->buffer] = b->n_touches++;
}

tr_step *tr_build_step(tr_builder *b, const tr_step *step, int segment, int n_accesses,
                       const tr_access *accesses) {
    tr_program *p = b->program;
    tr_step *place = b->failed ? NULL : tr_grow(&p->steps, p->n_steps, sizeof *p->steps, b->err);
    if (place == NULL) {
        b->failed = true;
        return NULL;
    }
    *place = *step;
    place->segment = segment;
    place->first_access = p->n_accesses;
    for (int i = 0; i < n_accesses; i++) {
        int earliest = tr_build_earliest(b, step->partition, step->key, &accesses[i]);
        place->segment = (int)tr_max(place->segment, earliest);
    }
    for (int i = 0; i < n_accesses; i++) {
        tr_access *access =
            b->failed ? NULL : tr_grow(&p->accesses, p->n_accesses, sizeof *p->accesses, b->err);
        if (access == NULL) {
            b->failed = true;
            return NULL;
        }
        *access = accesses[i];
        p->n_accesses++;
        place->n_accesses++;
        note(b, place, access);
    }
    p->n_steps++;
    return place;
}

/* ---- the order of steps ---- */

typedef struct sorted {
    int segment, order, key, number; /* key: first step of the same blocks */
} sorted;

static int earlier(const void *a, const void *b) {
    const sorted *s = a, *t = b;
    if (s->segment != t->segment) return s->segment - t->segment;
    if (s->order != t->order) return s->order - t->order;
    if (s->key != t->key) return s->key - t->key;
    return s->number - t->number;
}

int tr_program_schedule(tr_program *p, tr_error *err) {
    size_t n = (size_t)p->n_steps;
    sorted *order = tr_alloc(n, sizeof *order, err);
    tr_step *steps = tr_alloc(n, sizeof *steps, err);
    int *first = tr_alloc(n + 1, sizeof *first, err); /* step of a key */
    int last = 0;
    for (int i = 0; first && i < p->n_steps; i++) {
        first[p->steps[i].key] = p->n_steps;
        last = (int)tr_max(last, p->steps[i].segment);
    }
    for (int i = 0; order && steps && first && i < p->n_steps; i++) {
        const tr_step *s = &p->steps[i];
        bool blocks = s->partition == TR_BY_BLOCKS;
        if (blocks && first[s->key] == p->n_steps) first[s->key] = i;
        order[i] = (sorted){s->segment, order_of(s->partition), blocks ? first[s->key] : 0, i};
        steps[i] = *s;
    }
    p->n_segments = last + 1;
    p->segments = tr_alloc((size_t)p->n_segments + 1, sizeof *p->segments, err);
    int code = order && steps && first && p->segments ? TR_OK : TR_ENOMEM;
    if (code == TR_OK) qsort(order, n, sizeof *order, earlier);
    for (int i = 0; code == TR_OK && i < p->n_steps; i++) {
        p->steps[i] = steps[order[i].number];
        p->segments[p->steps[i].segment + 1] = i + 1;
    }

    tr_free(order);
    tr_free(steps);
    tr_free(first);
    return code;
}

/* ---- looking again ---- */

/* What is wrong with two steps of one segment, s before t; or NULL. */
static const char *wrong(const tr_program *p, const tr_step *s, const tr_step *t) {
    for (int i = 0; i < s->n_accesses; i++) {
        const tr_access *a = &p->accesses[s->first_access + i];
        for (int j = 0; j < t->n_accesses; j++) {
            const tr_access *c = &p->accesses[t->first_access + j];
            if (a->buffer != c->buffer || (!a->writes && !c->writes)) continue;
            if (meets(&p->buffers[a->buffer], a->owner, s->key, c->owner, t->key))
                return "two threads may touch the same memory";
            if (order_of(s->partition) > order_of(t->partition)) return "in the wrong order";
        }
    }
    return NULL;
}

char *tr_program_conflict(const tr_program *p) {
    for (int i = 0; i < p->n_steps; i++) {
        for (int j = i + 1; j < p->n_steps && p->steps[j].segment == p->steps[i].segment; j++) {
            const tr_step *s = &p->steps[i], *t = &p->steps[j];
            const char *what = wrong(p, s, t);
            if (what == NULL) continue;
            tr_text text = {0};
            tr_text_print(&text, "segment %d: %s %s, then %s %s: %s", s->segment,
                          s->node ? s->node->name : "", s->label, t->node ? t->node->name : "",
                          t->label, what);
            return tr_text_take(&text, NULL);
        }
    }
    return NULL;
}
