/* JSON files, written and read with jansson.
 *
 * Numbers in files are written with 9 significant digits: enough to distinguish any two floats, and
 * 0.1 stays "0.1" where the 17 digits of a double would make it "0.10000000000000001". Text that is
 * written here can be read back by any JSON parser: JSON has no NaN or infinity, so numbers enter
 * an object through tr_json_number, which makes them null. Safe from any number of threads on
 * separate objects.
 */
#include "io/io.h"

#include <stdlib.h>

enum { DIGITS = 9, ALL_DIGITS = 17 };

json_t *tr_json_number(double value) {
    return tr_is_finite(value) ? json_real(value) : json_null();
}

/* The object as text that ends in a newline; free it with free(). Releases the object. */
static char *dump(const char *path, json_t *object, size_t flags, int digits, size_t *bytes,
                  tr_error *err) {
    char *text = NULL;
    if (!object) {
        /* jansson's constructors answer NULL for all three causes. */
        tr_fail(err, TR_ENOMEM,
                "%s: the JSON to write could not be made: no memory, text that is not UTF-8, or a "
                "number that is not finite",
                path);
        goto end;
    }
    flags |= JSON_REAL_PRECISION((size_t)digits) | JSON_ENCODE_ANY;
    size_t length = json_dumpb(object, NULL, 0, flags);
    size_t capacity;
    if (length == 0 || !tr_add(length, 2, &capacity) || !(text = malloc(capacity))) {
        tr_fail(err, TR_ENOMEM, "%s: no memory for the JSON text", path);
        goto end;
    }
    if (json_dumpb(object, text, length, flags) != length) {
        tr_fail(err, TR_ENOMEM, "%s: no memory for the JSON text", path);
        free(text);
        text = NULL;
        goto end;
    }
    text[length] = '\n';
    text[length + 1] = '\0';
    *bytes = length + 1;
end:
    json_decref(object);
    return text;
}

int tr_json_save(const char *path, json_t *object, tr_error *err) {
    size_t bytes = 0;
    char *text = dump(path, object, JSON_INDENT(2), DIGITS, &bytes, err);
    if (!text) return TR_ENOMEM;
    int rc = tr_save(path, text, bytes, err);
    free(text);
    return rc;
}

int tr_json_text(const char *what, json_t *object, char **out, tr_error *err) {
    size_t bytes = 0;
    char *text = dump(what, object, JSON_INDENT(2), ALL_DIGITS, &bytes, err);
    *out = text ? tr_strdup(text, err) : NULL;
    free(text);
    return *out ? TR_OK : TR_ENOMEM;
}

int tr_json_append(const char *path, json_t *object, tr_error *err) {
    size_t bytes = 0;
    char *text = dump(path, object, 0, DIGITS, &bytes, err);
    if (!text) return TR_ENOMEM;
    int rc = tr_append(path, text, err);
    free(text);
    return rc;
}

int tr_json_load(const char *path, json_t **out, tr_error *err) {
    *out = NULL;
    enum { MOST = 1 << 28 };
    char *text;
    size_t bytes;
    int rc = tr_read_file(path, MOST, &text, &bytes, err);
    if (rc) return rc;
    if (bytes == 0) {
        rc = tr_fail(err, TR_EIO, "%s: the file is empty, a JSON value is needed", path);
        goto fail;
    }
    json_error_t parse_error;
    *out = json_loadb(text, bytes, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &parse_error);
    if (!*out)
        rc = tr_fail(err, TR_EIO, "%s:%d: not JSON: %s", path, parse_error.line, parse_error.text);
fail:
    tr_free(text);
    return rc;
}
