/* Tests of the module `report`: pictures, formats, the progress line.
 *
 * Pictures are read back with cairo: they must be whole PNG files of a sane size, with ink on them
 * where ink must be. How they look is for eyes, not for tests. Each test has a folder of its own.
 */
#include <cairo.h>
#include <dirent.h>
#include <float.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "check_main.h"
#include "report/report.h"

static char folder[PATH_MAX];

static void setup(void) {
    const char *root = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%s/trainer-report-XXXXXX", root ? root : "/tmp");
    ck_assert_ptr_nonnull(mkdtemp(folder));
}

static const char *in_folder(const char *name) {
    static char path[PATH_MAX + 256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static int count_files(bool remove_them) {
    DIR *dir = opendir(folder);
    ck_assert_ptr_nonnull(dir);
    int n = 0;
    for (struct dirent *e; (e = readdir(dir));) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) continue;
        if (remove_them) remove(in_folder(e->d_name));
        n++;
    }
    closedir(dir);
    return n;
}

static void teardown(void) {
    count_files(true);
    rmdir(folder);
    cairo_debug_reset_static_data();
}

/* ---- looking at pictures ---- */

typedef struct picture {
    int w, h;
    double ink;    /* share of pixels that are not paper */
    uint32_t core; /* colour of the pixel in the middle, 0xRRGGBB */
    double share;  /* of pixels with the colour asked for */
} picture;

/* The same colour but for rounding on the way to a byte. */
static bool near(uint32_t a, uint32_t b) {
    for (int shift = 0; shift < 24; shift += 8)
        if (abs((int)(a >> shift & 255) - (int)(b >> shift & 255)) > 1) return false;
    return true;
}

/* Read a PNG back; removes the file. `colour` is what `share` counts. */
static picture look(const char *path, uint32_t colour) {
    cairo_surface_t *surface = cairo_image_surface_create_from_png(path);
    ck_assert_msg(cairo_surface_status(surface) == CAIRO_STATUS_SUCCESS, "%s: %s", path,
                  cairo_status_to_string(cairo_surface_status(surface)));
    picture p = {.w = cairo_image_surface_get_width(surface),
                 .h = cairo_image_surface_get_height(surface)};
    /* 4,096 pixels a side or so is what viewers and web pages take without trouble. */
    ck_assert_msg(p.w >= 100 && p.h >= 100 && p.w <= 8192 && p.h <= 8192, "%d x %d", p.w, p.h);
    const unsigned char *data = cairo_image_surface_get_data(surface);
    size_t pitch = (size_t)cairo_image_surface_get_stride(surface);
    int64_t ink = 0, same = 0;
    for (int y = 0; y < p.h; y++)
        for (int x = 0; x < p.w; x++) {
            uint32_t pixel;
            memcpy(&pixel, data + (size_t)y * pitch + 4 * (size_t)x, sizeof pixel);
            pixel &= 0xffffff;
            ink += pixel != 0xffffff;
            same += near(pixel, colour);
            if (x == p.w / 2 && y == p.h / 2) p.core = pixel;
        }
    p.ink = (double)ink / ((double)p.w * p.h);
    p.share = (double)same / ((double)p.w * p.h);
    cairo_surface_destroy(surface);
    ck_assert_int_eq(remove(path), 0);
    return p;
}

static char huge_text[5000];

static void fill_huge_text(void) {
    memset(huge_text, 'W', sizeof huge_text - 1);
    memcpy(huge_text + 20, "\xC3\xA9\xE2\x82\xAC", 5);
}

/* ---- grids ---- */

static unsigned char red[3 * 32 * 32];

static tr_cell red_cell(const char *title, const char *subtitle, int verdict) {
    memset(red, 255, 32 * 32);
    return (tr_cell){red, 32, 32, 3, title, subtitle, verdict};
}

START_TEST(grid_of_n) {
    tr_error err = {0};
    tr_cell cells[100];
    static const int sizes[] = {1, 100};
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        int n = sizes[s], columns = n > 20 ? 10 : 4;
        for (int i = 0; i < n; i++) cells[i] = red_cell(i % 3 ? "frog" : NULL, "cat", i % 3 - 1);
        const char *path = in_folder("grid.png");
        ck_assert_msg(!tr_draw_grid(path, "title", cells, n, columns, &err), "%s", err.text);
        picture p = look(path, 0xff0000);
        /* Exactly the images: 128 units of one and a half pixels a side. */
        ck_assert_int_eq((int)(p.share * p.w * p.h + 0.5), n * 192 * 192);
    }
}
END_TEST

