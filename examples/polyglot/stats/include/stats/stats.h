#ifndef STATS_STATS_H
#define STATS_STATS_H

#ifdef __cplusplus
extern "C" {
#endif

/* The arithmetic mean and the standard deviation of some numbers; both are 0 of none. */
double stats_mean(const double *numbers, int count);
double stats_deviation(const double *numbers, int count);

/* Whether a number is one of the first primes. */
int stats_is_small_prime(int number);

#ifdef __cplusplus
}
#endif

#endif
