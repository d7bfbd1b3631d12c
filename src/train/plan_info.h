/* Private to this room: what will run, and what memory it will hold. */
#ifndef TR_PLAN_INFO_H
#define TR_PLAN_INFO_H

#include "train/session.h"

/* What a session with a planned executor and test will hold; both may be NULL: none. */
void tr_account_of(const tr_session *session, const tr_exec *exec, const tr_test *test,
                   tr_account *out);
/* TR_ENOMEM, with all kinds and the limit, where that is more than the process may hold. */
int tr_account_check(const tr_account *account, tr_error *err);
/* Borrows names from the session; frees with tr_plan_info_free. */
int tr_plan_info_fill(const tr_session *session, const tr_exec *exec, const tr_account *account,
                      tr_plan_info *out, tr_error *err);
void tr_plan_info_free(tr_plan_info *info);

#endif