START_TEST(grid_without_words) {
    tr_error err = {0};
    tr_cell cell = red_cell(NULL, NULL, -1);
    ck_assert_msg(!tr_draw_grid(in_folder("a.png"), NULL, &cell, 1, 1, &err), "%s", err.text);
    picture p = look(in_folder("a.png"), 0xff0000);
    ck_assert_uint_eq(p.core, 0xff0000);
    ck_assert_double_eq_tol(p.ink, p.share, 1e-12);
    /* An empty grid, and column counts that make no sense. */
    ck_assert_msg(!tr_draw_grid(in_folder("b.png"), NULL, NULL, 0, 0, &err), "%s", err.text);
    look(in_folder("b.png"), 0);
    ck_assert_msg(!tr_draw_grid(in_folder("c.png"), "t", &cell, 1, -5, &err), "%s", err.text);
    look(in_folder("c.png"), 0);
    ck_assert_msg(!tr_draw_grid(in_folder("d.png"), "t", &cell, 1, INT_MAX, &err), "%s", err.text);
    look(in_folder("d.png"), 0);
}
END_TEST

START_TEST(grid_of_odd_images) {
    tr_error err = {0};
    static unsigned char bytes[5 * 300 * 300];
    memset(bytes, 128, sizeof bytes);
    const tr_cell cells[] = {
        {bytes, 28, 28, 1, "grey", NULL, -1},     {bytes, 300, 300, 3, "large", "", 0},
        {bytes, 1, 1, 3, "one pixel", NULL, 1},   {bytes, 1, 200, 3, "", "wide", 1},
        {bytes, 200, 1, 1, "tall", "", -1},       {bytes, 7, 5, 5, "5 channels", NULL, -1},
        {bytes, 16, 16, 2, "2 channels", "x", 0},
    };
    ck_assert_msg(!tr_draw_grid(in_folder("odd.png"), "odd", cells, 7, 3, &err), "%s", err.text);
    ck_assert_double_gt(look(in_folder("odd.png"), 0x808080).share, 0.1);
    /* Two channels are no colour: the first is drawn in grey. */
    memset(bytes, 10, 32 * 32);
    tr_cell pair = {bytes, 32, 32, 2, NULL, NULL, -1};
    ck_assert_msg(!tr_draw_grid(in_folder("pair.png"), NULL, &pair, 1, 1, &err), "%s", err.text);
    ck_assert_uint_eq(look(in_folder("pair.png"), 0).core, 0x0a0a0a);
    tr_cell bad = {bytes, 0, 32, 3, NULL, NULL, -1};
    ck_assert_int_eq(tr_draw_grid(in_folder("bad.png"), NULL, &bad, 1, 1, &err), TR_EDATA);
    ck_assert_int_eq(count_files(false), 0);
}
END_TEST

START_TEST(grid_of_huge_names) {
    tr_error err = {0};
    fill_huge_text();
    tr_cell cells[4] = {red_cell(huge_text, huge_text, 0), red_cell("\xff\xfe\xc3", "a\nb\tc", 1),
                        red_cell("\xed\xa0\x80 \xf4\x90\x80\x80 \xc0\xaf", "\xe2\x82", 0),
                        red_cell("", "", 1)};
    ck_assert_msg(!tr_draw_grid(in_folder("h.png"), huge_text, cells, 4, 2, &err), "%s", err.text);
    picture p = look(in_folder("h.png"), 0xff0000);
    /* A long title widens the picture by a few hundred units and no more. */
    ck_assert_int_lt(p.w, 1300);
    ck_assert_int_eq((int)(p.share * p.w * p.h + 0.5), 4 * 192 * 192);
}
END_TEST

/* ---- panels ---- */

static void draw_series(const tr_series *series, int n, double y_min, double y_max) {
    tr_error err = {0};
    const tr_panel panel = {"panel", "x", "y", series, n, y_min, y_max};
    ck_assert_msg(!tr_draw_panels(in_folder("p.png"), "title", &panel, 1, &err), "%s", err.text);
    ck_assert_double_gt(look(in_folder("p.png"), 0).ink, 0.001);
}

