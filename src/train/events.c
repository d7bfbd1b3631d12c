/* The events that a listener gets during a run, and how it stops one. */
#include "train/training.h"

enum { PROGRESS_MILLISECONDS = 50 };

static int stopped(tr_training *t) {
    const tr_event *e = &t->event;
    if (e->global_step == 0 && !e->testing && !t->drawing)
        return tr_fail(t->err, TR_ECANCELED, "stopped before the first step");
    return tr_fail(t->err, TR_ECANCELED, "stopped in epoch %d after step %lld%s", e->epoch,
                   (long long)e->step,
                   e->testing   ? ", in the test"
                   : t->drawing ? ", while the pictures were drawn"
                                : "");
}

int tr_emit(tr_training *t, tr_event_kind kind) {
    t->event.kind = kind;
    t->event.run_dir = t->summary->run_dir;
    return t->listener && t->listener(&t->event, t->listener_arg) ? stopped(t) : TR_OK;
}

static int emit_text(tr_training *t, tr_event_kind kind, const char *text) {
    t->event.text = text;
    int code = tr_emit(t, kind);
    t->event.text = NULL;
    return code;
}

int tr_emit_plan(tr_training *t) {
    const tr_notes *notes = &t->session.notes;
    t->event.plan = &t->plan;
    int code = tr_emit(t, TR_EVENT_PLAN);
    for (int i = 0; code == TR_OK && i < notes->n; i++)
        code = emit_text(t, TR_EVENT_NOTE, notes->text[i]);
    return code;
}

int tr_emit_warning(tr_training *t, int code, const tr_error *failure) {
    if (code == TR_OK) return TR_OK;
    return emit_text(t, TR_EVENT_WARNING,
                     failure->text[0] ? failure->text : tr_error_meaning(code));
}

int tr_emit_progress(tr_training *t) {
    double now = tr_now();
    if (now < t->next_progress) return TR_OK;
    t->next_progress = now + 1e-3 * PROGRESS_MILLISECONDS;
    return tr_emit(t, TR_EVENT_PROGRESS);
}
