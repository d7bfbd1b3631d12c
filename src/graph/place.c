/* Lifetimes and places of a program's buffers.
 *
 * There are three arenas: the batch's, one for each thread, and one for each thread's chunk of
 * samples. A buffer lives in the chunk's arena ("local") where one segment alone touches it, by
 * samples: a chunk of samples goes through the whole segment while its data are in the cache. The
 * threads of one segment are at different steps, so what others may touch is apart from what it
 * overlaps with by whole segments; only within a chunk do steps count.
 */
#include "graph/build.h"

static void find_lifetimes(tr_program *p) {
    for (int i = 0; i < p->n_buffers; i++) {
        p->buffers[i].first = p->n_steps;
        p->buffers[i].last = -1;
        p->buffers[i].local = p->buffers[i].kind == TR_SAMPLE_BUFFER && !p->buffers[i].external;
    }
    for (int i = 0; i < p->n_steps; i++) {
        for (int j = 0; j < p->steps[i].n_accesses; j++) {
            const tr_access *a = &p->accesses[p->steps[i].first_access + j];
            tr_buffer *b = &p->buffers[a->buffer];
            b->first = (int)tr_min(b->first, i);
            b->last = i;
            if (a->owner != TR_OWNER_SAMPLES || p->steps[i].segment != p->steps[b->first].segment)
                b->local = false;
        }
    }
    const int kept[] = {p->output, p->input_gradient};
    for (int i = 0; i < 2; i++) {
        if (kept[i] == TR_NONE) continue;
        p->buffers[kept[i]].last = p->n_steps;
        p->buffers[kept[i]].local = false;
    }
    for (int i = 0; p->options.keep_gradients && i < p->n_parameters; i++) {
        if (p->parameters[i].gradient != TR_NONE)
            p->buffers[p->parameters[i].gradient].last = p->n_steps;
    }
}

enum { LOCAL, BATCH, THREAD, N_ARENAS };

/* The arena of a buffer, or -1 where it has memory of its own or none. */
static int arena_of(const tr_buffer *b) {
    if (b->state || b->external || b->last < 0) return -1;
    if (b->kind == TR_THREAD_BUFFER || b->kind == TR_SUM) return THREAD;
    return b->local ? LOCAL : BATCH;
}

/* Bytes in its arena, or -1: too many. */
static int64_t bytes_of(const tr_program *p, const tr_buffer *b) {
    int64_t factor = b->local                      ? 1
                     : b->kind == TR_SAMPLE_BUFFER ? p->options.batch
                     : b->kind == TR_SUM           ? p->options.n_slots
                                                   : 1;
    int64_t bytes;
    if (__builtin_mul_overflow(b->bytes, factor, &bytes) || bytes > INT64_MAX / 2) return -1;
    /* What others write begins on a line of its own, with a line of slack before it. */
    return tr_round_up(bytes, TR_ALIGN) + (b->local || b->kind == TR_SAMPLE_BUFFER ? 0 : TR_ALIGN);
}

static int segment_of(const tr_program *p, int step) {
    return step == p->n_steps ? p->n_segments : p->steps[step].segment;
}

int tr_program_place(tr_program *p, tr_error *err) {
    size_t n = (size_t)p->n_buffers;
    int *first = tr_alloc(n, sizeof *first, err), *last = tr_alloc(n, sizeof *last, err);
    int *ids = tr_alloc(n, sizeof *ids, err);
    int64_t *bytes = tr_alloc(n, sizeof *bytes, err), *offset = tr_alloc(n, sizeof *offset, err);
    int code = first && last && ids && bytes && offset ? TR_OK : TR_ENOMEM;
    int64_t *totals[N_ARENAS] = {&p->local_bytes, &p->batch_bytes, &p->thread_bytes};
    find_lifetimes(p);
    for (int arena = 0; code == TR_OK && arena < N_ARENAS; arena++) {
        int kept = 0;
        bool fits = true;
        for (int i = 0; i < p->n_buffers; i++) {
            const tr_buffer *b = &p->buffers[i];
            if (arena_of(b) != arena) continue;
            ids[kept] = i;
            bytes[kept] = bytes_of(p, b);
            fits &= bytes[kept] >= 0;
            first[kept] = b->local ? b->first : segment_of(p, b->first);
            last[kept++] = b->local ? b->last : segment_of(p, b->last);
        }
        int64_t total = fits ? tr_plan_memory(kept, bytes, first, last, offset) : -1;
        for (int i = 0; total >= 0 && i < kept; i++) p->buffers[ids[i]].offset = offset[i];
        *totals[arena] = total;
        if (total < 0)
            code = tr_fail(err, TR_ENOMEM, "the plan of the network does not fit in memory");
    }
    tr_free(first);
    tr_free(last);
    tr_free(ids);
    tr_free(bytes);
    tr_free(offset);
    return code;
}

int64_t tr_program_kept(const tr_program *p, const tr_node *node) {
    int64_t bytes = 0;
    for (int i = 0; i < p->n_buffers; i++) {
        const tr_buffer *b = &p->buffers[i];
        if (b->node != node || b->kind != TR_SAMPLE_BUFFER || b->last < 0) continue;
        bool forward = !p->steps[b->first].backward;
        if (forward && !b->local && b->last < p->n_steps && p->steps[b->last].backward)
            bytes += b->bytes;
    }
    return bytes;
}