START_TEST(panels_of_odd_values) {
    static const double x[] = {1, 2, 3, 4}, nan[] = {NAN, NAN, NAN, NAN}, some[] = {NAN, 1, NAN, 2},
                        same[] = {5, 5, 5, 5}, zero[] = {0, 0, 0, 0},
                        inf[] = {INFINITY, 1, -INFINITY, 2}, big[] = {-DBL_MAX, DBL_MAX, 0, 1},
                        tiny[] = {5e-324, 1e-310, 0, 2e-320}, close_by[] = {1, 1 + 1e-15, 1, 1},
                        steep[] = {0, 1e300, 0, 1}, shift[] = {1e18, 1e18 + 1024, 1e18, 1e18};
    const double *const all[] = {x, nan, some, same, zero, inf, big, tiny, close_by, steep, shift};
    enum { N = sizeof all / sizeof all[0] };
    for (int i = 0; i < N; i++) { /* each as x and as y, beside the plain one */
        tr_series odd[] = {{"odd", 4, all[i], all[i], i % 2}, {"plain", 4, x, x, true}};
        draw_series(odd, 1 + i % 2, 0, 0);
    }
    tr_series s = {"s", 4, x, steep, true};
    draw_series(&s, 1, 0, 1);
    draw_series(&s, 1, 1, 0);
    draw_series(&s, 1, NAN, NAN);
    draw_series(&s, 1, -DBL_MAX, DBL_MAX);
    draw_series(&s, 1, -INFINITY, 1);
}
END_TEST

/* Values that are not finite change nothing: neither the axes nor the curves before them. */
START_TEST(panels_leave_out) {
    static const double x[] = {1, 2, 3, 3, INFINITY, 2}, y[] = {1, 2, 1.5, INFINITY, 1, NAN};
    cairo_surface_t *surface[2];
    for (int i = 0; i < 2; i++) {
        tr_error err = {0};
        tr_series series = {"s", i ? 6 : 3, x, y, true};
        const tr_panel panel = {"panel", "x", "y", &series, 1, 0, 0};
        ck_assert_msg(!tr_draw_panels(in_folder("l.png"), "t", &panel, 1, &err), "%s", err.text);
        surface[i] = cairo_image_surface_create_from_png(in_folder("l.png"));
    }
    size_t bytes = (size_t)cairo_image_surface_get_stride(surface[0]) *
                   (size_t)cairo_image_surface_get_height(surface[0]);
    ck_assert_uint_gt(bytes, 0);
    ck_assert_mem_eq(cairo_image_surface_get_data(surface[0]),
                     cairo_image_surface_get_data(surface[1]), bytes);
    for (int i = 0; i < 2; i++) cairo_surface_destroy(surface[i]);
}
END_TEST

START_TEST(panels_of_few_and_many) {
    tr_error err = {0};
    fill_huge_text();
    double one = 1;
    tr_series none = {NULL, 0, NULL, NULL, true}, single = {"one", 1, &one, &one, false};
    draw_series(NULL, 0, 0, 0);
    draw_series(&none, 1, 0, 0);
    draw_series(&single, 1, 0, 0);

    enum { N = 1200 }; /* more than two strokes of a curve */
    static double x[N], y[N];
    for (int i = 0; i < N; i++) x[i] = i, y[i] = sin(i * 0.01);
    tr_series many[12];
    for (int i = 0; i < 12; i++) many[i] = (tr_series){huge_text, N, x, y, i == 0};
    many[1].name = "";
    draw_series(many, 12, 0, 0);

    tr_panel panels[4] = {{NULL, NULL, NULL, many, 2, 0, 1},
                          {huge_text, huge_text, huge_text, many, 1, 0, 0},
                          {"\xff", "\xff", "\xff", &none, 1, 0, 0},
                          {"", "", "", NULL, 0, 0, 0}};
    for (int n = 0; n <= 4; n += 2) {
        ck_assert_msg(
            !tr_draw_panels(in_folder("n.png"), n % 2 ? huge_text : NULL, panels, n, &err), "%s",
            err.text);
        picture p = look(in_folder("n.png"), 0);
        if (n > 0)
            ck_assert_int_le(abs(p.w / n - 945),
                             78); /* 630 units of 1.5 pixels each, and the margins */
    }
}
END_TEST

