/* The one main of every Check test: TAP for Meson, the usual text for display.
 *
 * Check forks each test, so no test may start an OpenMP region before the fork; the tests of the
 * team run with CK_FORK=no, which Meson sets for them.
 */
#ifndef TR_CHECK_MAIN_H
#define TR_CHECK_MAIN_H

#include <check.h>
#include <unistd.h>

static int tr_check_run(Suite *suite) {
    SRunner *runner = srunner_create(suite);
    if (!isatty(1)) srunner_set_tap(runner, "-");
    srunner_run_all(runner, isatty(1) ? CK_NORMAL : CK_SILENT);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}

#endif
