/* number.h: numbers from text, without locale; every trailing byte is an error.
 * Knows nothing of which limits a number has where it is used. */
#pragma once

#include "macro.h"

/* Decimal digits only. Returns 0, -EINVAL, or -ERANGE. */
int number_parse_u64(const char *text, size_t n, uint64_t *ret) _must_check_;
/* The same with an optional '-' before them. */
int number_parse_i64(const char *text, size_t n, int64_t *ret) _must_check_;
/* A float as the Prometheus text format writes it: decimal with a point and an exponent, NaN,
 * Inf, Infinity (any case) and a sign; no hex, no blanks, never a comma. Correctly rounded for
 * up to 19 significant digits and a power of ten within 27, within 1 ulp otherwise; 1e400 is
 * +Inf. Returns 0 or -EINVAL. */
int number_parse_double(const char *text, size_t n, double *ret) _must_check_;
/* A share with its unit: "5%" or "0.5%" gives exactly 0.05, 0.005; at most 100 %. Returns 0,
 * -EINVAL (no unit too), -ERANGE. */
int number_parse_percent(const char *text, double *ret) _must_check_;
/* "1048576B", "16KiB", "16MiB", "1GiB". Returns 0, -EINVAL, -ERANGE. */
int number_parse_bytes(const char *text, uint64_t *ret) _must_check_;