/* ---- confusion ---- */

START_TEST(confusion_of_n) {
    tr_error err = {0};
    enum { MOST = 1500 };
    static char text[MOST][20];
    static const char *names[MOST];
    static int64_t counts[MOST * MOST];
    for (int i = 0; i < MOST; i++) {
        snprintf(text[i], sizeof text[i], "class%d", i);
        names[i] = text[i];
    }
    static const int sizes[] = {0, 1, 10, 200, MOST};
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        int n = sizes[s];
        for (int i = 0; i < n * n; i++) counts[i] = i % (n + 1) == 0 ? 7 : 0;
        const char *path = in_folder("c.png");
        ck_assert_msg(!tr_draw_confusion(path, "t", names, n, counts, &err), "%s", err.text);
        /* All right: the diagonal has the full blue, about 1/n of the matrix and so of the picture.
         */
        picture p = look(path, 0x075194);
        if (n > 0) ck_assert_double_gt(p.share, 0.05 / n);
    }
}
END_TEST

START_TEST(confusion_of_odd_values) {
    tr_error err = {0};
    fill_huge_text();
    const char *names[3] = {huge_text, NULL, "\xff"};
    static const int64_t counts[][9] = {
        {0},
        {INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX, 0, 0, 0, 0, INT64_MAX},
        {-1, INT64_MIN, 3, 0, -5, 0, 0, 0, 1},
    };
    for (size_t i = 0; i < 3; i++) {
        const char *path = in_folder("c.png");
        ck_assert_msg(!tr_draw_confusion(path, i ? huge_text : NULL, names, 3, counts[i], &err),
                      "%s", err.text);
        look(path, 0);
    }
}
END_TEST

START_TEST(pictures_nowhere) {
    const char *path = in_folder("no/such/folder.png");
    tr_cell cell = red_cell("a", "b", 1);
    tr_panel panel = {0};
    const char *name = "a";
    int64_t count = 1;
    for (int i = 0; i < 3; i++) {
        tr_error err = {0};
        int rc = i == 0   ? tr_draw_grid(path, "t", &cell, 1, 1, &err)
                 : i == 1 ? tr_draw_panels(path, "t", &panel, 1, &err)
                          : tr_draw_confusion(path, "t", &name, 1, &count, &err);
        ck_assert_int_lt(rc, 0);
        ck_assert_int_eq(rc, err.code);
        ck_assert_msg(strstr(err.text, "no/such/folder.png"), "%s", err.text);
        ck_assert_int_eq(count_files(false), 0);
    }
}
END_TEST

/* ---- formats ---- */

START_TEST(format_counts) {
    static const struct {
        int64_t n;
        const char *text;
    } golden[] = {
        {0, "0"},
        {7, "7"},
        {999, "999"},
        {1000, "1,000"},
        {-1000, "-1,000"},
        {-999, "-999"},
        {1234567, "1,234,567"},
        {100000, "100,000"},
        {INT64_MAX, "9,223,372,036,854,775,807"},
        {INT64_MIN, "-9,223,372,036,854,775,808"},
    };
    char out[32];
    for (size_t i = 0; i < sizeof golden / sizeof golden[0]; i++) {
        ck_assert_ptr_eq(tr_format_count(golden[i].n, out), out);
        ck_assert_str_eq(out, golden[i].text);
    }
}
END_TEST

START_TEST(format_byte_sizes) {
    static const struct {
        int64_t n;
        const char *text;
    } golden[] = {
        {0, "0 B"},
        {1, "1 B"},
        {1023, "1023 B"},
        {-5, "-5 B"},
        {1024, "1.0 KiB"},
        {1536, "1.5 KiB"},
        {-1536, "-1.5 KiB"},
        {102348, "99.9 KiB"},  /* 99.949: rounds to one decimal */
        {102349, "100 KiB"},   /* 99.950: would print as 100.0 */
        {1048063, "1023 KiB"}, /* 1023.499 */
        {1048064, "1.0 MiB"},  /* 1023.5: would print as 1024 */
        {163840000, "156 MiB"},
        {INT64_C(5) << 30, "5.0 GiB"},
        {INT64_MAX, "8.0 EiB"},
        {INT64_MIN, "-8.0 EiB"},
    };
    char out[32];
    for (size_t i = 0; i < sizeof golden / sizeof golden[0]; i++)
        ck_assert_str_eq(tr_format_bytes(golden[i].n, out), golden[i].text);
}
END_TEST

