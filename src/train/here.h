/* Private to this module: the public calls that compute, on the calling thread.
 *
 * Each means what its namesake of trainer.h says. call.c runs them on a thread of the
 * library, as the calling one may have any stack, floating-point mode and locale. A listener given
 * to these is called on the thread that runs them.
 */
#ifndef TR_HERE_H
#define TR_HERE_H

#include "trainer/trainer.h"

int tr_train_here(tr_config *config, tr_listener listener, void *arg, tr_summary *summary,
                  tr_error *err);
int tr_dry_run_here(tr_config *config, tr_listener listener, void *arg, tr_error *err);
int tr_evaluate_here(tr_config *config, const char *run_dir, tr_summary *summary, tr_error *err);
/* tr_predict_top; n_top may be 0. */
int tr_predict_here(tr_config *config, const char *run_dir, int count, uint64_t seed,
                    tr_prediction *out, int n_top, tr_class_probability *top, const char *picture,
                    tr_error *err);

#endif
