/* How far the numbers of `trainer check` are apart. */
#include <math.h>

#include "check/check.h"
#include "check_main.h"

START_TEST(difference_of_numbers) {
    const double ours[] = {3, 4, INFINITY, NAN, 1}, theirs[] = {3, 4.5, INFINITY, NAN, 1};
    tr_difference d = {0};
    tr_difference_add(&d, 5, ours, theirs, NULL, NULL, 0);
    ck_assert(d.n == 5 && d.left_out == 0 && d.squares == 0.25 && d.largest == 0.5 && d.where == 1);
    ck_assert(d.ours == 4 && d.theirs == 4.5);
    ck_assert_double_eq(d.scale_squares, 9 + 4.5 * 4.5 + 1);
    ck_assert_double_eq(tr_difference_relative(&d, 0, 0), 0.5 / sqrt(9 + 4.5 * 4.5 + 1));
    /* The scale of a small tensor is a hundredth of the largest one's. */
    ck_assert_double_eq(tr_difference_relative(&d, 10000, 0), 0.5 / 100);
    /* Further elements are counted on. */
    const double more = 9, other = 8;
    tr_difference_add(&d, 1, &more, &other, NULL, NULL, 0);
    ck_assert(d.n == 6 && d.largest == 1 && d.where == 5 && d.squares == 1.25);
}
END_TEST

START_TEST(difference_that_is_not_finite) {
    const double numbers[] = {1, 2}, odd[][2] = {{1, NAN}, {1, INFINITY}};
    for (int i = 0; i < 2; i++) {
        for (int side = 0; side < 2; side++) {
            tr_difference d = {0};
            tr_difference_add(&d, 2, side ? odd[i] : numbers, side ? numbers : odd[i], NULL, NULL,
                              0);
            ck_assert(d.largest == INFINITY && d.where == 1);
            ck_assert(!(tr_difference_relative(&d, 1, 0) <= 1e300));
        }
    }
}
END_TEST

/* After a step the scale is the change, and rounding of the values is allowed for. */
START_TEST(difference_after_a_step) {
    const double before[] = {1, 1}, theirs[] = {1.001, 1}, ours[] = {1.0011, 1};
    tr_difference d = {0};
    tr_difference_add(&d, 2, ours, theirs, before, NULL, 0);
    ck_assert_double_eq_tol(tr_difference_relative(&d, 0, 0), 0.1, 1e-9);
    ck_assert_double_eq_tol(tr_difference_tolerance(&d, 0, 1e-6, 1e-2), 1e-2 + sqrt(2) * 1e-3,
                            1e-5);
    /* No change at all, on both sides but for rounding. */
    const double rounded[] = {1 + 1e-7, 1};
    tr_difference none = {0};
    tr_difference_add(&none, 2, rounded, before, before, NULL, 0);
    ck_assert(tr_difference_relative(&none, 0, 2e-7) <=
              tr_difference_tolerance(&none, 0, 2e-7, 1e-2));
    ck_assert(tr_difference_relative(&none, 0, 1e-9) >
              tr_difference_tolerance(&none, 0, 1e-9, 1e-2));
    /* Nothing to compare is no difference. */
    tr_difference empty = {0};
    ck_assert(tr_difference_relative(&empty, 0, 0) == 0);
    ck_assert(tr_difference_tolerance(&empty, 0, 0, 1e-2) == 1e-2);
}
END_TEST

/* Where the gradient is rounding, an adaptive optimizer's step is, too. */
START_TEST(difference_of_small_gradients) {
    const double ours[] = {1, 5, 3}, theirs[] = {1, 2, 3}, gradient[] = {1, 1e-7, -1};
    tr_difference d = {0};
    tr_difference_add(&d, 3, ours, theirs, NULL, gradient, 1e-6);
    ck_assert(d.n == 3 && d.left_out == 1 && d.squares == 0 && d.where != 1);
    tr_difference all = {0};
    tr_difference_add(&all, 3, ours, theirs, NULL, gradient, 1e-8);
    ck_assert(all.left_out == 0 && all.squares == 9 && all.where == 1);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("difference");
    TCase *group = tcase_create("difference");
    tcase_add_test(group, difference_of_numbers);
    tcase_add_test(group, difference_that_is_not_finite);
    tcase_add_test(group, difference_after_a_step);
    tcase_add_test(group, difference_of_small_gradients);
    suite_add_tcase(suite, group);
    return tr_check_run(suite);
}