START_TEST(format_numbers) {
    static const struct {
        double value;
        int decimals;
        const char *text;
    } fixed[] = {
        {2.2128, 3, "2.213"},
        {0, 4, "0.0000"},
        {-1.5, 2, "-1.50"},
        {55715189321302220800.0 * 1000, 4, "5.57e+22"},
        {123456.7, 2, "123456.70"},
        {999999.4, 0, "999999"},
        {1e6, 2, "1.00e+06"},
        {-1e300, 3, "-1.00e+300"},
        {4e-7, 4, "4.00e-07"},
        {0.0001, 4, "0.0001"},
        {INFINITY, 3, "inf"},
        {-INFINITY, 3, "-inf"},
        {NAN, 3, "nan"},
        {5e-324, 9, "4.94e-324"},
        {DBL_MAX, 5, "1.80e+308"},
    };
    static const struct {
        double value;
        const char *text;
    } rates[] = {
        {0, "0.00"},
        {0.37, "0.37"},
        {9.994, "9.99"},
        {9.996, "10.0"},
        {99.94, "99.9"},
        {99.96, "100"},
        {31861.3, "31,861"},
        {1e9, "1,000,000,000"},
        {5.571e22, "5.57e+22"},
        {DBL_MAX, "1.80e+308"},
        {INFINITY, "-"},
        {NAN, "-"},
        {-1, "-"},
    };
    char out[32];
    for (size_t i = 0; i < sizeof fixed / sizeof fixed[0]; i++)
        ck_assert_str_eq(tr_format_fixed(fixed[i].value, fixed[i].decimals, out), fixed[i].text);
    for (size_t i = 0; i < sizeof rates / sizeof rates[0]; i++)
        ck_assert_str_eq(tr_format_rate(rates[i].value, out), rates[i].text);
}
END_TEST

START_TEST(format_times) {
    static const struct {
        double s;
        const char *text;
    } golden[] = {
        {0, "0:00"},        {0.4, "0:00"},         {0.5, "0:01"},          {12, "0:12"},
        {59.4, "0:59"},     {59.5, "1:00"},        {75, "1:15"},           {3599.7, "1:00:00"},
        {3700, "1:01:40"},  {360000, "100:00:00"}, {1e300, "99999:59:59"}, {-1, "-:--"},
        {INFINITY, "-:--"}, {NAN, "-:--"},
    };
    char out[32];
    for (size_t i = 0; i < sizeof golden / sizeof golden[0]; i++)
        ck_assert_str_eq(tr_format_seconds(golden[i].s, out), golden[i].text);
}
END_TEST

/* ---- progress ---- */

/* What a terminal shows after this output, as one line; the columns used at most in *most. */
static void replay(const char *output, char screen[1024], int *most) {
    memset(screen, ' ', 1023);
    screen[1023] = '\0';
    int at = 0;
    *most = 0;
    for (const char *p = output; *p; p++) {
        ck_assert_msg(*p != '\n', "a progress line must not scroll");
        if (*p == '\r') {
            at = 0;
        } else if (((unsigned char)*p & 0xC0) != 0x80) {
            screen[at++] = *p;
            if (at > *most) *most = at;
        }
    }
    for (int i = 1022; i >= 0 && screen[i] == ' '; i--) screen[i] = '\0';
}

static const char *contents(FILE *f) {
    static char text[1 << 16];
    rewind(f);
    size_t n = fread(text, 1, sizeof text - 1, f);
    text[n] = '\0';
    return text;
}

/* ---- a clock and a terminal of our own ---- */

static double fake_time;
static double fake_now(void) {
    return fake_time;
}
static int fake_columns;
static int fake_width(int descriptor) {
    (void)descriptor;
    return fake_columns;
}

static void fake_progress(tr_progress *progress, FILE *f, bool on, int columns) {
    tr_progress_start(progress, f);
    progress->on = on;
    progress->now = fake_now;
    progress->width = fake_width;
    fake_time = 1000;
    fake_columns = columns;
}

