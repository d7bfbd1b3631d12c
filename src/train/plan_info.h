/* Private to this module: what will run, put together for people. */
#ifndef TR_PLAN_INFO_H
#define TR_PLAN_INFO_H

#include "train/session.h"

/* Borrows names from the session; frees with tr_plan_info_free. */
int tr_plan_info_fill(const tr_session *session, const tr_exec *exec, const tr_account *account,
                      tr_plan_info *out, tr_error *err);
/* tr_plan_info.json; tr_free (describe.c). */
int tr_describe(const tr_session *session, char **out, tr_error *err);
void tr_plan_info_free(tr_plan_info *info);

#endif
