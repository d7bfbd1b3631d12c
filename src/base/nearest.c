/* "Did you mean": the name that a word is another spelling of.
 *
 * A wrong suggestion is worse than none. So a name is offered where the word differs as spellings
 * and typing errors do, and not because it looks alike: avg_pool2d is no max_pool2d, cifar100 no
 * cifar10, adamw no adam. The rules, the surest first:
 *
 *  1. The same letters and digits without regard to case, `_`, `-` and '.': MaxPool2d.
 *  2. PyTorch's and Python's spelling around the name: nn.Conv2d, CrossEntropyLoss.
 *  3. Typing errors: letters that were left out, doubled, added or swapped, at most one replaced.
 *     The first letter is right (or swapped with the second), numbers are the same, each part
 *     between `_` has few errors for its length (of three letters none may be replaced:
 *     mse is not mae), and no letters are added at the end or missing there from a short word.
 *  4. Cut short where a part or a number begins: conv, kernel, cifar.
 *
 * No state: thread-safe.
 */
#include <string.h>

#include "base/base.h"

enum {
    LONGEST_WORD = 64, /* longer words get no suggestion */
    /* What an edit costs. Two replaced letters are more than any word bears. */
    REPLACED = 3,
    OTHER_EDIT = 2,
    CUT_SHORT = 6, /* of a whole name: after all typing errors */
    FAR = 100,
};

/* A word in small letters, without what parts it; ASCII only, whatever the locale. */
typedef struct letters {
    int n;
    char at[LONGEST_WORD];
    bool starts[LONGEST_WORD]; /* a part begins here */
} letters;

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

static bool read_letters(const char *word, letters *out) {
    bool part = true;
    *out = (letters){0};
    for (; *word; word++) {
        char c = *word;
        if (c == '_' || c == '-' || c == '.') {
            part = true;
            continue;
        }
        if (out->n == LONGEST_WORD) return false;
        out->starts[out->n] = part;
        out->at[out->n++] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
        part = false;
    }
    return out->n > 0;
}

static bool is_same(const letters *a, const letters *b) {
    return a->n == b->n && !memcmp(a->at, b->at, (size_t)b->n);
}

/* The digits of both, in their order, with numbers apart. */
static bool same_numbers(const letters *a, const letters *b) {
    int i = 0, j = 0;
    for (;;) {
        while (i < a->n && !is_digit(a->at[i])) i++;
        while (j < b->n && !is_digit(b->at[j])) j++;
        if (i == a->n || j == b->n) return i == a->n && j == b->n;
        for (; i < a->n && j < b->n && is_digit(a->at[i]) && a->at[i] == b->at[j]; i++) j++;
        if ((i < a->n && is_digit(a->at[i])) || (j < b->n && is_digit(b->at[j]))) return false;
    }
}

/* Optimal string alignment distance with the costs above. */
static int distance(const char *a, int a_len, const char *b, int b_len) {
    int rows[3][LONGEST_WORD + 1];
    int *before = rows[0], *above = rows[1], *row = rows[2];
    for (int j = 0; j <= b_len; j++) row[j] = OTHER_EDIT * j;
    for (int i = 1; i <= a_len; i++) {
        int *spare = before;
        before = above;
        above = row;
        row = spare;
        row[0] = OTHER_EDIT * i;
        for (int j = 1; j <= b_len; j++) {
            char x = a[i - 1], y = b[j - 1];
            int best = above[j - 1] + (x != y ? REPLACED : 0);
            best = (int)tr_min(best, above[j] + OTHER_EDIT);
            best = (int)tr_min(best, row[j - 1] + OTHER_EDIT);
            if (i > 1 && j > 1 && x == b[j - 2] && a[i - 2] == y)
                best = (int)tr_min(best, before[j - 2] + OTHER_EDIT);
            row[j] = best;
        }
    }
    return row[b_len];
}

/* One part, or the whole: what its typing errors cost, or FAR. */
static int part_cost(const char *word, int n, const char *name, int m) {
    int shorter = (int)tr_min(n, m), limit;
    if (n == m && !memcmp(word, name, (size_t)n)) return 0;
    bool swapped = n > 1 && m > 1 && word[0] == name[1] && word[1] == name[0];
    if (word[0] != name[0] && !swapped) return FAR;
    if (!memcmp(word, name, (size_t)shorter)) {
        /* One is the other's beginning. A last letter doubled or a plural, or the end of a long
         * word left out. */
        char last = n > m ? word[n - 1] : name[m - 1];
        bool tail = n > m ? n == m + 1 && (last == word[n - 2] || (last == 's' && m >= 3))
                          : m == n + 1 && (n >= 5 || (last == 's' && n >= 3));
        return tail ? OTHER_EDIT : FAR;
    }
    int longer = (int)tr_max(n, m);
    if (longer <= 3)
        limit = OTHER_EDIT;
    else if (longer <= 5)
        limit = REPLACED;
    else if (longer <= 7)
        limit = 2 * OTHER_EDIT;
    else
        limit = OTHER_EDIT + REPLACED;
    int cost = distance(word, n, name, m);
    return cost <= limit ? cost : FAR;
}

static int next_part(const letters *a, int from) {
    int end = from + 1;
    while (end < a->n && !a->starts[end]) end++;
    return end;
}

static int n_parts(const letters *a) {
    int n = 0;
    for (int i = 0; i < a->n; i++) n += a->starts[i];
    return n;
}

static int typing_cost(const letters *word, const letters *name) {
    if (!same_numbers(word, name)) return FAR;
    if (n_parts(word) != n_parts(name)) return part_cost(word->at, word->n, name->at, name->n);
    int cost = 0;
    for (int i = 0, j = 0; i < word->n && cost < FAR;) {
        int i_end = next_part(word, i), j_end = next_part(name, j);
        cost += part_cost(word->at + i, i_end - i, name->at + j, j_end - j);
        i = i_end;
        j = j_end;
    }
    return cost <= OTHER_EDIT + REPLACED ? cost : FAR;
}

static bool is_cut_short(const letters *word, const letters *name) {
    enum { FEWEST = 4 };
    return word->n >= FEWEST && word->n < name->n && !memcmp(word->at, name->at, (size_t)word->n) &&
           (name->starts[word->n] ||
            (is_digit(name->at[word->n]) && !is_digit(word->at[word->n - 1])));
}

static int cost_of(const char *text, const letters *word, const letters *name) {
    static const char loss[] = "loss";
    enum { LOSS = sizeof loss - 1 };
    if (is_same(word, name)) return 0;
    const char *dot = strrchr(text, '.');
    letters last;
    if (dot && read_letters(dot + 1, &last) && is_same(&last, name)) return 1;
    if (word->n == name->n + LOSS && !memcmp(word->at + name->n, loss, LOSS) &&
        !memcmp(word->at, name->at, (size_t)name->n))
        return 1;
    int cost = typing_cost(word, name);
    return cost == FAR && is_cut_short(word, name) ? CUT_SHORT : cost;
}

const char *tr_nearest(const char *text, const char *const *names, int n) {
    letters word, name;
    const char *nearest = NULL;
    int least = FAR;
    if (!read_letters(text, &word)) return NULL;
    for (int i = 0; i < n; i++) {
        if (!read_letters(names[i], &name)) continue;
        int cost = cost_of(text, &word, &name);
        if (cost >= least) continue;
        least = cost;
        nearest = names[i];
    }
    return nearest;
}