/* In a log: whole lines, one when nothing was printed for 30 seconds. */
START_TEST(progress_in_a_log) {
    FILE *f = tmpfile();
    tr_progress progress;
    tr_progress_start(&progress, f);
    ck_assert(!progress.on);
    fake_progress(&progress, f, false, 80);
    for (int i = 0; i <= 480; i++) { /* a minute, eight updates a second */
        fake_time = 1000 + i * 0.125;
        tr_progress_update(&progress, "epoch 1", i, 4800, 1000, "loss 1.0");
    }
    ck_assert_str_eq(contents(f), "epoch 1   5%  1,000 images/s  ETA 9:30  loss 1.0\n"
                                  "epoch 1  10%  1,000 images/s  ETA 9:00  loss 1.0\n");
    tr_progress_clear(&progress); /* a line of something else */
    fake_time += 29;
    tr_progress_update(&progress, "epoch 1", 900, 6000, 1000, "");
    fake_time += 2;
    tr_progress_update(&progress, "epoch 2", 900, 6000, 1000, "");
    const char *text = contents(f);
    ck_assert_ptr_null(strstr(text, "\r"));
    ck_assert_str_eq(strstr(text, "epoch 2"), "epoch 2  15%  1,000 images/s  ETA 8:36\n");
    fclose(f);
}
END_TEST

/* No time left before there is something to judge it by. */
START_TEST(progress_waits_for_its_eta) {
    FILE *f = tmpfile();
    tr_progress progress;
    fake_progress(&progress, f, true, 80);
    tr_progress_update(&progress, "", 50, 1000, 10, "");
    for (fake_time = 1000.5; fake_time < 1001.9; fake_time += 0.5)
        tr_progress_update(&progress, "", 60, 1000, 10, "");
    ck_assert_ptr_null(strstr(contents(f), "ETA 0"));
    ck_assert_ptr_nonnull(strstr(contents(f), "ETA -:--"));
    fake_time = 1010; /* 100 in ten seconds, since the first update */
    tr_progress_update(&progress, "", 150, 1000, 10, "");
    ck_assert_ptr_nonnull(strstr(contents(f), "ETA 1:25"));
    fclose(f);
}
END_TEST

START_TEST(progress_line) {
    FILE *f = tmpfile();
    tr_progress progress;
    fake_progress(&progress, f, true, 80);
    tr_progress_update(&progress, "epoch 1", 0, 100, 71000, "loss 2.345");
    fake_time += 12; /* half done, 12 seconds to go */
    tr_progress_update(&progress, "epoch 1", 50, 100, 71000, "loss 1.234");
    char screen[1024];
    int most;
    replay(contents(f), screen, &most);
    ck_assert_str_eq(screen, "epoch 1 [============>            ]  50%  71,000 images/s  ETA 0:12  "
                             "loss 1.234");
    ck_assert_int_le(most, 79);
    /* Too soon for another, but the end is always shown, without what was longer before. */
    tr_progress_update(&progress, "epoch 1", 51, 100, 71000, "loss 1.2");
    ck_assert(!strstr(contents(f), "51%"));
    tr_progress_update(&progress, "e", 100, 100, 71000, "");
    replay(contents(f), screen, &most);
    ck_assert_str_eq(screen, "e [==============================] 100%  71,000 images/s  ETA 0:00");
    tr_progress_clear(&progress);
    replay(contents(f), screen, &most);
    ck_assert_str_eq(screen, "");
    long size = ftell(f);
    tr_progress_clear(&progress); /* nothing is left to wipe */
    fseek(f, 0, SEEK_END);
    ck_assert_int_eq(ftell(f), size);
    fclose(f);
}
END_TEST

