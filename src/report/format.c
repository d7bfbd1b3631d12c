/* Numbers for display. Every function writes at most 32 bytes and returns its `out`. */
#include "report/report.h"

#include <inttypes.h>
#include <math.h>

enum { OUT_BYTES = 32 };

char *tr_format_fixed(double value, int decimals, char *out) {
    double size = fabs(value), least = pow(10, -decimals);
    bool plain = value == 0 || (size >= least && size < 999999.5);
    if (isnan(value))
        snprintf(out, OUT_BYTES, "nan");
    else if (isinf(value) || plain)
        snprintf(out, OUT_BYTES, "%.*f", decimals, value);
    else
        snprintf(out, OUT_BYTES, "%.2e", value);
    return out;
}

char *tr_format_rate(double value, char *out) {
    if (!(value >= 0) || isinf(value))
        snprintf(out, OUT_BYTES, "-");
    else if (value < 99.95)
        tr_format_fixed(value, value < 9.995 ? 2 : 1, out);
    else if (value < 1e12)
        tr_format_count((int64_t)(value + 0.5), out);
    else
        snprintf(out, OUT_BYTES, "%.2e", value);
    return out;
}

char *tr_format_count(int64_t n, char *out) {
    char digits[24];
    uint64_t size = n < 0 ? 0 - (uint64_t)n : (uint64_t)n;
    int length = snprintf(digits, sizeof digits, "%" PRIu64, size);
    char *p = out;
    if (n < 0) *p++ = '-';
    for (int i = 0; i < length; i++) {
        if (i > 0 && (length - i) % 3 == 0) *p++ = ',';
        *p++ = digits[i];
    }
    *p = '\0';
    return out;
}

char *tr_format_seconds(double seconds, char *out) {
    static const double most = 359999999; /* 99999:59:59: the most that is shown */
    if (!(seconds >= 0) || isinf(seconds)) {
        snprintf(out, OUT_BYTES, "-:--");
        return out;
    }
    int64_t s = (int64_t)(fmin(seconds, most) + 0.5);
    int64_t hours = s / 3600;
    int minutes = (int)(s / 60 % 60), rest = (int)(s % 60);
    if (hours > 0)
        snprintf(out, OUT_BYTES, "%" PRId64 ":%02d:%02d", hours, minutes, rest);
    else
        snprintf(out, OUT_BYTES, "%d:%02d", minutes, rest);
    return out;
}