/* After the terminal became narrower: up to the first row of what it wrapped, and away with it. */
START_TEST(progress_after_a_resize) {
    FILE *f = tmpfile();
    tr_progress progress;
    fake_progress(&progress, f, true, 80);
    tr_progress_update(&progress, "epoch 1", 50, 100, 71000, "loss 1.234"); /* 79 columns */
    long before = ftell(f);
    fake_time++;
    fake_columns = 30; /* three rows */
    tr_progress_update(&progress, "epoch 1", 51, 100, 71000, "loss 1.234");
    const char *text = contents(f) + before;
    ck_assert_ptr_eq(strstr(text, "\r\x1b[2A\x1b[J\repoch 1  51%"), text);
    ck_assert_int_le(progress.shown, 29);
    fseek(f, 0, SEEK_END);
    before = ftell(f);
    fake_time++;
    fake_columns = 120; /* wider: nothing to wipe but the line */
    tr_progress_update(&progress, "epoch 1", 52, 100, 71000, "loss 1.234");
    text = contents(f) + before;
    ck_assert_ptr_null(strchr(text, '\x1b'));
    ck_assert_int_gt(progress.shown, 70);
    fclose(f);
}
END_TEST

/* Where the line cannot be redrawn there are lines. */
START_TEST(progress_on_a_dumb_terminal) {
    static const char *const terms[] = {"dumb", "", NULL};
    FILE *terminal = fopen("/dev/ptmx", "r+");
    tr_progress progress;
    if (!terminal || !tr_is_terminal(fileno(terminal))) return; /* none to be had here */
    setenv("TERM", "xterm", 1);
    tr_progress_start(&progress, terminal);
    ck_assert(progress.on);
    for (int i = 0; i < 3; i++) {
        if (terms[i])
            setenv("TERM", terms[i], 1);
        else
            unsetenv("TERM");
        tr_progress_start(&progress, terminal);
        ck_assert(!progress.on);
    }
    fclose(terminal);
}
END_TEST

START_TEST(progress_fits_any_width) {
    fill_huge_text();
    static const int widths[] = {-1, 0, 1, 2, 10, 20, 40, 79, 80, 200, 1000};
    const char *const words[] = {
        "epoch", "", NULL, huge_text, "a\nb\r\t\x1b[2J", "\xC3\xA9t\xC3\xA9"};
    for (size_t w = 0; w < sizeof widths / sizeof widths[0]; w++)
        for (int i = 0; i < 36; i++) {
            FILE *f = tmpfile();
            tr_progress progress;
            fake_progress(&progress, f, true, widths[w]);
            static const double rates[] = {0, 1e300, NAN, -1, 123456, INFINITY};
            tr_progress_update(&progress, words[i % 6], i, 36, rates[i % 6], words[i / 6]);
            tr_progress_update(&progress, words[i / 6], 5, 0, 1, NULL);
            tr_progress_update(&progress, words[i / 6], 9, 3, 1, words[i % 6]);
            char screen[1024];
            int most;
            const char *text = contents(f);
            ck_assert_ptr_null(strchr(text, '\x1b'));
            replay(text, screen, &most);
            ck_assert_int_le(most, widths[w] > 1 ? widths[w] - 1 : 0);
            ck_assert_int_le(most, 200);
            fclose(f);
        }
}
END_TEST

static Suite *report_suite(void) {
    Suite *suite = suite_create("report");
    TCase *tc = tcase_create("pictures");
    tcase_add_checked_fixture(tc, setup, teardown);
    /* Check's 4 seconds are short for drawing under a sanitizer on a busy machine. */
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, grid_of_n);
    tcase_add_test(tc, grid_without_words);
    tcase_add_test(tc, grid_of_odd_images);
    tcase_add_test(tc, grid_of_huge_names);
    tcase_add_test(tc, panels_of_odd_values);
    tcase_add_test(tc, panels_leave_out);
    tcase_add_test(tc, panels_of_few_and_many);
    tcase_add_test(tc, confusion_of_n);
    tcase_add_test(tc, confusion_of_odd_values);
    tcase_add_test(tc, pictures_nowhere);
    suite_add_tcase(suite, tc);

    tc = tcase_create("terminal");
    tcase_add_test(tc, format_counts);
    tcase_add_test(tc, format_byte_sizes);
    tcase_add_test(tc, format_times);
    tcase_add_test(tc, format_numbers);
    tcase_add_test(tc, progress_in_a_log);
    tcase_add_test(tc, progress_waits_for_its_eta);
    tcase_add_test(tc, progress_after_a_resize);
    tcase_add_test(tc, progress_on_a_dumb_terminal);
    tcase_add_test(tc, progress_line);
    tcase_add_test(tc, progress_fits_any_width);
    suite_add_tcase(suite, tc);
    return suite;
}

int main(void) {
    return tr_check_run(report_suite());
}
